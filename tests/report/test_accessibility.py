"""Every page through axe-core in a real browser, in both colour schemes; and a picture of each."""

from pathlib import Path

import pytest

from harness.cli import main
from harness.report.data_pages import write_card_pages
from tests.report.axe import NoAxe, axe_source, findings
from tests.report.browser import Browser
from tests.report.fixtures.cards import card
from tests.report.fixtures.runs import (
    HOSTILE_NAME,
    HOSTILE_TEXT,
    choice_row,
    proportion,
    result,
    run,
    stored,
    stored_realistic,
)
from tests.report.screenshots import SCHEMES, one_of_each, pages, take

pytestmark = pytest.mark.browser

BAD = """<!doctype html><html lang="en"><head><title>Bad</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
</head><body style="background:#fff"><main><h1>Bad</h1><p style="color:#ccc">hardly to be read</p>
<input type="search"></main></body></html>"""


@pytest.fixture(scope="module", autouse=True)
def checker() -> None:
    try:
        axe_source()
    except NoAxe as why:
        pytest.skip(str(why))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site as the commands write it: whatever page they write is checked, of a new kind too."""
    reports = tmp_path_factory.mktemp("site")
    stored_realistic(reports / "runs", docs=6)
    hostile = run(HOSTILE_NAME, [result(HOSTILE_NAME, proportion(0.5, 2))], id="hostile/<run>")
    rows = [choice_row(number, False, prompt=HOSTILE_TEXT) for number in range(2)]
    stored(reports / "runs" / "hostile", hostile, {HOSTILE_NAME: rows})
    for command in (
        ["report", "--suite", "zephyr-proposal"],
        ["compare", "--tasks", "arc_easy", "smol", "smol-dpo"],
        ["report"],
    ):
        assert main([*command, "--reports", str(reports)]) == 0
    write_card_pages(card(), reports)
    return reports


def test_a_bad_page_is_found(chromium: Browser, tmp_path: Path) -> None:
    """The checker runs in spite of a policy, and would say so if a page were bad."""
    bad = tmp_path / "bad.html"
    bad.write_text(BAD)
    chromium.open(bad)
    assert {found.rule for found in findings(chromium) if found.serious} == {
        "color-contrast",
        "label",
    }


@pytest.mark.parametrize("scheme", SCHEMES)
def test_nothing_serious_is_found_on_any_page(chromium: Browser, site: Path, scheme: str) -> None:
    names = {page.relative_to(site).parts[0] for page in pages(site)}
    assert names >= {
        "index.html",
        "leaderboard.html",
        "method.html",
        "zephyr-proposal.html",
        "html",
        "data",
    }
    chromium.emulate(scheme)
    bad = {}
    for page in one_of_each(site):
        chromium.open(page)
        if serious := [found for found in findings(chromium) if found.serious]:
            bad[str(page.relative_to(site))] = serious
    assert bad == {}


def test_every_kind_of_page_has_its_picture(chromium: Browser, site: Path, tmp_path: Path) -> None:
    written = take(chromium, site, tmp_path)
    names = {path.name for path in written}
    assert {f"{name}-{scheme}.png" for name in ("index", "method") for scheme in SCHEMES} <= names
    for light, dark in zip(written[::2], written[1::2], strict=True):
        assert light.read_bytes()[:8] == dark.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
        assert light.read_bytes() != dark.read_bytes(), "the two schemes look alike"
