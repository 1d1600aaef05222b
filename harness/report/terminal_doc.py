"""One doc in the terminal: the prompt as the model saw it, the answers, the score."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.marks import Mark
from harness.report.docs import Excerpt, ShownDoc
from harness.report.wording import clean, moment, visible

VERDICT_STYLES = {"right": "bold green", "wrong": "bold red", "unscored": "bold yellow"}
MARK_STYLES = {"good": "green", "bad": "red", "unsafe": "bold red"}

SIDE_BY_SIDE = 100
"""Columns of a terminal from which on two answers stand side by side."""


def print_doc(doc: ShownDoc, console: Console, *, names: tuple[str, str] | None = None) -> None:
    """Print one doc; everything a model or data set says is plain text, control characters shown.

    Args:
        doc: as `harness.report.docs.shown_doc` prepares it.
        console: where to.
        names: what to call the run and the one beside it, where the doc has an answer beside it.
    """
    head = _head(" ".join(part for part in (f"doc {doc.index}", doc.group) if part), doc)
    console.print(head, soft_wrap=True)
    console.print(Text(_whole(doc.prompt), style="dim"), soft_wrap=True)
    if doc.beside is None or names is None:
        for line in _answer(doc):
            console.print(line, soft_wrap=True)
    else:
        _print_both(doc, doc.beside, names, console)
    console.print(Text(f"target: {_whole(doc.target)}"), soft_wrap=True)
    for mark in doc.marks:
        console.print(Text(mark_words(mark), style=MARK_STYLES.get(mark.mark, "")), soft_wrap=True)
    console.print()


def mark_words(mark: Mark) -> str:
    """Say who said what of a doc: ``marked bad by Ana, 2026-03-01 12:00 UTC: too short``."""
    said = "noted" if mark.mark == "note" else f"marked {mark.mark}"
    note = f": {visible(mark.note)}" if mark.note else ""
    return f"{said} by {clean(mark.reviewer)}, {moment(mark.at)}{note}"


def _head(name: str, doc: ShownDoc) -> Text:
    head = Text(f"{name}  ", style="bold")
    head.append(doc.verdict, style=VERDICT_STYLES.get(doc.verdict, "bold"))
    head.append("  " + "  ".join(f"{name} {value}" for name, value in doc.scores))
    return head


def _answer(doc: ShownDoc) -> list[Text]:
    """What the model said, a line or text each, and why it counts as it does."""
    lines = [Text(f"unscored: {doc.unscored}")] if doc.unscored else []
    for choice in doc.choices:
        marks = ("> " if choice.chosen else "  ") + ("* " if choice.gold else "  ")
        line = Text(f"{marks}{choice.logprob:9.3f} {_whole(choice.text)}")
        line.stylize("green" if choice.gold else "red" if choice.chosen else "")
        lines.append(line)
    if doc.text is not None:
        empty = Text("nothing was generated", style="italic dim")
        lines.append(Text(_whole(doc.text)) if doc.text.head.strip() else empty)
    if doc.note:
        lines.append(Text(f"note: {doc.note}", style="italic"))
    return lines


def _print_both(doc: ShownDoc, other: ShownDoc, names: tuple[str, str], console: Console) -> None:
    """Two answers: side by side where there is room, else, and in a pipe, one below the other."""
    both = [
        (_head(clean(name), each), _answer(each))
        for name, each in zip(names, (doc, other), strict=True)
    ]
    if not console.is_terminal or console.width < SIDE_BY_SIDE:
        for head, lines in both:
            for line in (head, *lines):
                console.print(line, soft_wrap=True)
        return
    drawn = Table.grid(padding=(0, 3, 0, 0), expand=True)
    for _ in both:
        drawn.add_column(ratio=1, overflow="fold")
    drawn.add_row(*(head for head, _ in both))
    drawn.add_row(*(Text("\n").join(lines) for _, lines in both))
    console.print(drawn)


def _whole(excerpt: Excerpt) -> str:
    if not excerpt.cut:
        return excerpt.head
    return f"{excerpt.head}\n[{excerpt.cut:,} characters left out]\n{excerpt.tail}"
