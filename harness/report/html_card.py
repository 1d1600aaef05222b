"""A data card as a self-contained HTML page."""

from __future__ import annotations

from markupsafe import Markup

from harness.data_card import DataCard, card_digest
from harness.report import card_words
from harness.report.html import render
from harness.report.wording import short_digest

_WIDTH, _HEIGHT = 400, 12


def card_html(card: DataCard) -> str:
    """Render the page."""
    return render(
        "data_card.html.j2",
        {
            "card": card,
            "digest": short_digest(card_digest(card)),
            "title": card_words.title(card),
            "headline": card_words.headline(card),
            "cautions": card_words.cautions(card),
            "tables": card_words.card_tables(card),
            "length_lines": card_words.length_lines,
            "length_bar": _length_bar,
        },
    )


def _length_bar(count: int, most: int) -> Markup:
    """A bar of a histogram; its number stands beside it."""
    width = round(_WIDTH * count / most, 1) if most else 0
    return Markup(
        '<svg class="length" viewBox="0 0 {0} {1}" preserveAspectRatio="none" aria-hidden="true" '
        'focusable="false"><rect width="{2}" height="{1}"/></svg>'
    ).format(_WIDTH, _HEIGHT, width)
