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
TOP_LEVEL = {"gate.yaml", "model_zoo.yaml"}
"""The YAML files of the repository's top folder, which a wheel carries."""
OWNER = {"mlflow": "mlflow-skinny"}
"""What brings a module of another name, where the extra need not be installed."""

NEED_TRAIN = {
    f"training/{name}.py"
    for name in (
        "finetune",
        "head",
        "lowrank",
        "preference",
        "reward",
        "supervised",
        "trainers",
        "unpaired",
    )
}
"""What only steps of `harness-train` import, which need the extra `train`."""


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


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a source distribution from this tree and unpack it."""
    folder = tmp_path_factory.mktemp("sdist")
    with tarfile.open(build("sdist", REPOSITORY, folder / "built")) as archive:
        archive.extractall(folder / "source", filter="data")
    (source,) = (folder / "source").iterdir()
    return source


@pytest.fixture(scope="module")
def ours() -> set[str]:
    """Name the files of this project, as git has them; skips where there is no git checkout."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    names = {name for name in listed.stdout.splitlines() if (REPOSITORY / name).is_file()}
    if listed.returncode != 0 or not names:
        pytest.skip("not a git checkout: which files belong to the project is not known")
    return names


def test_the_wheel_holds_what_a_user_needs_and_nothing_else(
    wheel: zipfile.ZipFile, ours: set[str]
) -> None:
    """The two packages as they are; tasks, suites, samples, published tables and the registry."""
    packages = {name for name in ours if name.startswith(("harness/", "training/"))}
    bundled = {name for name in ours if name.startswith("tasks/") or name in TOP_LEVEL}
    said = f"lineup_harness-{harness.__version__}.dist-info/"
    metadata = {said + name for name in ("METADATA", "WHEEL", "RECORD", "entry_points.txt")}
    licenses = {said + "licenses/" + name for name in project_table()["license-files"]}
    expected = packages | {BUNDLED + name for name in bundled} | metadata | licenses
    assert set(wheel.namelist()) == expected


@pytest.mark.parametrize(
    "name",
    [
        "harness/_bundled/gate.yaml",
        "harness/_bundled/model_zoo.yaml",
        "harness/_bundled/tasks/arc_easy.py",
        "harness/_bundled/tasks/published/zephyr-proposal.yaml",
        "harness/_bundled/tasks/samples/arc/test.jsonl",
        "harness/_bundled/tasks/suites/quick.yaml",
        "harness/py.typed",
        "harness/report/templates/report.css",
        "harness/report/templates/report.js",
        "harness/report/templates/run.html.j2",
        "harness/report/templates/vendor/sortable.LICENSE",
        "training/py.typed",
        "training/ranking/constitution.txt",
        "training/steps/dpo.py",
    ],
)
def test_the_wheel_holds_one_of_each_kind(wheel: zipfile.ZipFile, name: str) -> None:
    """By name: the list above would not notice what the repository lost too."""
    assert name in wheel.namelist()


def test_every_top_level_yaml_file_is_bundled(ours: set[str]) -> None:
    found = {name for name in ours if "/" not in name and name.endswith(".yaml")}
    assert found == TOP_LEVEL, "add it to force-include in pyproject.toml, and to this test"


def test_a_wheel_built_from_the_sdist_is_the_same(
    wheel: zipfile.ZipFile, sdist: Path, tmp_path: Path
) -> None:
    rebuilt = zipfile.ZipFile(build("wheel", sdist, tmp_path / "wheel"))
    contents = {info.filename: info.CRC for info in wheel.infolist()}
    assert {info.filename: info.CRC for info in rebuilt.infolist()} == contents


def test_the_sdist_holds_what_a_packager_needs(sdist: Path, ours: set[str]) -> None:
    """The sources with their tests, the texts that the README names, and no files of a run."""
    held = {path.relative_to(sdist).as_posix() for path in sdist.rglob("*") if path.is_file()}
    folders = ("harness/", "training/", "tasks/", "tests/", "docs/")
    texts = {name for name in ours if "/" not in name}
    assert held == {name for name in ours if name.startswith(folders)} | texts | {"PKG-INFO"}


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


def test_what_a_plain_installation_imports_needs_no_extra(project: dict[str, Any]) -> None:
    """Extras are imported where they are used, or by what only `harness-train` with `train` has."""
    owners = importlib.metadata.packages_distributions()
    core = {distribution_of(requirement) for requirement in project["dependencies"]}
    trained = {distribution_of(each) for each in project["optional-dependencies"]["train"]}
    sources = [*(REPOSITORY / "harness").rglob("*.py"), *(REPOSITORY / "training").rglob("*.py")]
    needing = set()
    for path in sorted(sources):
        name = path.relative_to(REPOSITORY).as_posix()
        for module in imported_at_once(path.read_text()) - sys.stdlib_module_names:
            found = owners.get(module, [OWNER.get(module, module)])
            if module in {"harness", "training"} or core & {distribution_of(n) for n in found}:
                continue
            assert trained & {distribution_of(n) for n in found}, f"{name}: {module} is of an extra"
            needing.add(name)
    assert needing == NEED_TRAIN


def test_an_import_that_nobody_calls_for_is_seen() -> None:
    source = """
import a.b
from c import d
from . import own
try:
    import e
except ImportError:
    import f
if TYPE_CHECKING:
    import not_run
class K:
    import g
    def method(self):
        import later
def function():
    import later
"""
    assert imported_at_once(source) == {"a", "c", "e", "f", "g"}


def test_every_dependency_has_an_upper_bound_and_a_reason(project: dict[str, Any]) -> None:
    """All extras too, and what builds the package."""
    table = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    reasons = (REPOSITORY / "docs/adr/0001-dependencies.md").read_text("utf-8")
    lines = [line.lower() for line in reasons.splitlines() if line.startswith("|")]
    optional = [each for extra in project["optional-dependencies"].values() for each in extra]
    for requirement in [*project["dependencies"], *optional, *table["build-system"]["requires"]]:
        name = distribution_of(requirement)
        assert re.search(r"<\d|==\d", requirement), f"{requirement} has no upper bound"
        word = re.compile(rf"(?<![\w-]){re.escape(name)}(?![\w-])")
        assert any(map(word.search, lines)), f"{name} has no line in docs/adr/0001-dependencies.md"


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


def imported_at_once(source: str) -> set[str]:
    """Name the top-level modules that a file imports when it is imported itself."""
    modules: set[str] = set()
    left: list[ast.AST] = [ast.parse(source)]
    while left:
        node = left.pop()
        if isinstance(node, ast.Import):
            modules |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            modules.add(node.module.split(".")[0])
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            left += node.orelse
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            left += ast.iter_child_nodes(node)
    return modules


def make(*words: str) -> subprocess.CompletedProcess[str]:
    """Run make without doing anything."""
    command = ["make", "--no-print-directory", "--dry-run", *words]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)


def test_make_takes_a_servers_address_from_the_command_line_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Other programs have a variable of this name, and the key goes there."""
    monkeypatch.setenv("BASE_URL", "http://elsewhere.example/v1")
    probe = ["make", "--no-print-directory", "--eval", "show:;@echo [$$BASE_URL]", "show"]
    for more, shown in (([], "[]"), (["BASE_URL=http://mine/v1"], "[http://mine/v1]")):
        told = subprocess.run(
            [*probe, *more], cwd=REPOSITORY, capture_output=True, text=True, check=True
        )
        assert told.stdout.strip() == shown


def test_make_hands_several_models_on_in_place_of_the_default() -> None:
    several, both = make("eval", "ARGS=--models a,b"), make("eval", "MODEL=a", "ARGS=--models b")
    assert "harness eval --model " not in several.stdout and "--models a,b" in several.stdout
    assert "for model in a b; do" in several.stdout, "each is built if it is missing"
    assert 'for model in "$MODEL"; do' in both.stdout
    assert 'harness eval --model "$MODEL"' in both.stdout, "harness refuses the two together"
    assert 'harness eval --model "$MODEL"' in make("eval", "ARGS=--models-dir d").stdout


def test_every_variable_is_documented() -> None:
    """What make takes, and what the packages read from the environment."""
    page = (REPOSITORY / "docs/commands.md").read_text("utf-8")
    (line,) = re.findall(r"(?m)^OPTIONS := (.*)$", (REPOSITORY / "Makefile").read_text("utf-8"))
    options = [*line.split(), "ARGS"]
    assert [name for name in options if f"| `{name}=` |" not in page] == []
    sources = [*(REPOSITORY / "harness").rglob("*.py"), *(REPOSITORY / "training").rglob("*.py")]
    read = {
        name for path in sources for name in re.findall(r"HARNESS_[A-Z]+", path.read_text("utf-8"))
    }
    assert len(read) > 5
    assert [name for name in sorted(read) if f"| `{name}` |" not in page] == []


def test_the_example_workflow_keeps_what_its_pages_link_to() -> None:
    from harness.report.index import COMPARISONS, INDEX, LEADERBOARD, METHOD

    kept = (REPOSITORY / ".github/workflows/gate.yml").read_text("utf-8").splitlines()
    for name in (INDEX, LEADERBOARD, METHOD, COMPARISONS, "html"):
        assert f"            reports/{name}" in kept


def test_make_refuses_a_misspelt_option() -> None:
    """Make itself takes any variable; SUTIE=card would silently score the default suite."""
    refused = make("help", "SUTIE=card")
    assert refused.returncode == 2
    assert "unknown option SUTIE" in refused.stderr and "SUITE" in refused.stderr
    taken = make("help", "SUITE=card", "DATA=a b", "ARGS=--json x", "PYTEST_ARGS=-x")
    assert taken.returncode == 0, taken.stderr


@pytest.mark.parametrize("option", ["LIMIT=100", "SUITE=card", "DATA=dir"])
def test_make_refuses_an_option_that_a_target_does_not_read(option: str) -> None:
    refused = make("compare", "BASE=a", "MODEL=b", option)
    assert refused.returncode == 2
    assert f"compare does not take {option.partition('=')[0]}" in refused.stderr
    assert "MODEL BASE TASKS" in refused.stderr and "give it to make eval" in refused.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("compare", "BASE=a", "MODEL=b", "TASKS=arc_easy", "ARGS=--json", "TORCH_INDEX=x"),
        ("eval", "MODEL=b", "SUITE=card", "LIMIT=5", "DATA=dir", "REFERENCE=a"),
        ("train", "eval", "MODEL=b", "LIMIT=5"),
        ("report", "SUITE=card"),
    ],
)
def test_make_takes_what_its_targets_read(words: tuple[str, ...]) -> None:
    taken = make(*words)
    assert "does not take" not in taken.stderr and "unknown option" not in taken.stderr


def test_an_option_from_the_shell_is_no_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who exports DATA once means it for the targets that read it."""
    monkeypatch.setenv("DATA", "dir")
    assert "does not take" not in make("compare", "BASE=a", "MODEL=b").stderr
    gate = ("gate", "BASE=a", "MODEL=b")
    assert "--data" not in make(*gate).stdout, "no run is scored, so that none is read"
    for more in ("DATA=dir", "ARGS=--sequential"):
        assert '--data "$DATA"' in make(*gate, more).stdout
