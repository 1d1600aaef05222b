"""A comparison's page in a real browser: from disk, light and dark, sorted, with hostile names."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.cli import main
from tests.compared import answers, documents, stored_run
from tests.report.browser import Browser
from tests.report.fixtures.runs import HOSTILE_NAME
from tests.test_compare import BASE, MODEL

pytestmark = pytest.mark.browser

NAME = r"$\frac{x}$ " + HOSTILE_NAME + "n" * 300
TASKS = (
    "return [...document.querySelectorAll('.differences tbody tr')].map(r => r.cells[0].innerText)"
)
LAST = "return document.querySelector('.differences tfoot tr').cells[0].innerText"


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A plain model and a hostile one, which is also the descendant of a third."""
    reports = tmp_path_factory.mktemp("compared")
    nats = [-30.0 - 0.1 * place for place in range(20)]
    for place, (name, right) in enumerate((("tiny", BASE), ("mid$dle$", MODEL), (NAME, MODEL))):
        rows = {
            "piqa": answers(BASE),
            "arc_easy": answers(right),
            HOSTILE_NAME: answers(BASE),
            "wikitext2": documents(nats),
        }
        lineage = ("tiny", "mid$dle$", NAME)[: place + 1]
        stored_run(reports / "runs", name, rows, id=f"run-{place}", lineage=lineage)
    assert main(["compare", "run-0", "run-1,run-2", "--reports", str(reports)]) == 0
    found = sorted((reports / "compare").glob("*.html"))
    assert len(found) == 2
    return found


def test_it_opens_without_a_complaint_or_request(chromium: Browser, pages: list[Path]) -> None:
    """The pictures stand in the page, are drawn, and nothing is wider than the window."""
    for page in pages:
        for width in (1400, 700):
            chromium.picture(width, 900)
            chromium.open(page)
            assert chromium.complaints() == []
            asked = [url for url in chromium.requests() if url != page.resolve().as_uri()]
            assert all(url.startswith("data:image/svg+xml;base64,") for url in asked)
            drawn = chromium.run(
                "return [...document.images].map(i => [i.complete, i.naturalWidth, i.alt.length])"
            )
            assert drawn and all(done and wide > 300 and said > 40 for done, wide, said in drawn)
            assert chromium.run("return document.documentElement.scrollWidth <= innerWidth")


def test_headings_sort_and_the_pool_stays_last(chromium: Browser, pages: list[Path]) -> None:
    chromium.open(pages[-1])
    first = chromium.run(TASKS)
    assert first[:2] == ["piqa", "arc_easy"] and first[-1] == "wikitext2"

    def click(heading: int) -> list[str]:
        chromium.run(
            "document.querySelectorAll('.differences button.sort')[arguments[0]].click()", heading
        )
        names: list[str] = chromium.run(TASKS)
        return names

    assert click(0)[0].startswith("<script>") and click(0)[0] == "wikitext2"
    assert click(7)[0] == "arc_easy", "the smallest p first"
    assert click(5)[-1] == "wikitext2", "the most docs first"
    assert chromium.run(LAST) == "all accuracy tasks"


def test_hostile_names_are_seen_as_text(chromium: Browser, pages: list[Path]) -> None:
    hostile = next(page for page in pages if "script" in page.name)
    chromium.open(hostile)
    assert chromium.run("return document.title") != "owned"
    for place in ("h1", ".verdict", ".differences thead"):
        said = chromium.run("return document.querySelector(arguments[0]).textContent", place)
        assert '<script>document.title="owned"</script>' in said, place
    assert chromium.run("return document.images[0].alt").startswith("Forest plot of $\\frac{x}$")
    assert chromium.run("return document.querySelectorAll('main script').length") == 0


def test_pictures_follow_the_colours_of_the_page(chromium: Browser, pages: list[Path]) -> None:
    """In the corner of the picture is the page's own background, light or dark."""
    chromium.picture(1400, 900)
    try:
        for scheme, dark in (("light", False), ("dark", True)):
            chromium.emulate(scheme)
            chromium.open(pages[-1])
            corner = chromium.run(
                "const image = document.images[0], canvas = document.createElement('canvas');"
                "canvas.width = canvas.height = 4; const pen = canvas.getContext('2d');"
                "pen.drawImage(image, 0, 0); return [...pen.getImageData(1, 1, 1, 1).data]"
            )
            assert (max(corner[:3]) < 60) is dark, (scheme, corner)
    finally:
        chromium.emulate("light")
