"""What is said of packages, with versions and requirements that were made up."""

from collections.abc import Iterable, Mapping

import pytest

from harness.checkout import how_to_install
from harness.doctor.finding import Finding
from harness.doctor.installed import DISTRIBUTION, EXTRAS, SPARED, package_findings
from tests.test_packaging import distribution_of, project_table

OURS = [
    "torch<2.14,>=2.13",
    "numpy<3,>=2.2",
    "jieba<0.43,>=0.42.1",
    "trl<1.17,>=1.16; extra == 'train'",
    "peft<0.22,>=0.21; extra == 'train'",
    "pytest<10,>=9.2; extra == 'dev'",
]
HERE = {"torch": "2.13.0+cpu", "numpy": "2.4.6", "jieba": "0.42.1", "trl": "1.16.0", "peft": "0.21"}


def examined(
    versions: Mapping[str, str], needs: Mapping[str, Iterable[str]] | None = None
) -> list[Finding]:
    requirements = {DISTRIBUTION: OURS, **(needs or {})}
    return list(package_findings(versions.get, lambda name: requirements.get(name, ())))


def test_all_that_is_needed_is_one_line() -> None:
    """A build of torch with a label of its own is within the bounds."""
    packages, train = examined(HERE)
    assert (packages.state, packages.detail) == ("ok", "3 that are needed, all within their bounds")
    assert (train.state, train.what, train.detail) == ("ok", "[train]", "trl 1.16.0, peft 0.21")


def test_a_version_outside_its_bounds_is_named_and_stops_nothing() -> None:
    wrong = examined(HERE | {"numpy": "1.26.4"})[0]
    assert (wrong.state, wrong.what, wrong.detail) == (
        "note",
        "numpy",
        "1.26.4 is outside <3,>=2.2",
    )
    assert wrong.cost and wrong.mend == "pip install 'numpy<3,>=2.2'"


def test_a_lacking_package_stops_the_default_only_if_it_needs_it() -> None:
    versions = {name: HERE[name] for name in HERE if name not in ("torch", "jieba")}
    states = {each.what: each.state for each in examined(versions)}
    assert states["torch"] == "missing" and states["jieba"] == "note"


def test_an_extra_says_what_cannot_be_done_without_it() -> None:
    train = examined({name: HERE[name] for name in HERE if name != "trl"})[-1]
    assert (train.state, train.detail) == ("note", "not installed: trl")
    assert "cannot be trained" in train.cost
    assert train.mend == how_to_install("train")


def test_an_extra_outside_its_bounds_is_named() -> None:
    wrong = examined(HERE | {"trl": "1.17.2"})[-1]
    assert (wrong.state, wrong.detail) == ("note", "1.17.2 is outside <1.17,>=1.16")


def test_packages_that_contradict_one_another_are_named() -> None:
    """As gptqmodel does, which pins numpy; what only an extra of theirs wants does not count."""
    needs = {"trl": ["numpy==2.2.6", "peft<0.1; extra == 'old'", "not a requirement at all!"]}
    wrong = examined(HERE, needs)[-1]
    assert (wrong.state, wrong.what) == ("note", "trl")
    assert wrong.detail == "1.16.0 wants numpy==2.2.6, and 2.4.6 is here"


def test_what_is_imported_but_not_installed_is_said() -> None:
    (finding,) = package_findings(HERE.get, lambda name: ())
    assert finding.state == "note" and "only imported" in finding.detail


def test_every_extra_and_every_spared_dependency_is_one_of_the_projects() -> None:
    project = project_table()
    assert set(EXTRAS) | {"dev"} == set(project["optional-dependencies"])
    assert set(SPARED) <= {distribution_of(each) for each in project["dependencies"]}


@pytest.mark.parametrize("extra", sorted(EXTRAS))
def test_every_extra_has_a_command_that_installs_it(extra: str) -> None:
    (finding,) = [
        each
        for each in package_findings(
            HERE.get,
            lambda name: (
                [*OURS[:3], f"wanting>=1; extra == '{extra}'"] if name == DISTRIBUTION else ()
            ),
        )
        if each.what == f"[{extra}]"
    ]
    assert finding.mend == how_to_install(extra) and finding.cost
