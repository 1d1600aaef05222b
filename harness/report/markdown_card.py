"""A data card as GitHub-flavoured Markdown."""

from __future__ import annotations

from harness.data_card import DataCard, card_digest
from harness.report import card_words
from harness.report.markdown import escape, table
from harness.report.markdown_method import drawn_table
from harness.report.wording import short_digest


def card_markdown(card: DataCard) -> str:
    """Render the whole card."""
    lines = [
        f"# {escape(card_words.title(card))}",
        "",
        f"{escape(card.about)}. {escape(card_words.headline(card))}",
        "",
        f"Data card {short_digest(card_digest(card))}.",
        "",
    ]
    for caution in card_words.cautions(card):
        lines += [f"> {escape(caution)}", ""]
    for each in card_words.card_tables(card):
        lines += drawn_table(each)
    for lengths in card.lengths:
        lines += [f"## Length of the {escape(lengths.part)}, in characters", ""]
        rows = [[label, f"{count:,}"] for label, count in card_words.length_lines(lengths)]
        lines += [*table(["Characters", "Rows"], rows), ""]
    return "\n".join(lines)
