"""The answer and the changes from the parents as Markdown, JSON, HTML and in the terminal."""

import html
import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from harness.report.board import Leaderboard
from harness.report.html import leaderboard_html
from harness.report.markdown import leaderboard_markdown
from harness.report.site import leaderboard_json, parse_leaderboard, write_leaderboard
from harness.report.terminal import print_leaderboard
from tests.report.fixtures.paired import answers, board_of, scored
from tests.report.fixtures.runs import HOSTILE_NAME, digest

SAID = (
    "a-sft is surely the best on arc_easy: 82.5% of 400 docs right. "
    "The other, a, is at −7.5 points, −10.5 to −5.3."
)
"""30 of 400 docs turned right: 75.0% and 82.5%."""


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Leaderboard:
    folder = tmp_path_factory.mktemp("runs")
    lineage: dict[str, Any] = {"lineage": ("a", "a-sft"), "stage": "sft"}
    return board_of(
        scored(folder, "a", {"arc_easy": answers()}),
        scored(folder, "a-sft", {"arc_easy": answers(30)}, **lineage),
        decode={(digest("a"), "bfloat16"): 137.25},
    )


def printed(board: Leaderboard, **options: Any) -> str:
    stream = io.StringIO()
    print_leaderboard(board, Console(file=stream, color_system=None, **options))
    return stream.getvalue()


def text_of(page: str) -> str:
    """What a page says, without tags."""
    return " ".join(html.unescape(re.sub("<[^>]*>", "", page)).split())


def test_every_format_says_first_which_model_to_ship(board: Leaderboard) -> None:
    markdown = leaderboard_markdown(board)
    assert markdown.startswith("# Leaderboard\n\n**Which model to ship.** **a-sft** is surely")
    assert SAID in markdown.replace("**", "").replace("\\", "")
    page = text_of(leaderboard_html(board).partition("<main>")[2])
    assert page.startswith(f"Which model to ship {SAID}")
    for options in ({"force_terminal": True, "width": 200}, {"width": 80}):
        lines = [line for line in printed(board, **options).splitlines() if line.strip()]
        assert SAID in lines[0]


def test_every_format_shows_the_change_from_the_parent(board: Leaderboard) -> None:
    assert "82.5 (78.5 to 85.9)<br>Δ +7.5 (+5.3 to +10.5) ▲ better |" in leaderboard_markdown(board)
    page = leaderboard_html(board)
    assert page.count('<span class="pair delta ') == 1
    assert "from a, better: +7.5 +5.3 to +10.5" in text_of(page).replace("▲ ", "")
    assert "82.5 (78.5 to 85.9); Δ +7.5 (+5.3 to +10.5) ▲ better" in printed(board, width=80)
    row = board.benchmarks.rows[0]
    assert row.cells[0] is not None and row.cells[0].delta is None


def test_a_change_for_the_worse_is_not_told_by_colour_alone(tmp_path: Path) -> None:
    made = board_of(
        scored(tmp_path, "a", {"arc_easy": answers()}),
        scored(tmp_path, "a-int4", {"arc_easy": answers(0, 30)}, lineage=("a", "a-int4")),
    )
    assert "Δ −7.5 (−10.5 to −5.3) ▼ worse" in leaderboard_markdown(made)
    page = leaderboard_html(made)
    assert '<span class="pair delta worse"><span><span aria-hidden="true">▼ </span>' in page
    assert "from a, worse: " in text_of(page)


def test_the_probes_speed_has_a_column_only_where_models_were_probed(board: Leaderboard) -> None:
    assert "| Tokens/s, probe | Time |" in leaderboard_markdown(board)
    assert 'data-value="137.25">137</td>' in leaderboard_html(board)
    unprobed = replace(
        board,
        benchmarks=replace(
            board.benchmarks,
            rows=tuple(
                replace(row, costs=replace(row.costs, decode=None)) for row in board.benchmarks.rows
            ),
        ),
    )
    assert "Tokens/s, probe" not in leaderboard_markdown(unprobed)
    assert "Tokens/s, probe" not in leaderboard_html(unprobed)
    assert "harness speed" in leaderboard_html(unprobed)


def test_json_holds_the_answer_and_the_changes(board: Leaderboard) -> None:
    written = leaderboard_json(board)
    assert parse_leaderboard(written) == board
    assert b'"leader": "a-sft"' in written and b'"standing": "behind"' in written


def test_filters_are_shown_where_there_is_something_to_choose(board: Leaderboard) -> None:
    page = leaderboard_html(board)
    assert re.findall('<select data-by="([a-z]+)"', page) == ["stage"]
    assert '<option value="1">instruct</option><option value="2">sft</option>' in page


def test_pages_beside_published_figures_are_linked(tmp_path: Path) -> None:
    folder = scored(tmp_path / "runs", "a", {"arc_easy": answers()}, suite="card")
    out = tmp_path / "out"
    written = write_leaderboard([folder], out)
    assert "published" not in written["leaderboard.md"].read_text()
    (out / "card.html").write_text("a page")
    written = write_leaderboard([folder], out)
    assert 'published figures: <a href="card.html">card</a>.' in text_links(written)
    assert "Beside published figures: [card](card.md)." in written["leaderboard.md"].read_text()


def text_links(written: dict[str, Path]) -> str:
    return written["leaderboard.html"].read_text("utf-8")


def test_hostile_names_are_text_in_the_answer_too(tmp_path: Path) -> None:
    hostile = scored(tmp_path, HOSTILE_NAME, {HOSTILE_NAME: answers()}, id="h", stage=HOSTILE_NAME)
    child = scored(
        tmp_path,
        "child",
        {HOSTILE_NAME: answers(9, 11)},
        lineage=(HOSTILE_NAME, "child"),
        disk_bytes=9,
    )
    made = board_of(hostile, child)
    page, markdown = leaderboard_html(made), leaderboard_markdown(made)
    assert "<script>document" not in page and "<script" not in markdown
    assert made.benchmarks.answer is not None and made.benchmarks.answer.smaller == "child"
    for text in (page, markdown, printed(made, width=80)):
        assert not set("\x1b\u202e") & set(text)


def test_twelve_models_on_fifteen_tasks_are_far_from_two_megabytes(tmp_path: Path) -> None:
    tasks = {f"task_{number}": answers(number)[:40] for number in range(15)}
    folders = [scored(tmp_path / "runs", "m0", tasks)]
    folders += [
        scored(tmp_path / "runs", f"m{place}", tasks, lineage=("m0", f"m{place}"))
        for place in range(1, 12)
    ]
    written = write_leaderboard(folders, tmp_path / "out")
    page = written["leaderboard.html"].read_text("utf-8")
    assert page.count('class="pair delta') == 11 * 15
    assert len(page.encode()) < 400_000
