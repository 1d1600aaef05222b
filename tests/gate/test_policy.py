"""gate.yaml: what it says, and what is refused with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import RegistryError, UnknownName
from harness.gate.policy import Margin, Policy, TaskPolicy, load_policy
from tests.conftest import REPOSITORY

WHOLE = """\
alpha: 0.1
underpowered: block
profile: ci
profiles:
  release: {pooled: 0.5 points, task: 2 points}
  ci: {pooled: 3 points, task: 10 points, underpowered: warn}
tasks:
  wikitext2: {metric: word_perplexity, margin: 0.5 perplexity}
  arc_easy: {metric: acc}
limits:
  memory: 1.5 times
  divergence_wikitext2 kl: 0.2 nats/token
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "gate.yaml"
    path.write_text(WHOLE)
    return path


def test_a_policy_is_read(file: Path) -> None:
    assert load_policy(file) == Policy(
        profile="ci",
        alpha=0.1,
        underpowered="warn",
        pooled=Margin(0.03, "proportion"),
        task=Margin(0.1, "proportion"),
        tasks={
            "wikitext2": TaskPolicy("word_perplexity", Margin(0.5, "perplexity")),
            "arc_easy": TaskPolicy("acc", None),
        },
        costs={"memory": 1.5},
        limits={("divergence_wikitext2", "kl"): Margin(0.2, "nats/token")},
    )
    release = load_policy(file, "release")
    assert (release.pooled.value, release.task.value, release.underpowered) == (
        0.005,
        0.02,
        "block",
    )


def test_the_projects_own_policy_is_valid() -> None:
    policy = load_policy(REPOSITORY / "gate.yaml")
    assert (policy.profile, policy.alpha, policy.pooled.value) == ("release", 0.05, 0.005)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("0.5 points", "0.5", "gate.yaml:5: profile 'release': pooled: 0.5 has no unit; write a"),
        ("0.5 points", "0.5 pionts", "unknown unit 'pionts': did you mean 'points'"),
        ("0.5 points", "-1 points", "'-1' is no number above 0"),
        ("0.5 points", "1e points", "'1e' is no number above 0"),
        ("0.5 points", "0.5 perplexity", "pooled: must be in points"),
        (
            "alpha: 0.1",
            "alpha: 5",
            "gate.yaml:1: the file: alpha: 5 is no chance between 0 and 0.5",
        ),
        ("alpha: 0.1", "alhpa: 0.1", "unknown key 'alhpa' in the file: did you mean 'alpha'"),
        ("underpowered: block", "underpowered: blok", "unknown value 'blok': did you mean 'block'"),
        ("memory: 1.5 times", "memroy: 1.5 times", "did you mean 'memory'"),
        (
            "memory: 1.5 times",
            "memory: 1.5",
            "write a number and a unit, such as 'memory: 2 times'",
        ),
        ("{metric: acc}", "{metirc: acc}", "unknown key 'metirc' in task 'arc_easy'"),
        (", task: 10 points", "", "profile 'ci': the key 'task' is missing"),
    ],
)
def test_what_is_not_valid_is_named_with_its_line(
    file: Path, old: str, new: str, said: str
) -> None:
    assert old in WHOLE
    file.write_text(WHOLE.replace(old, new))
    with pytest.raises(RegistryError) as caught:
        load_policy(file, "release" if "0.5 points" in old else None)
    assert said in str(caught.value)


def test_an_unknown_profile_and_a_missing_file_are_named(file: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="did you mean 'release'"):
        load_policy(file, "relase")
    with pytest.raises(RegistryError, match=r"cannot read .*no\.yaml"):
        load_policy(tmp_path / "no.yaml")
    file.write_text("alpha: 0.05\n")
    with pytest.raises(RegistryError, match="'profiles' is missing"):
        load_policy(file)
