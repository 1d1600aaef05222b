"""The leaderboard and the run page as Markdown, JSON, HTML and in the terminal."""

import base64
import hashlib
import io
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from harness.errors import RecordError, StorageError
from harness.records import NoiseFloor
from harness.report import build_leaderboard, write_leaderboard
from harness.report.html import leaderboard_html, run_page
from harness.report.markdown import escape, leaderboard_markdown
from harness.report.site import leaderboard_json, parse_leaderboard
from harness.report.terminal import print_leaderboard, print_run
from harness.run_folder import RunFolder
from tests.report.fixtures.pages import first_page
from tests.report.fixtures.runs import (
    HOSTILE_NAME,
    HOSTILE_TEXT,
    choice_row,
    ends,
    generated_row,
    proportion,
    realistic,
    result,
    run,
    stored,
    stored_realistic,
)

GOLDEN = Path(__file__).parent / "fixtures" / "leaderboard.md"


def hostile_run(**changes: Any) -> Any:
    task = result(HOSTILE_NAME, proportion(0.5, 4), dataset=(HOSTILE_NAME, HOSTILE_NAME))
    return run(
        HOSTILE_NAME,
        [task],
        id='../<img src="x">/"run',
        family=HOSTILE_NAME,
        notes=HOSTILE_NAME,
        command=HOSTILE_TEXT,
        **changes,
    )


def test_markdown_is_as_reviewed() -> None:
    """After a wanted change: REWRITE_GOLDEN=1 pytest tests/report, then read the diff."""
    text = leaderboard_markdown(build_leaderboard(realistic()))
    if os.environ.get("REWRITE_GOLDEN"):
        GOLDEN.write_text(text, encoding="utf-8")
    assert text == GOLDEN.read_text(encoding="utf-8")


def test_markdown_shows_hostile_names_as_text() -> None:
    text = leaderboard_markdown(build_leaderboard([hostile_run(), *realistic()]))
    assert "<script" not in text and "\x1b" not in text and "\u202e" not in text
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    widths = {len(re.findall(r"(?<!\\)\|", line)) for line in rows if "arc" not in line}
    assert widths <= {9, 7, 4}, "a name has opened or closed a table cell"
    assert r"\[a\](javascript:alert(1))" in text


def test_escaped_markdown_is_text_to_a_parser() -> None:
    from markdown_it import MarkdownIt

    for text in (HOSTILE_NAME, "a|b", "_x_ *y* `z` ~~s~~", "https://evil.example", "# h", "a\\|b"):
        html = MarkdownIt("gfm-like", {"linkify": False}).render(f"| {escape(text)} |\n| - |\n")
        assert not re.search(r"<(script|a|em|code|s|h1|img)\b", html), html
        assert html.count("<th>") == 1
    assert escape("arc_easy") == "arc_easy"


def test_json_round_trip() -> None:
    board = build_leaderboard([hostile_run(), *realistic()], notes=["one run was torn"])
    assert parse_leaderboard(leaderboard_json(board)) == board


def test_json_has_no_nan_and_refuses_other_content() -> None:
    odd = result("arc_easy", ends(float("nan"), None, float("inf")))
    text = leaderboard_json(build_leaderboard([run("a", [odd])]))
    assert b"NaN" not in text and b"Infinity" not in text
    assert b'"value": null' in text
    with pytest.raises(RecordError, match="not a leaderboard"):
        parse_leaderboard(b'{"benchmarks": 3}')


def inline(page: str, tag: str) -> str:
    found = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
    assert len(found) == 1
    return str(found[0])


@pytest.mark.parametrize("kind", ["leaderboard", "run"])
def test_pages_are_self_contained_under_a_strict_policy(kind: str, tmp_path: Path) -> None:
    folder = stored(tmp_path / "r", realistic()[0], {"arc_easy": [choice_row(0, True)]})
    page = (
        first_page(folder, folder.read())
        if kind == "run"
        else leaderboard_html(build_leaderboard(realistic()))
    )
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)
    assert policy and policy[1].startswith("default-src 'none'; ")
    assert "unsafe" not in policy[1]
    for tag, directive in (("script", "script-src"), ("style", "style-src")):
        digest = hashlib.sha256(inline(page, tag).encode()).digest()
        assert f"{directive} 'sha256-{base64.b64encode(digest).decode()}'" in policy[1]
    assert not re.search(r'(src|href)="(https?:)?//', page)
    assert not re.search(r"\sstyle=|\son\w+=", page), "inline styles and handlers are blocked"


def test_html_shows_hostile_texts_as_text(tmp_path: Path) -> None:
    made = hostile_run()
    task = next(iter(made.results))
    rows = [
        choice_row(0, False, prompt=HOSTILE_TEXT, continuations=(HOSTILE_TEXT,) * 4),
        generated_row(1, HOSTILE_TEXT, target=HOSTILE_TEXT, group=HOSTILE_TEXT, doc_id="</code>"),
        choice_row(2, False, unscored=HOSTILE_TEXT, scores={}),
    ]
    written = write_leaderboard([stored(tmp_path / "r", made, {task: rows})], tmp_path / "out")
    for name in written:
        if name.endswith(".html"):
            page = written[name].read_text(encoding="utf-8")
            assert page.count("<script>") == page.count("</script>") == 1
            assert "<img" not in page and "<b>" not in page
            assert 'href="javascript' not in page
            assert "\x1b" not in page and "\x00" not in page
    page = written[f"html/{run_page(made.id)}"].read_text(encoding="utf-8")
    assert "{{ 7 * 7 }}" in page and "␀␛]0;owned␇" in page


def test_a_run_id_cannot_lead_out_of_the_folder_and_links_find_its_page(tmp_path: Path) -> None:
    import html
    import urllib.parse

    made = hostile_run()
    written = write_leaderboard([stored(tmp_path / "r", made, {})], tmp_path / "out")
    assert sorted(path.parent.name for path in written.values()) == ["html", *["out"] * 6]
    page = written["leaderboard.html"].read_text(encoding="utf-8")
    links = {html.unescape(link) for link in re.findall(r'href="([^"]+)"', page)}
    assert links
    for link in links:
        target, _, fragment = link.partition("#")
        aim = tmp_path / "out" / urllib.parse.unquote(target)
        assert aim.is_file()
        if fragment:
            assert f'id="{fragment}"' in aim.read_text(encoding="utf-8")


def test_a_run_with_a_long_id_has_a_page(tmp_path: Path) -> None:
    runs = [run("smol", [], id="ü" * 99 + end) for end in "ab"]
    folders = [stored(tmp_path / end, made, {}) for end, made in zip("ab", runs, strict=True)]
    assert len(write_leaderboard(folders, tmp_path / "out")) == 6 + 2


def test_a_torn_run_is_named_and_the_others_are_shown(tmp_path: Path) -> None:
    good = stored_realistic(tmp_path / "runs", docs=3)
    torn = RunFolder(tmp_path / "runs" / "torn")
    torn.create()
    (torn.path / "run.json").write_text('{"schema": 1, "id": ')
    written = write_leaderboard([*good, torn], tmp_path / "out")
    for name in ("leaderboard.md", "leaderboard.html", "leaderboard.json"):
        text = written[name].read_text(encoding="utf-8")
        assert "torn cannot be read" in text
        assert "smol-dpo" in text


def drawn(pages: Path) -> dict[str, bytes]:
    """Mark every page, so that one which is drawn again is told from one that is kept."""
    marked = {}
    for page in pages.glob("*.html"):
        times = page.stat()
        page.write_bytes(page.read_bytes() + b"<!-- kept -->")
        os.utime(page, ns=(times.st_atime_ns, times.st_mtime_ns))
        marked[page.name] = page.read_bytes()
    return marked


def redrawn(before: dict[str, bytes], pages: Path) -> set[str]:
    return {
        page.name for page in pages.glob("*.html") if before.get(page.name) != page.read_bytes()
    }


def test_a_page_is_drawn_again_only_if_its_run_has_changed(tmp_path: Path) -> None:
    folders = stored_realistic(tmp_path / "runs", docs=3)[:3]
    runs, pages = [folder.read() for folder in folders], tmp_path / "out" / "html"
    written = write_leaderboard(folders, tmp_path / "out")
    names = [run_page(made.id) for made in runs]

    before = drawn(pages)
    again = write_leaderboard(folders, tmp_path / "out")
    assert redrawn(before, pages) == set()
    assert again == written, "pages that are kept are among the report's files"

    later = folders[0].path.stat().st_mtime + 60
    os.utime(folders[0].path / "run.json", (later, later))
    os.utime(folders[1].rows_path("mmlu"), (later, later))
    write_leaderboard(folders, tmp_path / "out")
    assert redrawn(before, pages) == set(names[:2])

    before = drawn(pages)
    (pages / names[0]).unlink()
    os.utime(pages / names[2], (0, 0))
    write_leaderboard(folders, tmp_path / "out")
    assert redrawn(before, pages) == {names[0], names[2]}


def test_a_page_of_another_version_is_drawn_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = stored_realistic(tmp_path / "runs", docs=3)[:2]
    write_leaderboard(folders, tmp_path / "out")
    before = drawn(tmp_path / "out" / "html")
    for module in ("html", "run_files"):
        monkeypatch.setattr(f"harness.report.{module}.generator", lambda: "lineup-harness 9.9 0")
    write_leaderboard(folders, tmp_path / "out")
    assert redrawn(before, tmp_path / "out" / "html") == set(before)


def test_a_run_that_changes_while_its_page_is_drawn_is_drawn_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An evaluation in another process may finish a task between the reading and the writing."""
    from harness.report import run_files
    from harness.report.run_page import run_pages

    folder = stored_realistic(tmp_path / "runs", docs=3)[0]
    later = folder.path.stat().st_mtime + 60

    def meanwhile(*asked: Any, **how: Any) -> Any:
        os.utime(folder.path / "run.json", (later, later))
        return run_pages(*asked, **how)

    monkeypatch.setattr(run_files, "run_pages", meanwhile)
    write_leaderboard([folder], tmp_path / "out")
    before = drawn(tmp_path / "out" / "html")
    monkeypatch.undo()
    write_leaderboard([folder], tmp_path / "out")
    assert redrawn(before, tmp_path / "out" / "html") == set(before)


def test_no_runs_make_a_page_that_says_so(tmp_path: Path) -> None:
    written = write_leaderboard([], tmp_path)
    assert "No run has a finished task yet" in written["leaderboard.md"].read_text()
    assert "No run has a finished task yet" in written["leaderboard.html"].read_text()


def test_an_unwritable_folder_is_a_storage_error(tmp_path: Path) -> None:
    blocked = tmp_path / "out"
    blocked.write_text("a file stands here")
    with pytest.raises(StorageError, match="choose another folder"):
        write_leaderboard([], blocked)


def test_missing_and_torn_rows_leave_the_figures_standing(tmp_path: Path) -> None:
    made = realistic()[0]
    folder = stored(tmp_path / "r", made, {"arc_easy": [choice_row(0, True)]})
    with folder.rows_path("arc_easy").open("a") as rows:
        rows.write('{"doc_id": "half')
    page = first_page(folder, made)
    assert "arc_easy.jsonl, line 2" in page
    assert "the rows of mmlu are not here: there is no " in page
    assert "53.1 %" in page


@pytest.mark.parametrize(("primary", "chosen"), [("acc", " oxygen"), ("acc_norm", " ammonia x")])
def test_the_chosen_answer_is_the_one_the_primary_metric_scores(primary: str, chosen: str) -> None:
    """Oxygen: -6 in all, -6 / 6 = -1 per character. Ammonia x: -7 in all, -7 / 9 = -0.78."""
    from harness.report.docs import shown_doc

    row = choice_row(
        0,
        False,
        continuations=(" oxygen", " ammonia x"),
        logprobs=(-6.0, -7.0),
        greedy=(False, False),
        target="oxygen",
    )
    doc = shown_doc(row, result("arc_easy", proportion(0.5, 4), primary))
    assert [choice.text.head for choice in doc.choices if choice.chosen] == [chosen]
    assert [choice.gold for choice in doc.choices] == [True, False]
    assert [choice.per_char for choice in doc.choices] == [-1.0, pytest.approx(-7 / 9)]


@pytest.mark.parametrize(
    ("statistic", "written"),
    [
        (1.0, "1"),
        (0.12345678, "0.123457"),
        ((-10.0, 4), "-10.00 / 4"),
        ((10**400, 1), None),
        (("the reference", "a\x1b[2J prediction"), '["the reference", "a\\u001b[2J prediction"]'),
        ((True, None), "[true, null]"),
        ((1.0, 2.0, 3.0), "[1.0, 2.0, 3.0]"),
        ((), "[]"),
        ("positive", '"positive"'),
        ({"pred": [1], "ref": "\ud800"}, None),
        (("x" * 10_000, [{"deep": ()}]), '["' + "x" * 157 + "…"),
    ],
)
def test_whatever_a_doc_contributes_can_be_shown(statistic: Any, written: str | None) -> None:
    from harness.report.docs import shown_doc

    row = choice_row(0, True, scores={"acc": statistic})
    (shown,) = shown_doc(row, result("arc_easy", proportion(0.5, 4))).scores
    assert written is None or shown == ("acc", written)
    shown[1].encode()


def test_a_result_with_groups_but_without_its_primary_metric_is_drawn(tmp_path: Path) -> None:
    odd = realistic()[0].results["mmlu"]
    made = run("smol", [replace(odd, estimates={})])
    page = first_page(stored(tmp_path / "r", made, {}), made)
    assert "no estimates were recorded" in page and "anatomy" in page


def printed(draw: Any, what: object, **options: Any) -> str:
    stream = io.StringIO()
    draw(what, Console(file=stream, color_system=None, **options))
    return stream.getvalue()


def test_the_terminal_gets_a_table_that_fits_and_a_pipe_gets_lines() -> None:
    board = build_leaderboard(realistic())
    wide = printed(print_leaderboard, board, force_terminal=True, width=240)
    assert "on disk" in wide and "*16.3 (14.3 to 18.3)" in wide
    narrow = printed(print_leaderboard, board, force_terminal=True, width=80)
    assert all(len(line) <= 80 for line in narrow.splitlines() if " to " in line)
    assert "peak memory" not in narrow and "53.1 (51.1 to 55.1)" in narrow
    plain = printed(print_leaderboard, board, width=80)
    assert "smol\tarc_easy\tacc, % ↑\t53.1 (51.1 to 55.1)" in plain
    assert "bloom-560m\tmmlu" not in plain


def test_terminal_texts_have_no_control_characters_or_markup() -> None:
    made = run("[red]x[/red]\x1b[2J\u202e", [result("arc_\x07easy", proportion(0.5, 9))])
    for options in ({"force_terminal": True, "width": 200}, {"width": 80}):
        for draw, what in ((print_leaderboard, build_leaderboard([made])), (print_run, made)):
            text = printed(draw, what, **options)
            assert "[red]x[/red]" in text
            assert not set("\x1b\x07\u202e") & set(text)


def test_a_run_in_the_terminal() -> None:
    text = printed(print_run, realistic()[0], force_terminal=True, width=160)
    assert "exact_match (flexible-extract), % ↑" in text and "3 groups" in text
    cut = printed(print_run, realistic()[5], width=80)
    assert "not scored: hellaswag, mmlu, gsm8k, wikitext2" in cut
    assert "no task was finished" in printed(print_run, run("a", [], status="failed"), width=80)


def noisy_run() -> Any:
    layouts = ("packed, 1,024 tokens a pass", "packed, 512 tokens a pass")
    choices = NoiseFloor(50, 2, 1, 1.0, 0.6138, 0.0123, layouts)
    text = NoiseFloor(1, 1, 0, 0.00251, 1.25, 1.25, layouts)
    generated = NoiseFloor(50, 0, 0, 0.0, None, None, (HOSTILE_NAME, HOSTILE_NAME))
    nothing = NoiseFloor(0, 0, 3, None, None, None, layouts)
    measured = {"arc_easy": choices, "wikitext2": text, "gsm8k": generated, "mmlu": nothing}
    results = [result(task, proportion(0.5, 100), noise=n) for task, n in measured.items()]
    unmeasured = result("hellaswag", proportion(0.5, 100), "acc_norm")
    return replace(run("smol", [*results, unmeasured]), plan=layouts[0])


NOISE = (
    "arc_easy: noise floor: 2 of 50 docs change between two batch layouts, "
    "largest log-probability change 0.61 nats, mean 0.012; 1 doc left out, unscored",
    "wikitext2: noise floor: 1 of 1 doc changes between two batch layouts, largest change of a "
    "doc's value 0.0025, largest log-probability change 1.2 nats, mean 1.2",
    "gsm8k: noise floor: 0 of 50 docs change between two batch layouts",
    "mmlu: noise floor: no doc could be compared; 3 docs left out, unscored",
)


def test_a_noise_floor_is_shown_and_explained(tmp_path: Path) -> None:
    import html

    made = noisy_run()
    in_terminal = printed(print_run, made, width=80)
    assert "answered by lm_eval: packed, 1,024 tokens a pass" in in_terminal
    written = first_page(stored(tmp_path / "r", made, {}), made)
    assert "<script>document" not in written
    page = html.unescape(written)
    assert "<dt>Batches</dt><dd>packed, 1,024 tokens a pass</dd>" in page
    assert "(packed, 1,024 tokens a pass against packed, 512 tokens a pass)" in page
    board = build_leaderboard([made])
    assert parse_leaderboard(leaderboard_json(board)) == board
    boards = leaderboard_markdown(board), html.unescape(leaderboard_html(board))
    for line in NOISE:
        assert line in in_terminal and line in page
        for text in boards:
            assert f"smol, {line}" in text.replace("arc\\_easy", "arc_easy")
    for text in (page, *boards):
        assert text.count("what rounding alone does") == 1
        assert "hellaswag: noise" not in text
    assert "what rounding alone does" in printed(print_run, made, force_terminal=True, width=400)

    plain = realistic()[0]
    for text in (printed(print_run, plain), first_page(stored(tmp_path / "p", plain, {}), plain)):
        assert "rounding" not in text and "answered by" not in text and "Batches" not in text


@pytest.mark.parametrize("options", [{"force_terminal": True, "width": 240}, {"width": 80}])
def test_a_run_says_why_docs_were_not_scored(options: dict[str, Any]) -> None:
    reasons = {"no answer\x1b[2J": 2, "window longer than the context": 97}
    nothing = ends(None, None, None, n=0)
    made = run(
        "smol",
        [
            result("mmlu", nothing, docs=100, unscored=100, unscored_reasons=reasons, truncated=1),
            result("gsm8k", proportion(0.5, 10), docs=1, truncated=1),
            result("arc_easy", proportion(0.5, 10)),
            replace(result("drop", nothing, docs=3, unscored=3), estimates={}),
        ],
    )
    lines = [line.strip() for line in printed(print_run, made, **options).splitlines()]
    assert lines[-6:] == [
        "mmlu: 97 of 100 docs unscored: window longer than the context",
        "mmlu: 2 of 100 docs unscored: no answer[2J",
        "mmlu: 1 of 100 docs unscored: no reason was recorded",
        "mmlu: 1 of 100 docs truncated: longer than what is read at once: "
        "prompts lost their beginning, what BERTScore compares its end",
        "gsm8k: 1 of 1 doc truncated: longer than what is read at once: "
        "prompts lost their beginning, what BERTScore compares its end",
        "drop: 3 of 3 docs unscored: no reason was recorded",
    ]
