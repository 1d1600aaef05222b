"""The review view in a real browser: keys move and mark, marks are downloaded and taken in."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.cli import main
from harness.marks import read_marks
from harness.run_folder import RunFolder
from tests.report.browser import Browser
from tests.report.fixtures.reviewed import NAMED, answers, page_of, write
from tests.report.fixtures.runs import HOSTILE_TEXT
from tests.report.test_browser import CONTRAST

pytestmark = pytest.mark.browser

ESCAPE, RIGHT, LEFT, DOWN, UP = "\ue00c", "\ue014", "\ue012", "\ue015", "\ue013"


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    write(tmp_path)
    return tmp_path


@pytest.fixture
def page(chromium: Browser, reports: Path) -> Iterator[Path]:
    page = page_of(reports)
    chromium.open(page)
    yield page
    chromium.open(page)
    chromium.run("localStorage.clear()")


def test_keys_move_mark_and_take_back(chromium: Browser, page: Path) -> None:
    """Two docs are marked with keys, one by a note alone; one mark is taken back."""
    chromium.press("j", "g", RIGHT, "b", "j", "u", "u")
    assert opened(chromium) == ["2"]
    chromium.press("n", *"so-so", ESCAPE, "k", "n", *"jug", ESCAPE)
    assert opened(chromium) == ["1"]
    assert tags(chromium) == ["good", "bad", "note", "", "", ""]
    assert chromium.run("return document.querySelector('.review .count').value") == (
        "3 docs marked here, not downloaded yet."
    )
    chromium.press(LEFT, LEFT)
    assert opened(chromium) == ["0"]
    chromium.press(DOWN)
    assert opened(chromium) == ["1"]
    chromium.press(UP, "g")
    assert tags(chromium) == ["", "bad", "note", "", "", ""]
    pressed = "return [...document.querySelectorAll('button[aria-pressed=true]')].length"
    assert chromium.run(pressed) == 1
    assert chromium.complaints() == []


def test_the_downloaded_file_is_taken_in_and_shown_again(
    chromium: Browser, page: Path, reports: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chromium.download_to(reports)
    chromium.press("j", "g", "j", "u", "n", *'<b>"how"', ESCAPE)
    download = "document.querySelector('.download').click()"
    chromium.run(download)
    assert "Write your name first" in said(chromium)
    assert chromium.run("return document.activeElement.className") == "reviewer"
    chromium.press(*"Ana j", ESCAPE)
    chromium.run(download)
    path = downloaded(reports)
    told = json.loads(path.read_text("utf-8"))
    assert told["run"] == NAMED.id and told["reviewer"] == "Ana j"
    assert [(each["mark"], each["note"]) for each in told["marks"]] == [
        ("good", ""),
        ("unsafe", '<b>"how"'),
    ]
    assert main(["marks", "import", str(path), "--reports", str(reports)]) == 0
    assert "2 new, 0 changed, 0 unchanged" in capsys.readouterr().out
    assert {mark.mark for mark in read_marks(RunFolder(reports / "runs" / "child"))} == {
        "good",
        "unsafe",
    }
    chromium.run("localStorage.clear()")
    chromium.open(page)
    assert tags(chromium) == ["good", "unsafe", "", "", "", ""]
    assert chromium.run("return document.querySelector('.marks .words').textContent") == (
        '<b>"how"'
    )
    assert chromium.complaints() == []


def test_marks_outlive_the_page(chromium: Browser, page: Path) -> None:
    chromium.press("j", "b")
    chromium.open(page)
    assert tags(chromium)[0] == "bad"
    assert "Marks stay in this browser" in help_line(chromium)


def test_two_reviewers_at_one_browser_download_their_own(
    chromium: Browser, page: Path, reports: Path
) -> None:
    """Ana marks two docs, the first before she writes her name; Ben marks one of them otherwise."""
    chromium.download_to(reports)
    chromium.press("j", "g")
    sign(chromium, "Ana")
    chromium.press("j", "u")
    chromium.run("document.querySelector('.download').click()")
    assert [each["mark"] for each in taken(reports, "Ana")] == ["good", "unsafe"]
    sign(chromium, "Ben")
    assert tags(chromium) == [""] * 6
    assert said(chromium) == "0 docs marked here, 2 of other reviewers left out."
    chromium.press("b")
    chromium.run("document.querySelector('.download').click()")
    assert [each["mark"] for each in taken(reports, "Ben")] == ["bad"]
    assert said(chromium).endswith("1 doc marked here, 2 of other reviewers left out.")
    sign(chromium, "Ana")
    assert tags(chromium)[:3] == ["good", "unsafe", ""]
    chromium.open(page)
    assert tags(chromium)[:3] == ["good", "unsafe", ""]


def test_two_windows_keep_each_others_marks(chromium: Browser, page: Path) -> None:
    with chromium.another_window():
        chromium.open(page)
        chromium.press("j", "g", "n", *"why", ESCAPE)
    assert chromium.until("return document.querySelector('.doc .tags').textContent === 'good'")
    assert said(chromium).startswith("Marked in another window: 1 doc")
    chromium.press("j", "j", "b")
    chromium.open(page)
    assert tags(chromium)[:3] == ["good", "bad", ""]
    chromium.press("j")
    assert chromium.run("return document.querySelector('.marking textarea').value") == "why"


REFUSE = (
    "Object.defineProperty(window, 'localStorage', "
    "{ get() { throw new DOMException('refused', 'SecurityError'); } });"
)


def test_two_reviewers_where_a_page_may_keep_nothing(
    chromium: Browser, page: Path, reports: Path
) -> None:
    with chromium.before_pages(REFUSE):
        chromium.open(page)
        chromium.download_to(reports)
        sign(chromium, "Ana")
        chromium.press("j", "g")
        sign(chromium, "Ben")
        assert tags(chromium) == [""] * 6
        chromium.press("b")
        chromium.run("document.querySelector('.download').click()")
        assert [each["mark"] for each in taken(reports, "Ben")] == ["bad"]
        sign(chromium, "Ana")
        assert tags(chromium)[0] == "good"
        assert said(chromium).endswith("1 doc marked here, 1 of other reviewers left out.")


def test_marks_of_earlier_pages_are_the_known_reviewers(chromium: Browser, page: Path) -> None:
    """They were kept without a name, and the name beside them."""
    doc_id = answers("dpo", "r" * 6)[0].doc_id
    entry = {"task": "gsm8k", "doc_id": doc_id, "mark": "good", "note": "", "at": ""}
    for key, kept in (
        (f"harness marks {NAMED.id}", json.dumps([entry])),
        ("harness reviewer", "Ana"),
    ):
        chromium.run("localStorage.setItem(arguments[0], arguments[1])", key, kept)
    chromium.open(page)
    assert tags(chromium)[0] == "good"
    sign(chromium, "Ben")
    chromium.open(page)
    assert said(chromium) == "0 docs marked here, 1 of other reviewers left out."
    sign(chromium, "Ana")
    assert tags(chromium)[0] == "good"


def test_marks_work_where_a_page_may_keep_nothing(
    chromium: Browser, page: Path, reports: Path
) -> None:
    """As in browsers that refuse localStorage to pages from disk: asking for it is an error."""
    with chromium.before_pages(REFUSE):
        chromium.open(page)
        assert "only until the page is closed" in help_line(chromium)
        chromium.press("j", "g")
        assert tags(chromium)[0] == "good"
        chromium.run("document.querySelector('.reviewer').value = 'Ana'")
        chromium.download_to(reports)
        chromium.run("document.querySelector('.download').click()")
        assert len(json.loads(downloaded(reports).read_text())["marks"]) == 1
        assert chromium.complaints() == []


def test_what_a_stranger_left_in_the_browser_is_text_or_nothing(
    chromium: Browser, page: Path
) -> None:
    """All pages from disk may share one storage."""
    doc_id = answers("dpo", "r" * 6)[0].doc_id
    entry = {"task": "gsm8k", "doc_id": doc_id, "mark": "note", "note": HOSTILE_TEXT, "at": ""}
    for kept in (
        json.dumps([entry, {**entry, "mark": "<b>"}]),
        json.dumps([None]),
        "{",
    ):
        key = f"harness marks {NAMED.id}"
        chromium.run("localStorage.setItem(arguments[0], arguments[1])", key, kept)
        chromium.open(page)
        assert chromium.complaints() == [] and chromium.run("return document.title") != "owned"
        assert chromium.run("return document.querySelectorAll('img').length") == 0
        assert tags(chromium)[0] in ("note", "")


def test_lists_choose_by_marks_and_by_what_turned(chromium: Browser, page: Path) -> None:
    chromium.press("j", "g", "j", "b")
    for by, value, expected in (
        ("turned", "gained", ["2"]),
        ("turned", "lost", ["1"]),
        ("turned", "differs", ["0", "3"]),
        ("mark", "bad", ["1"]),
        ("mark", "none", ["2", "3", "4", "5"]),
        ("verdict", "unscored", ["5"]),
    ):
        choose(chromium, by, value)
        assert visible(chromium) == expected, (by, value)
        choose(chromium, by, "")
    choose(chromium, "turned", "differs")
    chromium.run("document.activeElement.blur()")
    chromium.press("j")
    assert opened(chromium) == ["3"], "keys move among what is shown"


def test_keys_are_left_alone_in_fields_and_where_turned_off(chromium: Browser, page: Path) -> None:
    chromium.press("j")
    chromium.run("document.querySelector('input[type=search]').focus()")
    chromium.press(*"jgbu")
    assert opened(chromium) == ["0"] and tags(chromium) == [""] * 6
    chromium.run("document.querySelector('.keys').click()")
    chromium.run("document.querySelector('.doc > summary').focus()")
    chromium.press("g", "j")
    assert opened(chromium) == ["0"] and tags(chromium) == [""] * 6
    chromium.run("document.querySelector('button[data-mark=bad]').click()")
    assert tags(chromium)[0] == "bad", "the buttons work without keys"


def test_a_prompt_is_opened_at_its_question(chromium: Browser, page: Path) -> None:
    """The question stands behind thirty examples; the heading is not under the bar."""
    chromium.press("j", "j")
    chromium.run("document.querySelectorAll('button.show.whole')[1].click()")
    assert chromium.until(
        "const p = document.querySelectorAll('pre.prompt')[1];"
        "return p.scrollTop > 0 && p.scrollTop + p.clientHeight >= p.scrollHeight - 2"
    )
    assert chromium.run(
        "return document.activeElement.getBoundingClientRect().top >="
        " document.querySelector('.toolbar').getBoundingClientRect().bottom"
    )


def test_hostile_answers_are_seen_as_text(chromium: Browser, page: Path) -> None:
    chromium.run("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert chromium.complaints() == []
    assert [url for url in chromium.requests() if not url.startswith("file://")] == []
    assert chromium.run("return document.title") != "owned"
    assert chromium.run("return document.querySelectorAll('img, b').length") == 0
    shown = chromium.run(
        "return [...document.querySelectorAll('.doc')[4].querySelectorAll('.side pre')]"
        ".map(p => p.textContent)"
    )
    assert len(shown) == 2
    assert all(text.startswith('</pre></script><script>document.title="own') for text in shown)
    assert chromium.run(
        "return document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_is_aa(chromium: Browser, page: Path, scheme: str) -> None:
    chromium.emulate(scheme)
    chromium.press("j", "g", "j", "b", "j", "u", "j", "n", "x", ESCAPE)
    assert chromium.run(CONTRAST) == []


def test_everything_has_a_name_and_the_focus_is_seen(chromium: Browser, page: Path) -> None:
    chromium.press("j")
    nameless = (
        "return [...document.querySelectorAll('input, select, textarea, button, pre')]"
        ".filter(e => e.checkVisibility() && !e.labels?.length && !e.ariaLabel"
        " && !(e.tagName === 'BUTTON' && e.textContent.trim())).map(e => e.outerHTML)"
    )
    assert chromium.run(nameless) == []
    outline = "return getComputedStyle(document.activeElement).outlineStyle"
    assert chromium.run(outline) == "solid"


def opened(chromium: Browser) -> list[str]:
    """Numbers of the docs that are open."""
    found: list[str] = chromium.run(
        "return [...document.querySelectorAll('.doc[open] .number')].map(n => n.textContent)"
    )
    return found


def visible(chromium: Browser) -> list[str]:
    found: list[str] = chromium.run(
        "return [...document.querySelectorAll('.doc:not([hidden]) .number')]"
        ".map(n => n.textContent)"
    )
    return found


def tags(chromium: Browser) -> list[str]:
    """The marks in the docs' headings."""
    found: list[str] = chromium.run(
        "return [...document.querySelectorAll('.doc .tags')].map(t => t.textContent)"
    )
    return found


def said(chromium: Browser) -> str:
    return str(chromium.run("return document.querySelector('.review .count').value"))


def help_line(chromium: Browser) -> str:
    return str(chromium.run("return document.querySelector('.keyhelp').textContent"))


def sign(chromium: Browser, name: str) -> None:
    """Write a reviewer's name, as one who then leaves the field."""
    chromium.run(
        "const field = document.querySelector('.reviewer');"
        "field.value = arguments[0]; field.dispatchEvent(new Event('change'));",
        name,
    )


def choose(chromium: Browser, by: str, value: str) -> None:
    chromium.run(
        "const list = document.querySelector(`select[data-by=${arguments[0]}]`);"
        "list.value = arguments[1]; list.dispatchEvent(new Event('change'));",
        by,
        value,
    )


def taken(folder: Path, reviewer: str) -> list[dict[str, str]]:
    """The marks of the file that was downloaded in that name, which is then removed."""
    path = downloaded(folder)
    told = json.loads(path.read_text("utf-8"))
    path.unlink()
    assert told["reviewer"] == reviewer
    assert {tuple(each) for each in told["marks"]} == {("task", "doc_id", "mark", "note", "at")}
    found: list[dict[str, str]] = told["marks"]
    return found


def downloaded(folder: Path) -> Path:
    deadline = time.monotonic() + 20
    while not (found := list(folder.glob("marks-*.json"))):
        assert time.monotonic() < deadline, "nothing was downloaded"
        time.sleep(0.05)
    assert found[0].name == "marks-a-b-c-.json"
    return found[0]
