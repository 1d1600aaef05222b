"""The further pages of a run in a real browser: read, turned, marked."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.cli import main
from harness.marks import read_marks
from harness.report import write_leaderboard
from harness.report.html import run_page
from harness.report.wording import visible
from harness.run_folder import RunFolder
from tests.report.browser import Browser
from tests.report.fixtures.long_run import CHILD, EXAMPLES, HOSTILE, LONG, answers, prompt, write
from tests.report.fixtures.runs import HOSTILE_TEXT
from tests.report.test_browser import CONTRAST, clean_page
from tests.report.test_token_borders import byte_by_byte

pytestmark = pytest.mark.browser

SHOWN = (
    "return [...document.querySelectorAll('.doc:not([hidden]) .number')]"
    ".map(n => Number(n.textContent))"
)
CLICK = "document.querySelector(arguments[0]).click()"


@pytest.fixture
def pages(
    tmp_path: Path, chromium: Browser, monkeypatch: pytest.MonkeyPatch
) -> Iterator[list[Path]]:
    write(tmp_path, monkeypatch)
    yield pages_of(tmp_path)
    chromium.run("localStorage.clear()")


def pages_of(reports: Path) -> list[Path]:
    count = len(list((reports / "html").glob("a%2C2%2F%25*.html")))
    return [reports / "html" / run_page(CHILD.id, number + 1) for number in range(count)]


def on(chromium: Browser) -> str:
    return str(chromium.run("return decodeURIComponent(location.pathname.split('/').pop())"))


def test_every_page_opens_from_disk_without_a_complaint_or_request(
    chromium: Browser, pages: list[Path]
) -> None:
    assert len(pages) > 4
    for page in pages:
        clean_page(chromium, page)
        assert page.stat().st_size < 2_000_000
        chromium.run("document.querySelectorAll('details').forEach(d => d.open = true)")
        assert chromium.run(
            "return document.documentElement.scrollWidth <= document.documentElement.clientWidth"
        )


def test_pages_are_turned_forth_and_back(chromium: Browser, pages: list[Path]) -> None:
    chromium.open(pages[0])
    for page in pages[1:]:
        chromium.run(CLICK, "a.turn.next")
        assert on(chromium) == page.name
    assert chromium.run("return document.querySelector('a.turn.next')") is None
    for page in reversed(pages[1:-1]):
        chromium.run(CLICK, "a.turn.previous")
        assert on(chromium) == page.name
    chromium.run(CLICK, "a.turn.up")
    assert on(chromium) == pages[0].name


def test_docs_of_a_kind_are_read_through_all_pages(chromium: Browser, pages: list[Path]) -> None:
    """Lost: even numbers that are no multiples of 3."""
    chromium.open(pages[0])
    first = len(chromium.run(SHOWN))
    chromium.run(CLICK, "a[href$='#turned=lost']")
    assert on(chromium) == pages[1].name
    found = []
    for page in pages[1:]:
        assert on(chromium) == page.name
        found += chromium.run(SHOWN)
        if page != pages[-1]:
            chromium.run(CLICK, "a.turn.next")
    assert found == [number for number in range(first, 60) if number % 2 == 0 and number % 3]
    chromium.run(CLICK, "a.turn.up")
    assert set(chromium.run(SHOWN)) == {n for n in range(first) if n % 2 == 0 and n % 3}
    chromium.run("document.querySelector('select[data-by=turned]').value = ''")
    chromium.run("location.hash = '#verdict=<b>&turned=gained'")
    assert chromium.until("return document.querySelector('select[data-by=turned]').value !== ''")
    assert set(chromium.run(SHOWN)) == {n for n in range(first) if n % 3 == 0 and n % 2}


def test_a_link_to_a_doc_opens_it(chromium: Browser, pages: list[Path]) -> None:
    chromium.open(pages[1])
    number = chromium.run(SHOWN)[3]
    chromium.run("location.href = '#task-mmlu.' + arguments[0]", number)
    opened = "return [...document.querySelectorAll('.doc[open] .number')].map(n => n.textContent)"
    assert chromium.until(f"{opened}.length === 1")
    assert chromium.run(opened) == [str(number)]


def test_a_prompt_unfolds_to_what_the_model_saw(chromium: Browser, pages: list[Path]) -> None:
    read = "return [...document.querySelectorAll('.doc')].map(d => [d.querySelector('.number')"
    read += ".textContent, d.querySelector('pre.prompt').textContent])"
    press = "document.querySelectorAll('button.show.whole').forEach(b => b.click())"
    for page in pages:
        chromium.open(page)
        folded = dict(chromium.run(read))
        chromium.run(press)
        for number, text in chromium.run(read):
            at = int(number)
            if at in (LONG, HOSTILE):
                continue
            assert text == prompt(at)
            assert folded[number] == f"Question {at}: which & why?\nAnswer:"
        chromium.run(press)
        assert dict(chromium.run(read)) == folded


def test_hostile_texts_of_a_later_page_are_text(chromium: Browser, pages: list[Path]) -> None:
    page = next(page for page in pages if f"task-mmlu.{HOSTILE}" in page.read_text("utf-8"))
    assert page != pages[0]
    clean_page(chromium, page)
    chromium.run("document.querySelectorAll('details').forEach(d => d.open = true)")
    chromium.run("document.querySelectorAll('button.show.whole').forEach(b => b.click())")
    shown = chromium.run(
        "return document.getElementById(arguments[0]).querySelector('pre.prompt').textContent",
        f"task-mmlu.{HOSTILE}",
    )
    assert shown.startswith(EXAMPLES["virology"] + HOSTILE_TEXT[:60])
    assert chromium.run("return document.title") != "owned"
    assert chromium.run("return document.querySelectorAll('img, b').length") == 0
    assert chromium.complaints() == []


def test_marks_of_several_pages_are_one_file(
    chromium: Browser, pages: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chromium.download_to(tmp_path)
    chromium.open(pages[0])
    chromium.press("j", "g")
    chromium.run(CLICK, "a.turn.next")
    second = chromium.run(SHOWN)[0]
    chromium.press("j", "b")
    said = chromium.run("return document.querySelector('.review .count').value")
    assert said.endswith("1 doc marked here, 1 on other pages, not downloaded yet.")
    chromium.run("document.querySelector('.reviewer').value = 'Ana'")
    chromium.run(CLICK, ".download")
    assert chromium.until(
        "return document.querySelector('.review .count').value.startsWith('Downloaded')"
    )
    path = next(iter(wait_for(tmp_path)))
    told = json.loads(path.read_text("utf-8"))
    ids = {row.index: row.doc_id for row in answers(3)}
    assert told["run"] == CHILD.id
    assert [(mark["doc_id"], mark["mark"]) for mark in told["marks"]] == [
        (ids[0], "good"),
        (ids[second], "bad"),
    ]
    assert main(["marks", "import", str(path), "--reports", str(tmp_path)]) == 0
    assert "2 new" in capsys.readouterr().out
    assert len(read_marks(RunFolder(tmp_path / "runs" / "child"))) == 2
    chromium.run("localStorage.clear()")
    chromium.open(pages[1])
    assert chromium.run("return document.querySelector('.doc .tags').textContent") == "bad"
    assert chromium.complaints() == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_is_aa(chromium: Browser, pages: list[Path], scheme: str) -> None:
    chromium.emulate(scheme)
    for page in pages[:2]:
        chromium.open(page)
        chromium.run("document.querySelectorAll('button.show.whole').forEach(b => b.click())")
        assert chromium.run(CONTRAST) == []


def wait_for(folder: Path) -> list[Path]:
    import time

    deadline = time.monotonic() + 20
    while not (found := list(folder.glob("marks-*.json"))):
        assert time.monotonic() < deadline, "nothing was downloaded"
        time.sleep(0.05)
    return found


def test_token_borders_leave_the_text_as_it_is(
    chromium: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a tokenizer of bytes: a border before each character, strong where it has several."""
    from harness.report.run_files import AllPages
    from harness.report.token_borders import Borders

    write(tmp_path, monkeypatch)
    folders = [RunFolder(tmp_path / "runs" / name) for name in ("parent", "child")]
    write_leaderboard(folders, tmp_path, AllPages(CHILD.id, Borders(byte_by_byte(), "", True)))
    page = next(page for page in pages_of(tmp_path) if f"task-mmlu.{HOSTILE}" in page.read_text())
    clean_page(chromium, page)
    doc = f"document.getElementById('task-mmlu.{HOSTILE}')"
    text = f"return {doc}.querySelector('pre.prompt').textContent"
    tokens = f"return [...{doc}.querySelectorAll('.token')].map(t => t.textContent)"
    own = chromium.run(text)
    chromium.run(f"{doc}.open = true; {doc}.querySelector('.show.tokens').click()")
    assert chromium.run(text) == own
    assert chromium.run(tokens) == [*own]
    several = f"return [...{doc}.querySelectorAll('.several')].map(t => t.textContent)"
    asked = prompt(HOSTILE).removeprefix(EXAMPLES["virology"])
    wide = [letter for letter in asked if len(letter.encode()) > 1]
    assert chromium.run(several) == list(visible("".join(wide)))
    chromium.run(f"{doc}.querySelector('.show.whole').click()")
    assert chromium.run(text) == EXAMPLES["virology"] + own
    assert chromium.run(tokens) == [*EXAMPLES["virology"], *own]
    chromium.run(f"{doc}.querySelector('.show.tokens').click()")
    chromium.run(f"{doc}.querySelector('.show.whole').click()")
    assert chromium.run(text) == own and chromium.run(tokens) == []
    long = f"return document.getElementById('task-mmlu.{LONG}')?.querySelector('.show.tokens')"
    assert chromium.run(long) is None, "a prompt that is not whole has no borders"
    assert chromium.complaints() == [] and chromium.run("return document.title") != "owned"
