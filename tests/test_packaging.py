"""The built distributions hold what an installed harness needs, and the metadata tells the truth.

Both are built with the backend itself, in this interpreter: no network, no build environment.
"""

from __future__ import annotations

import ast
import importlib.metadata
import pkgutil
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

import harness

REPOSITORY = Path(__file__).resolve().parent.parent
BUNDLED = "harness/_bundled/"
OWNER = {"mlflow": "mlflow-skinny"}
"""What brings a module of another name, where the extra need not be installed."""


def project_table() -> dict[str, Any]:
    """Read the [project] table of pyproject.toml."""
    table: dict[str, Any] = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    return table


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    """Give the [project] table."""
    return project_table()


def build(target: str, source: Path, out: Path) -> Path:
    """Build `wheel` or `sdist` from the tree at `source`."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(out)],
        cwd=source,
        check=True,
        capture_output=True,
        text=True,
    )
    (built,) = out.iterdir()
    return built


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """Build a wheel from this tree."""
    return zipfile.ZipFile(build("wheel", REPOSITORY, tmp_path_factory.mktemp("wheel")))


def files_under(folder: str, *patterns: str) -> set[str]:
    """Name the files of the repository that a wheel must hold, as the repository names them."""
    return {
        path.relative_to(REPOSITORY).as_posix()
        for pattern in patterns
        for path in (REPOSITORY / folder).rglob(pattern)
        if path.is_file()
    }


def test_the_wheel_bundles_tasks_suites_samples_and_registry(wheel: zipfile.ZipFile) -> None:
    expected = files_under("tasks", "*.py", "*.yaml", "*.jsonl") | {"model_zoo.yaml"}
    assert any(name.startswith("tasks/samples/") for name in expected)
    assert {BUNDLED + name for name in expected} <= set(wheel.namelist())


def test_every_top_level_yaml_file_is_bundled(wheel: zipfile.ZipFile) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "*.yaml"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    tracked = {name for name in listed.stdout.splitlines() if "/" not in name}
    if not tracked:
        pytest.skip("not a git checkout: which files belong to the project is not known")
    missing = {name for name in tracked if BUNDLED + name not in wheel.namelist()}
    assert not missing, "add them to force-include in pyproject.toml"


def test_the_wheel_holds_both_packages_and_their_templates(wheel: zipfile.ZipFile) -> None:
    expected = files_under("harness", "*.py", "*.j2", "*.css", "*.js")
    expected |= files_under("training", "*.py", "*.txt")
    assert any(name.endswith(".j2") for name in expected)
    assert expected <= set(wheel.namelist())


def test_the_wheel_installs_nothing_beside_the_two_packages(wheel: zipfile.ZipFile) -> None:
    top = {name.split("/")[0] for name in wheel.namelist()}
    assert top == {"harness", "training", f"lineup_harness-{harness.__version__}.dist-info"}
    assert not [name for name in wheel.namelist() if "__pycache__" in name]


def test_a_wheel_built_from_the_sdist_is_the_same(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    sdist = build("sdist", REPOSITORY, tmp_path / "sdist")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path / "source", filter="data")
    (source,) = (tmp_path / "source").iterdir()
    rebuilt = zipfile.ZipFile(build("wheel", source, tmp_path / "wheel"))
    contents = {info.filename: info.CRC for info in wheel.infolist()}
    assert {info.filename: info.CRC for info in rebuilt.infolist()} == contents


def test_the_version_is_written_once(wheel: zipfile.ZipFile, project: dict[str, Any]) -> None:
    assert "version" in project["dynamic"]
    assert (
        Path(str(wheel.filename)).name == f"lineup_harness-{harness.__version__}-py3-none-any.whl"
    )


def test_the_console_scripts_name_functions(project: dict[str, Any]) -> None:
    assert set(project["scripts"]) == {"harness", "harness-train"}
    assert all(callable(pkgutil.resolve_name(target)) for target in project["scripts"].values())


def test_every_import_is_a_declared_dependency(project: dict[str, Any]) -> None:
    optional = [r for extra in project["optional-dependencies"].values() for r in extra]
    declared = {distribution_of(r) for r in [*project["dependencies"], *optional]}
    owners = importlib.metadata.packages_distributions()
    for path in sorted((REPOSITORY / "harness").rglob("*.py")) + sorted(
        (REPOSITORY / "training").rglob("*.py")
    ):
        for module in imported_by(path) - sys.stdlib_module_names - {"harness", "training"}:
            named = owners.get(module, [OWNER.get(module, module)])
            candidates = {distribution_of(name) for name in named}
            assert candidates & declared, f"{path}: {module} is not in pyproject.toml"


def test_constraints_pin_every_dependency_of_a_set_up(project: dict[str, Any]) -> None:
    lines = (REPOSITORY / "constraints.txt").read_text().splitlines()
    pins = {distribution_of(line): line for line in lines}
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines), "exact, no local builds"
    needed = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    assert {distribution_of(requirement) for requirement in needed} <= set(pins)


def distribution_of(requirement: str) -> str:
    """`lm_eval==0.4.13` and `lm-eval` are the same distribution."""
    return re.sub(r"[-_.]+", "-", re.split(r"[<>=!~;\[ ]", requirement)[0]).lower()


def imported_by(path: Path) -> set[str]:
    """Name the top-level modules that a file imports, inside its functions too."""
    modules: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            modules.add(node.module.split(".")[0])
    return modules


def test_make_refuses_a_misspelt_option() -> None:
    """Make itself takes any variable; SUTIE=card would silently score the default suite."""
    make = ["make", "--no-print-directory", "--dry-run", "help"]
    refused = subprocess.run([*make, "SUTIE=card"], cwd=REPOSITORY, capture_output=True, text=True)
    assert refused.returncode == 2
    assert "unknown option SUTIE" in refused.stderr and "SUITE" in refused.stderr
    taken = subprocess.run(
        [*make, "SUITE=card", "DATA=a b", "ARGS=--json x", "PYTEST_ARGS=-x"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )
    assert taken.returncode == 0, taken.stderr
