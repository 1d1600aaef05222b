"""The run page's review view: the parent's answers beside the run's own, and reviewers' marks."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.marks import Mark, marks_path, write_marks
from harness.report import write_leaderboard
from harness.report.html import run_page
from harness.run_folder import RunFolder
from tests.report.fixtures.pages import first_page
from tests.report.fixtures.reviewed import CHILD, EXACT, NAMED, PARENT, answers, page_of, write
from tests.report.fixtures.runs import (
    HOSTILE_NAME,
    HOSTILE_TEXT,
    proportion,
    result,
    run,
    stored,
)


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    write(tmp_path)
    return tmp_path


def test_the_parents_answer_stands_beside_the_models_own(reports: Path) -> None:
    page = page_of(reports).read_text("utf-8")
    assert page.count('class="side"') == 2 * 6
    assert page.count("dpo says 0") == page.count("smol says 0") == 1
    assert page.count('<h4 class="whose"><span class="badge right">right</span> smol ') == 3
    turned = re.findall(r'data-turned="(\w*)"', page)
    assert turned == ["differs", "lost", "gained", "differs", "", ""]
    assert page.count("rule: anchored") == 2
    root = (reports / "html" / run_page(PARENT.id)).read_text("utf-8")
    assert 'class="side"' not in root and "Beside" not in root


def test_unequal_work_of_the_parent_is_said_and_not_shown(tmp_path: Path) -> None:
    others = run("smol", [result("gsm8k", proportion(0.5, 6), EXACT, num_fewshot=5)])
    folders = [
        stored(tmp_path / "runs" / "parent", others, {"gsm8k": answers("smol", "r" * 6)}),
        stored(tmp_path / "runs" / "child", CHILD, {"gsm8k": answers("dpo", "r" * 6)}),
    ]
    for given, why in (
        (folders, "are to other questions: gsm8k: examples in the prompt: 5 for smol, 0 for"),
        (folders[1:], "are not here: no complete run has them."),
    ):
        page = write_leaderboard(given, tmp_path)[f"html/{run_page(CHILD.id)}"].read_text("utf-8")
        assert "smol says" not in page and f"The answers of smol, its parent, {why}" in page


def test_the_newest_complete_run_of_the_parent_is_beside(tmp_path: Path) -> None:
    """A page is drawn again when another run of the parent comes to stand beside it."""
    child = stored(tmp_path / "runs" / "child", CHILD, {"gsm8k": answers("dpo", "r" * 6)})
    folders, drawn = [child], []
    for name, created, status in (
        ("first", "2026-03-01T12:00:00+00:00", "complete"),
        ("third", "2026-03-03T12:00:00+00:00", "complete"),
        ("second", "2026-03-02T12:00:00+00:00", "complete"),
        ("stopped", "2026-03-04T12:00:00+00:00", "interrupted"),
    ):
        made: Any = replace(PARENT, id=name, created=created, status=status)
        folders.append(stored(tmp_path / "runs" / name, made, {"gsm8k": answers(name, "r" * 6)}))
        page = write_leaderboard(folders, tmp_path)[f"html/{run_page(CHILD.id)}"]
        drawn.append(re.findall(r"(\w+) says 0", page.read_text("utf-8")))
    assert drawn == [["dpo", who] for who in ("first", "third", "third", "third")]


def test_damaged_rows_of_the_parent_cost_only_its_answers(reports: Path) -> None:
    (reports / "runs" / "parent" / "rows" / "gsm8k.jsonl").write_text("{\n")
    page_of(reports).unlink()
    folders = [RunFolder(reports / "runs" / name) for name in ("parent", "child")]
    page = write_leaderboard(folders, reports)[f"html/{run_page(NAMED.id)}"].read_text("utf-8")
    assert "dpo says 0" in page and 'class="side"' not in page


def test_marks_that_are_removed_leave_the_page(tmp_path: Path) -> None:
    folder = stored(tmp_path / "runs" / "child", CHILD, {"gsm8k": answers("dpo", "r" * 6)})
    doc = answers("dpo", "r" * 6)[0].doc_id
    at = "2026-03-01T12:00:00Z"
    write_marks(folder, [Mark("gsm8k", doc, "unsafe", "a telling note", "Ana", at)])

    def page() -> str:
        return write_leaderboard([folder], tmp_path)[f"html/{run_page(CHILD.id)}"].read_text()

    assert "a telling note" in page()
    marks_path(folder).unlink()
    assert "a telling note" not in page()


def test_notes_of_reviewers_are_text(tmp_path: Path) -> None:
    folder = stored(tmp_path / "r", CHILD, {"gsm8k": answers("dpo", "r" * 6)})
    doc = answers("dpo", "r" * 6)[0].doc_id
    at = "2026-03-01T12:00:00Z"
    write_marks(folder, [Mark("gsm8k", doc, "unsafe", HOSTILE_TEXT, HOSTILE_NAME, at)])
    page = first_page(folder, CHILD)
    assert page.count("<script>") == 1 and "<img" not in page and "\x1b" not in page
    assert '<span class="tag mark-unsafe">unsafe</span>' in page
