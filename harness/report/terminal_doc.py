"""One doc in the terminal: the prompt as the model saw it, the answers, the score."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from harness.report.docs import Excerpt, ShownDoc

VERDICT_STYLES = {"right": "bold green", "wrong": "bold red", "unscored": "bold yellow"}


def print_doc(doc: ShownDoc, console: Console) -> None:
    """Print one doc; everything a model or data set says is plain text, control characters shown.

    Args:
        doc: as `harness.report.docs.shown_doc` prepares it.
        console: where to.
    """
    where = " ".join(part for part in (f"doc {doc.index}", doc.group) if part)
    head = Text(f"{where}  ", style="bold")
    head.append(doc.verdict, style=VERDICT_STYLES.get(doc.verdict, "bold"))
    head.append("  " + "  ".join(f"{name} {value}" for name, value in doc.scores))
    console.print(head, soft_wrap=True)
    if doc.unscored:
        console.print(Text(f"unscored: {doc.unscored}"), soft_wrap=True)
    console.print(Text(_whole(doc.prompt), style="dim"), soft_wrap=True)
    for choice in doc.choices:
        marks = ("> " if choice.chosen else "  ") + ("* " if choice.gold else "  ")
        line = Text(f"{marks}{choice.logprob:9.3f} {_whole(choice.text)}")
        line.stylize("green" if choice.gold else "red" if choice.chosen else "")
        console.print(line, soft_wrap=True)
    if doc.text is not None:
        console.print(Text(_whole(doc.text)), soft_wrap=True)
    console.print(Text(f"target: {_whole(doc.target)}\n"), soft_wrap=True)


def _whole(excerpt: Excerpt) -> str:
    if not excerpt.cut:
        return excerpt.head
    return f"{excerpt.head}\n[{excerpt.cut:,} characters left out]\n{excerpt.tail}"
