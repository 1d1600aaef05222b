"""The change from the parent under each figure: paired, or not there."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.report.board import Delta, Leaderboard
from harness.run_folder import RunFolder
from tests.report.fixtures.paired import answers, board_of, scored

CHILD: dict[str, Any] = {"lineage": ("a", "a-sft")}


def deltas(board: Leaderboard) -> dict[tuple[str, str], Delta]:
    section = board.benchmarks
    return {
        (row.label, column.label): cell.delta
        for row in section.rows
        for column, cell in zip(section.columns, row.cells, strict=True)
        if cell is not None and cell.delta is not None
    }


def test_the_change_from_the_parent_is_paired(tmp_path: Path) -> None:
    """30 gained, 10 lost of 400: +5 points, p = 0.0016; two unpaired intervals would overlap."""
    board = board_of(
        scored(tmp_path, "a", {"arc_easy": answers()}),
        scored(tmp_path, "a-sft", {"arc_easy": answers(30, 10)}, **CHILD),
    )
    ((place, delta),) = deltas(board).items()
    assert place == ("a-sft", "arc_easy")
    assert (delta.parent, delta.run_id, delta.verdict) == ("a", "run-of-a", "better")
    assert delta.estimate.value == pytest.approx(0.05)
    assert delta.estimate.low is not None and 0.01 < delta.estimate.low < 0.03
    assert delta.p == pytest.approx(0.00157, abs=1e-5)
    cells = [row.cells[0] for row in board.benchmarks.rows]
    ends = [(c.estimate.low, c.estimate.high) for c in cells if c and c.estimate]
    assert ends[1][0] is not None and ends[0][1] is not None and ends[1][0] < ends[0][1]


@pytest.mark.parametrize(("others", "verdict"), [(1, "better"), (2, "no difference seen")])
def test_verdicts_allow_for_all_that_the_table_shows(
    tmp_path: Path, others: int, verdict: str
) -> None:
    """20 gained, 8 lost: z = 12 / sqrt(28) = 2.27, p = 0.0233; of two 0.047, of three 0.070."""
    same = {f"other{n}": answers() for n in range(others)}
    board = board_of(
        scored(tmp_path, "a", {"arc_easy": answers(), **same}),
        scored(tmp_path, "a-sft", {"arc_easy": answers(20, 8), **same}, **CHILD),
    )
    found = deltas(board)
    assert found["a-sft", "arc_easy"].p == pytest.approx(0.0233, abs=1e-4)
    assert found["a-sft", "arc_easy"].verdict == verdict
    assert found["a-sft", "other0"].verdict == "no difference seen"


def test_nothing_stands_there_without_the_parents_answers_to_the_same(tmp_path: Path) -> None:
    child = scored(tmp_path, "a-sft", {"arc_easy": answers(30, 10)}, **CHILD)

    def parent(where: str, **changes: Any) -> RunFolder:
        return scored(tmp_path / where, "a", {"arc_easy": answers()}, **changes)

    assert deltas(board_of(child)) == {}, "no parent"
    assert deltas(board_of(parent("shots", of_result={"num_fewshot": 5}), child)) == {}
    assert deltas(board_of(parent("prompts", row={"request_digest": "e" * 16}), child)) == {}
    gone = parent("gone")
    gone.rows_path("arc_easy").unlink()
    assert deltas(board_of(gone, child)) == {}
    fewer = parent("fewer")
    lines = fewer.rows_path("arc_easy").read_text().splitlines(keepends=True)
    fewer.rows_path("arc_easy").write_text("".join(lines[:-1]))
    assert deltas(board_of(fewer, child)) == {}, "a doc of the parent is missing"
    assert deltas(board_of(parent("whole"), child)) != {}


def test_another_ancestor_does_not_stand_in_for_the_parent(tmp_path: Path) -> None:
    board = board_of(
        scored(tmp_path, "a", {"arc_easy": answers()}),
        scored(tmp_path, "a-dpo", {"arc_easy": answers(30)}, lineage=("a", "a-sft", "a-dpo")),
    )
    assert deltas(board) == {}


def test_of_two_parents_of_one_name_the_one_run_alike_counts(tmp_path: Path) -> None:
    def of(name: str, dtype: str, right: list[bool], **changes: Any) -> RunFolder:
        made = scored(tmp_path, name, {"arc_easy": right}, id=f"{name}-{dtype}", **changes)
        record = made.read()
        made.write(replace(record, model=replace(record.model, dtype=dtype)))
        return made

    board = board_of(
        of("a", "float32", answers()),
        of("a", "bfloat16", answers(0, 10), created="2026-03-02T12:00:00+00:00"),
        of("a-sft", "float32", answers(30), **CHILD),
    )
    (delta,) = deltas(board).values()
    assert (delta.parent, delta.run_id) == ("a (float32)", "a-float32")
    assert delta.estimate.value == pytest.approx(30 / 400)


def test_docs_that_do_not_fit_into_memory_are_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [
        scored(tmp_path, "a", {"arc_easy": answers(), "boolq": answers()}),
        scored(tmp_path, "a-sft", {"arc_easy": answers(30), "boolq": answers(5)}, **CHILD),
    ]
    expected = deltas(board_of(*folders))
    monkeypatch.setattr("harness.report.paired_docs.KEPT_DOCS", 500)
    assert deltas(board_of(*folders)) == expected and len(expected) == 2
