"""The index: what it lists, where its links lead, and what it costs to write a site again."""

from __future__ import annotations

import html
import os
import re
import shutil
import urllib.parse
from dataclasses import replace
from pathlib import Path

import pytest

from harness.cli import main
from harness.report import write_leaderboard
from harness.report.html import run_page
from harness.report.html_index import index_html
from harness.report.index import Page, Pages, build_index, pages_in
from tests.conftest import REPOSITORY
from tests.report.fixtures.runs import (
    HOSTILE_NAME,
    choice_row,
    proportion,
    realistic,
    result,
    run,
    stored,
    stored_realistic,
)


def test_runs_are_newest_first_with_what_they_scored() -> None:
    runs = [
        run("old", [result("arc_easy", proportion(0.5, 10))], created="2026-03-01T00:30:00+02:00"),
        run(
            "new",
            [
                result("arc_easy", proportion(0.5, 10), origin="samples"),
                result("stem", proportion(0.5, 30)),
            ],
            created="2026-03-01T00:00:00+00:00",
            status="interrupted",
            tasks=("arc_easy", "stem", "mmlu"),
        ),
        run("none", [], created="no time", status="running", tasks=("arc_easy",)),
        run("all", realistic()[-1].results.values(), created="2026-02-01T00:00:00+00:00"),
    ]
    asked = replace(runs[-1].settings, tasks=(*runs[-1].settings.tasks, "divergence_choices"))
    runs[-1] = replace(runs[-1], settings=asked)  # of a root, whose suite has it
    lines = build_index(runs, Pages()).runs
    assert [line.model for line in lines] == ["new", "old", "all", "none"]
    assert [(line.docs, line.missing, line.samples) for line in lines] == [
        (40, 1, "some"),
        (10, 0, "none"),
        (140, 0, "all"),
        (0, 1, "none"),
    ]
    assert lines[0].tasks == ("arc_easy", "stem")


def test_pages_are_found_whatever_kind_they_are_of(tmp_path: Path) -> None:
    files = {
        "index.html": "",
        "leaderboard.html": "",
        "leaderboard.md": "",
        "leaderboard.json": "",
        "method.html": "",
        "gate.md": "# Gate: pass\n",
        "zephyr-report.md": "# In Markdown",
        "zephyr-report.html": "<title>A &lt;b&gt;\n title</title>",
        "bytes.html": "\udcff",
        ".part.html": "<title>half</title>",
        "compare/a--b.md": "",
        "compare/a--b.html": "",
        "compare/a--c.md": "# c against a",
        "compare/a--b.svg": "",
        "html/run.html": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, "utf-8", "surrogateescape")
    (tmp_path / "folder.html").mkdir()
    assert pages_in(tmp_path) == Pages(
        comparisons=(Page("compare/a--b.html"), Page("compare/a--c.md", "c against a")),
        gate=Page("gate.md", "Gate: pass"),
        others=(Page("bytes.html"), Page("zephyr-report.html", "A <b>\n title")),
    )
    (tmp_path / "gate.html").write_text("<title>Gate</title>")
    assert pages_in(tmp_path).gate == Page("gate.html", "Gate")
    assert pages_in(tmp_path / "nowhere") == Pages()


def links(page: Path) -> set[str]:
    """Addresses that a page leads to, as a browser reads them."""
    return {html.unescape(link) for link in re.findall(r'href="([^"]+)"', page.read_text("utf-8"))}


def test_every_link_of_every_page_leads_to_a_file_wherever_the_site_lies(tmp_path: Path) -> None:
    reports = tmp_path / "reports"
    stored_realistic(reports / "runs", docs=3)
    hostile = run(HOSTILE_NAME, [result("mine", proportion(0.5, 2))], id="hostile/<run>")
    stored(reports / "runs" / "hostile", hostile, {"mine": [choice_row(0, True)]})
    (reports / "gate.md").write_text("# Gate: pass\n")
    for command in (
        ["compare", "--tasks", "arc_easy", "smol", "smol-dpo"],
        ["report", "--suite", "zephyr-proposal"],
    ):
        assert main([*command, "--reports", str(reports)]) == 0
    (reports / "compare" / "100%--a#b?.md").write_text("")
    (reports / "data").mkdir()
    (reports / "data" / "mixture.html").write_text("<title>A mixture</title>")
    assert main(["report", "--reports", str(reports)]) == 0
    shutil.rmtree(reports / "runs")
    site = reports.rename(tmp_path / "elsewhere")
    checked, places = 0, set()
    for page in site.rglob("*.html"):
        for link in links(page):
            target, _, fragment = link.partition("#")
            assert not urllib.parse.urlsplit(link).scheme and not target.startswith("/"), link
            aim = page.parent / urllib.parse.unquote(target) if target else page
            assert aim.is_file(), f"{page.name}: {link}"
            if fragment:
                assert f'id="{fragment}"' in aim.read_text("utf-8"), f"{page.name}: {link}"
            checked += 1
            places.add(aim.resolve().relative_to(site.resolve()).parts[0])
    assert checked > 100
    told = (REPOSITORY / "docs" / "pages.md").read_text("utf-8")
    (copied,) = re.findall(r"from any static host once (.*?) are copied there", told, re.DOTALL)
    folders = {f"`{place}/`" for place in places if (site / place).is_dir()}
    assert {"`data/`", "`html/`"} <= folders <= set(re.findall("`[^`]+`", copied))
    named = {urllib.parse.unquote(link) for link in links(site / "index.html")}
    assert named >= {
        "leaderboard.html",
        "method.html",
        "gate.md",
        "zephyr-proposal.html",
        "compare/100%--a#b?.md",
        f"html/{run_page('hostile/<run>')}",
    }
    assert any(link.startswith("compare/smol--smol-dpo.") for link in named)


@pytest.mark.parametrize("folder", ["", "html/"])
def test_every_page_has_the_sites_links(folder: str, tmp_path: Path) -> None:
    written = write_leaderboard(stored_realistic(tmp_path / "runs", docs=1)[:1], tmp_path / "out")
    up = "../" if folder else ""
    pages = [path for name, path in written.items() if re.fullmatch(f"{folder}[^/]+[.]html", name)]
    assert len(pages) == (1 if folder else 3)
    for page in pages:
        (nav,) = re.findall(r'<nav class="site".*?</nav>', page.read_text("utf-8"), re.DOTALL)
        found = re.findall('href="([^"]+)"', nav)
        assert found == [f"{up}{name}.html" for name in ("index", "leaderboard", "method")]
        assert nav.count('aria-current="page"') == (0 if folder else 1)


def test_hostile_names_are_text_and_lead_to_their_page() -> None:
    hostile = run(HOSTILE_NAME, [result(HOSTILE_NAME, proportion(0.5, 2))], id="hostile/<run>")
    named = Pages(
        comparisons=(Page('compare/"><b>--x.html'),), others=(Page("a b.html", "<i>no</i>"),)
    )
    page = index_html(build_index([hostile], named, ["<b> cannot be read"]), "html")
    assert page.count("<script>") == 1 and "<b>" not in page and "<i>" not in page
    assert 'href="html/hostile%252F%253Crun%253E.html"' in page
    assert "hostile/&lt;run&gt;" in page
    assert 'href="compare/%22%3E%3Cb%3E--x.html"' in page
    assert "x against &#34;&gt;&lt;b&gt;" in page
    assert 'href="a%20b.html"' in page and "&lt;i&gt;no&lt;/i&gt;" in page
    assert "\x1b" not in page and "\u202e" not in page


def test_an_empty_site_says_what_to_do() -> None:
    page = index_html(build_index([], Pages()), "html")
    assert "There is no run yet" in page and "<table" not in page


def test_five_hundred_runs_are_a_small_page() -> None:
    runs = [
        run("smol", realistic()[0].results.values(), id=f"run-{number}") for number in range(500)
    ]
    page = index_html(build_index(runs, Pages()), "html")
    assert page.count('<tr class="run"') == 500
    assert len(page) < 500_000


def test_a_site_that_has_not_changed_is_not_written_again(tmp_path: Path) -> None:
    folders = stored_realistic(tmp_path / "runs", docs=2)[:2]
    write_leaderboard(folders, tmp_path / "out")
    files = sorted(path for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert len(files) == 6 + 2
    for path in files:
        os.utime(path, ns=(10**18 * 3, 10**18 * 3))
    write_leaderboard(folders, tmp_path / "out")
    assert {path.stat().st_mtime_ns for path in files} == {10**18 * 3}
    (tmp_path / "out" / "gate.md").write_text("# Gate: pass\n")
    write_leaderboard(folders, tmp_path / "out")
    changed = [path.name for path in files if path.stat().st_mtime_ns != 10**18 * 3]
    assert changed == ["index.html"]
