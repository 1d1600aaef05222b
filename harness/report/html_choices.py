"""The rows of a doc's choices as HTML, built in Python.

A template takes ten times as long, and a run has hundreds of thousands of choices.
"""

from __future__ import annotations

from markupsafe import Markup, escape

from harness.report.docs import Choice, Excerpt, ShownDoc

_OF_CHOSEN = {"right": "tag gold", "wrong": "tag off"}


def choice_rows(doc: ShownDoc) -> Markup:
    """Draw a table row for each choice; its texts are escaped, the rest is of numbers."""
    return Markup("").join([_row(choice, doc.verdict) for choice in doc.choices])


def excerpt_html(text: Excerpt) -> Markup:
    """Draw a text, with a note in its middle where it was cut there."""
    if not text.cut:
        return escape(text.head)
    note = Markup('<span class="cut">{:,} characters not shown</span>').format(text.cut)
    return escape(text.head) + note + escape(text.tail)


def _row(choice: Choice, verdict: str) -> Markup:
    # A Markup is made once a row: what stands in braces is escaped or has no text of anybody's.
    kind = ' class="gold"' if choice.gold else ""
    context = ""
    if choice.context is not None:
        context = f'<span class="muted">{excerpt_html(choice.context)}</span> '
    text = excerpt_html(choice.text)
    each = "n/a" if choice.per_char is None else f"{choice.per_char:.3f}"
    role = f'<span class="{_OF_CHOSEN.get(verdict, "tag")}">chosen</span>' if choice.chosen else ""
    role += '<span class="tag gold">target</span>' if choice.gold else ""
    role += '<span class="tag">greedy</span>' if choice.greedy else ""
    return Markup(
        f'<tr{kind}><td class="text">{context}{text}</td><td>{choice.logprob:.3f}</td>'
        f'<td>{each}</td><td class="left">{role}</td></tr>\n'
    )
