"""Docs that turned: counted by group and length, and the sharpest first."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.explain import Explanation, explain
from harness.metrics.accuracy import macro_mean
from harness.paired import tango_interval
from harness.records import Row
from tests.compared import answers, documents, stored_run
from tests.conftest import Command


def explained(
    tmp_path: Path, base: Sequence[Row], model: Sequence[Row], **more: Any
) -> Explanation:
    runs = tmp_path / "reports/runs"
    one, other = (
        stored_run(runs, name, {"arc_easy": rows}, **more)
        for name, rows in (("tiny", base), ("other", model))
    )
    return explain(one, other, "arc_easy", 5)


def weighed(row: Row, right: float, wrong: float) -> Row:
    """The row with a right and a wrong choice of those log-probabilities."""
    return replace(
        row,
        continuations=(" yes", " no"),
        logprobs=(right, wrong),
        target=" yes",
        scores={"acc": float(right > wrong)},
    )


def test_the_sharpest_come_first(tmp_path: Path) -> None:
    """Leads of -1, 2 and 1 become 4, -1 and -5: shifts of +5, -3 and -6. The fourth stays."""
    rows = answers([0, 1, 1, 1])
    before = [(-3.0, -2.0), (-2.0, -4.0), (-2.0, -3.0), (-1.0, -2.0)]
    after = [(-1.0, -5.0), (-4.0, -3.0), (-7.0, -2.0), (-1.0, -9.0)]
    found = explained(
        tmp_path,
        [weighed(row, *each) for row, each in zip(rows, before, strict=True)],
        [weighed(row, *each) for row, each in zip(rows, after, strict=True)],
    )
    assert (found.docs, found.gained, found.lost) == (4, 1, 2)
    assert [(flip.base.index, flip.shift, flip.gained) for flip in found.flips] == [
        (2, -6.0, False),
        (0, 5.0, True),
        (1, -3.0, False),
    ]


def test_docs_are_counted_by_group_and_by_length(tmp_path: Path) -> None:
    """Of 8 docs in two groups, prompts of 10, 20, ... 80 characters, the two longest are lost."""
    base = [
        replace(row, prompt="x" * 10 * (row.index + 1), group="ab"[row.index % 2])
        for row in answers([1] * 8)
    ]
    model = [replace(row, scores={"acc": float(row.index < 6)}) for row in base]
    found = explained(tmp_path, base, model)
    assert [(part.name, part.docs, part.lost) for part in found.groups] == [
        ("a", 4, 1),
        ("b", 4, 1),
    ]
    assert [(part.name, part.lost, part.change) for part in found.lengths] == [
        ("10 to 20 characters", 0, 0.0),
        ("30 to 40 characters", 0, 0.0),
        ("50 to 60 characters", 0, 0.0),
        ("70 to 80 characters", 2, -1.0),
    ]
    assert found.lengths[-1].interval == tango_interval(0, 2, 2)


def test_equal_lengths_make_one_part(tmp_path: Path) -> None:
    rows = [replace(row, prompt="same") for row in answers([1, 0, 1])]
    found = explained(tmp_path, rows, rows)
    assert [(part.name, part.docs) for part in found.lengths] == [("4 to 4 characters", 3)]
    assert found.flips == () and found.groups == ()


def test_a_macro_average_turns_with_the_docs_that_it_averages(tmp_path: Path) -> None:
    """Leads of -1/2, 1 and -1/2 a character become 1, -1 and -1/2."""
    sides = [
        [
            replace(weighed(row, *each), scores={"acc_norm": right}, group="ab"[row.index % 2])
            for row, each, right in zip(answers([0] * 3), logprobs, rights, strict=True)
        ]
        for logprobs, rights in (
            ([(-3.0, -1.0), (-3.0, -4.0), (-3.0, -1.0)], (0.0, 1.0, 0.0)),
            ([(-3.0, -4.0), (-6.0, -2.0), (-3.0, -1.0)], (1.0, 0.0, 0.0)),
        )
    ]
    metrics = {"arc_easy": [macro_mean("acc_norm_macro", of="acc_norm")]}
    found = explained(tmp_path, sides[0], sides[1], metrics=metrics)
    assert (found.metric, found.docs) == ("acc_norm_macro", 3)
    assert (found.gained, found.lost) == (1, 1)
    assert [flip.shift for flip in found.flips] == [-2.0, 1.5]


def test_as_a_user_calls_it(harness: Command, tmp_path: Path) -> None:
    runs = tmp_path / "reports/runs"
    texts = {"wikitext2": documents([-30.0, -31.0])}
    stored_run(runs, "tiny", {"arc_easy": answers([1, 0, 1, 1])} | texts)
    stored_run(runs, "other", {"arc_easy": answers([1, 1, 0, 0])} | texts)
    code, out, err = harness("explain", "tiny", "other")
    assert code == 0, err
    assert out.startswith("arc_easy, acc: of 4 docs 1 turned right and 2 wrong\n")
    assert "wikitext2" not in out and out.count("turned wrong") == 2
    _, out, _ = harness("explain", "tiny", "other", "--docs", "1", "--json")
    (told,) = json.loads(out)
    assert (told["gained"], told["lost"], len(told["flips"])) == (1, 2, 1)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["tiny", "other", "--task", "arc_esay"],
            "unknown task 'arc_esay': did you mean 'arc_easy'",
        ),
        (["tiny", "other", "--task", "wikitext2"], "neither right nor wrong"),
        (["tiny", "tiny"], "both names are of run 2026-03-01-tiny"),
        (["tiny", "third"], "third"),
    ],
)
def test_wrong_use_is_refused(
    arguments: list[str], said: str, harness: Command, tmp_path: Path
) -> None:
    for name in ("tiny", "other"):
        rows = {"arc_easy": answers([1, 0]), "wikitext2": documents([-30.0, -31.0])}
        stored_run(tmp_path / "reports/runs", name, rows)
    stored_run(tmp_path / "reports/runs", "third", {"arc_easy": answers([1, 0, 1])})
    code, _, err = harness("explain", *arguments)
    assert code in (1, 2) and said in err
