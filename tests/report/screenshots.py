"""Pictures of a site's pages, light and dark, for people to look at.

python -m tests.report.screenshots reports pictures
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from tests.report.browser import CHROMIUM, DRIVER, Browser, browser

WIDTH, HEIGHT = 1400, 1000
SCHEMES = ("light", "dark")


def pages(site: Path) -> list[Path]:
    """Every page of a site, whatever kind it is of."""
    return sorted(path for path in site.rglob("*.html") if not path.name.startswith("."))


def one_of_each(site: Path) -> Iterator[Path]:
    """All pages beside the index, and the newest of every folder below."""
    newest: dict[Path, Path] = {}
    for page in pages(site):
        if page.parent == site:
            yield page
        else:
            there = newest.setdefault(page.parent, page)
            if page.stat().st_mtime_ns > there.stat().st_mtime_ns:
                newest[page.parent] = page
    yield from newest.values()


def take(chromium: Browser, site: Path, out: Path) -> list[Path]:
    """Write a picture of one page of each kind, in both colour schemes; returns the files."""
    out.mkdir(parents=True, exist_ok=True)
    written = []
    for page in one_of_each(site):
        folder = "" if page.parent == site else f"{page.parent.name}-"
        for scheme in SCHEMES:
            chromium.emulate(scheme)
            chromium.open(page)
            written.append(out / f"{folder}{page.stem[:80]}-{scheme}.png")
            written[-1].write_bytes(chromium.picture(WIDTH, HEIGHT))
    return written


def main(arguments: list[str]) -> int:
    """Take pictures of the site in the first folder into the second."""
    if len(arguments) != 2:
        print("usage: python -m tests.report.screenshots REPORTS PICTURES", file=sys.stderr)
        return 2
    site, out = map(Path, arguments)
    if not pages(site):
        print(f"there is no page in {site}: `make report` writes them", file=sys.stderr)
        return 2
    if not (CHROMIUM and DRIVER):
        print("no chromium and chromedriver (apt-get install chromium chromium-driver)")
        return 1
    with browser() as chromium:
        for path in take(chromium, site, out):
            print(path)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
