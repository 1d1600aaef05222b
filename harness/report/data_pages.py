"""The pages of mixtures in a report folder: ``data/<mixture>.html`` and ``.md``."""

from __future__ import annotations

from pathlib import Path

from harness.data_card import DataCard
from harness.report.html_card import card_html
from harness.report.index import DATA
from harness.report.markdown_card import card_markdown
from harness.storage import write_atomic


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
