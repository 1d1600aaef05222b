"""The pages of mixtures in a report folder: ``data/<mixture>.html`` and ``.md``."""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterable, Mapping
from pathlib import Path

from harness.data_card import DataCard
from harness.learned import kept_card
from harness.records import Run
from harness.report.html import generator
from harness.report.html_card import card_html
from harness.report.index import DATA
from harness.report.markdown_card import card_markdown
from harness.report.wording import short_digest
from harness.run_folder import RunFolder
from harness.storage import write_atomic

_HEAD_CHARACTERS = 500


def write_card_pages(card: DataCard, reports: Path, name: str | None = None) -> list[Path]:
    """Draw a mixture's card; ``name`` where the page is not to be called as the mixture is.

    Raises:
        StorageError: they cannot be written.
    """
    stem = name or card.mixture
    if name is None and card.limit is not None:
        stem = f"{card.mixture}-first-{card.limit}"
    found = [reports / DATA / f"{stem}{suffix}" for suffix in (".html", ".md")]
    for path, content in zip(found, (card_html(card), card_markdown(card)), strict=True):
        write_atomic(path, content)
    return found


def card_page(mixture: str, digest: str) -> str:
    """Name of the page of a card that a model learned from, relative to a report's folder: one for
    each state of the mixture, so that a link never leads to another.
    """
    name = urllib.parse.quote(mixture.partition("/")[0], safe="")[:150]
    return f"{DATA}/{name}-{short_digest(digest)}.html"


def write_learned_pages(runs: Iterable[tuple[RunFolder, Run]], reports: Path) -> Mapping[str, str]:
    """Draw the cards that the runs' models learned from, those that are not there yet.

    Returns:
        Digest of a card to its page, relative to ``reports``: of the cards that runs keep.

    Raises:
        StorageError: a page cannot be written.
    """
    found: dict[str, str] = {}
    for folder, run in runs:
        for mixture, digest in run.model.data_cards.items():
            page = card_page(mixture, digest)
            if digest in found or (card := kept_card(folder.path, digest)) is None:
                continue
            if not _drawn(reports / page):
                write_card_pages(card, reports, Path(page).stem)
            found[digest] = page
    return found


def _drawn(page: Path) -> bool:
    """Whether a page is there, drawn by this version: what it shows is named by its digest."""
    try:
        with page.open(encoding="utf-8") as file:
            return generator() in file.read(_HEAD_CHARACTERS)
    except (OSError, UnicodeDecodeError):
        return False
