"""Every link and picture of the README and the docs leads to a file that is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

PAGES = sorted([*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md")])
LINK = re.compile(r"\]\(([^)\s]+)\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text("utf-8")
    for target in LINK.findall(re.sub(r"```.*?```|`[^`]*`", "", text, flags=re.DOTALL)):
        file, _, heading = target.partition("#")
        if "://" in target:
            continue
        found = (page.parent / file) if file else page
        assert found.exists(), f"{page.name} leads to {target}, which is not there"
        if heading:
            assert heading in headings(found), f"{page.name} leads to {target}: no such heading"


def headings(page: Path) -> set[str]:
    """The names that a forge gives to a page's headings."""
    lines = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL).splitlines()
    titles = [line.lstrip("# ").lower() for line in lines if line.startswith("#")]
    return {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in titles}
