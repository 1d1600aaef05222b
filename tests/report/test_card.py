"""A data card in words, in HTML and in Markdown."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from harness.data_card import DataCard, card_digest, encode_card, read_card, write_card
from harness.errors import DataError
from harness.report.card_words import card_tables, cautions, headline, length_lines
from harness.report.data_pages import card_page, write_card_pages
from harness.report.html_card import card_html
from harness.report.markdown_card import card_markdown
from tests.report.fixtures.cards import card


def test_the_headline_says_how_much_of_what_and_how_clean() -> None:
    assert headline(card()) == (
        "1,500 pairs from 2 sources, of which 5,300 rows were looked at. None shares 13 words in a "
        "row with any of 361 test docs of 2 tasks: 2 that did were dropped."
    )
    whole = headline(dataclasses.replace(card(), limit=None))
    assert whole.startswith("1,500 pairs from 2 sources, which hold 5,300 rows. None shares")
    unchecked = dataclasses.replace(card(), decontamination=None)
    assert headline(unchecked).endswith("They were not held against any test docs.")


def test_what_must_not_be_overlooked() -> None:
    assert cautions(card()) == [
        "A trial: only the first 5,000 rows of each source were read.",
        "Not held against bbq: no data.",
        "Of gsm8k, only the shipped samples were at hand: the other test docs were not looked for.",
        "Of 301 test docs of stem, some have a question of few words: 30 only where the question "
        "is a sentence of its own, 3 at most where its choices follow it in their order.",
        "Licence not known: two. Nobody has permitted any use of these rows.",
        "one: row 9 is the last.",
    ]


def test_tables_hold_the_counts() -> None:
    tables = {table.id: table for table in card_tables(card())}
    rows = {name: [[cell.text for cell in row] for row in t.rows] for name, t in tables.items()}
    assert rows["sources"][0] == [
        "one",
        "org/one/default/train",
        "mit",
        "5,000",
        "1,000",
        "1,250",
        "50",  # what was merely not needed is not dropped
        "1,000",
    ]
    assert rows["drops"] == [
        ["empty", "an empty question or answer", "40", "one 40"],
        ["contaminated", "shares words with a test doc", "2", "two 2"],
        ["duplicate", "the same text as a row that was taken", "10", "one 10"],
        ["spare", "drawn to stand in for dropped rows, and not needed", "200", "one 200"],
    ]
    assert rows["stages"][1] == ["read", "1,550 rows", "1,712 pairs", "40 empty"]
    assert rows["splits"][1] == ["test", "10 %", "150", "120", "45454545"]
    assert rows["tests"] == [["stem", "301", "shipped", "2"], ["gsm8k", "60", "samples", "0"]]
    assert len(rows["files"]) == 4
    bare = dataclasses.replace(card(), masked={}, decontamination=None, dropped=())
    assert {"masked", "tests", "examples"}.isdisjoint(table.id for table in card_tables(bare))


def test_lengths_leave_out_empty_ends_only() -> None:
    prompt, chosen, rejected = card().lengths
    assert length_lines(prompt) == [("50 to 99", 1_400), ("100 or more", 100)]
    assert length_lines(chosen) == [("0 to 49", 1_500)]
    assert length_lines(rejected) == [("0 to 49", 700), ("50 to 99", 0), ("100 or more", 800)]
    assert length_lines(dataclasses.replace(prompt, counts=(0, 0, 0))) == []


def test_both_pages_say_the_same_and_escape_everything() -> None:
    page, text = card_html(card()), card_markdown(card())
    for said in (headline(card()), *cautions(card()), card_digest(card())[:8], "1,400"):
        assert said in page
        assert said in text.replace("\\", "")
    assert "&lt;b&gt;" in page and "<b>" not in page
    assert "Two sources &lt;and&gt; a pipe \\|" in text
    assert 'style="' not in page


def test_a_card_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert read_card(tmp_path) is None
    write_card(tmp_path, card())
    assert read_card(tmp_path) == card()
    path = tmp_path / "data_card.json"
    assert path.read_bytes() == encode_card(card())
    for content, said in ((b"{", "damaged"), (b'{"schema": 9}', "schema 9"), (b"\xff", "damaged")):
        path.write_bytes(content)
        with pytest.raises(DataError, match=said):
            read_card(tmp_path)


def test_pages_are_named_by_mixture_and_a_lineages_by_its_state(tmp_path: Path) -> None:
    whole: DataCard = dataclasses.replace(card(), limit=None)
    names = [path.name for path in write_card_pages(whole, tmp_path)]
    assert names == ["mixed.html", "mixed.md"]
    assert [path.name for path in write_card_pages(card(), tmp_path)] == [
        "mixed-first-5000.html",
        "mixed-first-5000.md",
    ]
    assert card_page("mixed/train", "ab" * 32) == "data/mixed-abababab.html"
    assert card_page("../../x", "ab" * 32) == "data/..-abababab.html"
