"""Self-contained HTML pages: one file each, no network, a strict Content-Security-Policy."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from harness import __version__
from harness.report import answer_words, captions, wording
from harness.report.board import Answer, Cell, Column, Leaderboard, ModelRow, Rival, Section
from harness.report.html_choices import choice_rows, excerpt_html

_TEMPLATES = Path(__file__).parent / "templates"

_SORTING = "vendor/sortable.min.js"

_BAR_WIDTH, _BAR_HEIGHT, _BAR_INSET = 120, 10, 5


def run_page(run_id: str, number: int = 1) -> str:
    """File name of one of a run's pages; an id cannot lead out of the folder.

    No id has a comma in its page's name: ``a,2.html`` is never the first page of another run.
    """
    name = urllib.parse.quote(run_id, safe="", errors="replace")
    if len(name) > 200:  # file systems allow 255
        digest = hashlib.sha256(run_id.encode("utf-8", "replace")).hexdigest()
        name = f"{name[:150]}-{digest[:16]}"
    return f"{name}.html" if number == 1 else f"{name},{number}.html"


def anchor(task: str) -> str:
    """Id of a task's section on a run's page, without anything that a link would have to quote."""
    quoted = urllib.parse.quote(task, safe="", errors="replace")
    return "task-" + quoted.replace(".", "%2E").replace("%", ".")


def leaderboard_html(
    board: Leaderboard, pages: str = "html", cards: Mapping[str, str] | None = None
) -> str:
    """Render the leaderboard; ``pages`` is the folder of the runs' pages, relative to its own,
    ``cards`` the page of each data card, by its digest.
    """

    def run_href(run_id: str) -> str:
        # Quoted once more: the file's own name may hold percent signs.
        return f"{urllib.parse.quote(pages)}/{urllib.parse.quote(run_page(run_id))}"

    def model_name(row: ModelRow) -> Markup:
        return Markup('<a href="{}">{}</a>').format(run_href(row.runs[0]), row.label)

    return render(
        "leaderboard.html.j2",
        {
            "board": board,
            "run_href": run_href,
            "suite_href": lambda suite: urllib.parse.quote(f"{suite}.html"),
            "model_name": model_name,
            "card_href": lambda digest: urllib.parse.quote((cards or {}).get(digest, "")),
            "bar": _column_bar,
            "rival_bar": _rival_bar,
            "disk_of": _disk_of,
            "kinds": _kinds,
            "kind_of": _kind_of,
            "answer_phrases": answer_words.answer_phrases,
            "answer_sureness": answer_words.answer_sureness,
            "tasks_of": answer_words.tasks_of,
            "standing_words": answer_words.standing_words,
            "ANSWER_TITLE": answer_words.TITLE,
            "ANSWER_RULE": answer_words.HOW_TO_READ,
        },
    )


def render(
    template: str,
    context: Mapping[str, object],
    scripts: Sequence[str] = ("report.js",),
    images: bool = False,
) -> str:
    """Render a template within the common page; everything in ``context`` is escaped.

    Args:
        template: its file.
        context: what it names.
        scripts: the files of its one script.
        images: whether the page may show images whose data stands in it.
    """
    css, js = _asset("report.css"), "\n".join(map(_asset, (*scripts, _SORTING)))
    context = {"beside": "", "pages": 0, **context, "generator": generator()}
    policy = (
        f"default-src 'none'; style-src '{_digest(css)}'; script-src '{_digest(js)}'; "
        f"{'img-src data:; ' if images else ''}base-uri 'none'; form-action 'none'"
    )
    page = _environment().get_template(template)
    return page.render(css=Markup(css), js=Markup(js), policy=Markup(policy), **context)


@cache
def macro(template: str, name: str) -> Callable[..., Markup]:
    """A part of a template that is drawn by itself; everything given to it is escaped."""
    found: Callable[..., Markup] = getattr(_environment().get_template(template).module, name)
    return found


@cache
def generator() -> str:
    """Name what draws the pages: a page of another generator looks, or reads, different."""
    folder = Path(__file__).parent
    drawing = [path for path in folder.rglob("*") if path.suffix in (".py", ".j2", ".css", ".js")]
    digest = hashlib.sha256()
    for path in sorted(drawing):
        digest.update(path.read_bytes())
    return f"lineup-harness {__version__} {digest.hexdigest()[:8]}"


def bar(
    low: float, value: float, high: float, scale: tuple[float, float], *, zero: bool = False
) -> Markup:
    """Draw an interval as a small inline picture; the numbers stand beside it.

    ``zero`` marks where 0 is.
    """

    def across(x: float) -> float:
        share = (x - scale[0]) / (scale[1] - scale[0])
        room = _BAR_WIDTH - 2 * _BAR_INSET
        return round(_BAR_INSET + room * min(max(share, 0.0), 1.0), 1)

    middle = _BAR_HEIGHT // 2
    line = '<line class="{}" x1="{}" x2="{}" y1="{}" y2="{}"/>'
    return (
        Markup('<svg class="bar" viewBox="0 0 {} {}" preserveAspectRatio="none" ').format(
            _BAR_WIDTH, _BAR_HEIGHT
        )
        + Markup('aria-hidden="true" focusable="false">')
        + Markup(line).format("track", 0, _BAR_WIDTH, middle, middle)
        + (Markup(line).format("zero", across(0), across(0), 0, _BAR_HEIGHT) if zero else "")
        + Markup(line).format("span", across(low), across(high), middle, middle)
        + Markup('<line class="dot" x1="{0}" x2="{0}" y1="1" y2="9"/></svg>').format(across(value))
    )


def _column_bar(section: Section, position: int, cell: Cell | None) -> Markup:
    """The bar of one cell, on a scale that spans its column's intervals."""
    ends = [
        end
        for row in section.rows
        if (other := row.cells[position]) is not None and other.estimate is not None
        for end in (other.estimate.low, other.estimate.value, other.estimate.high)
        if end is not None and math.isfinite(end)
    ]
    estimate = cell.estimate if cell is not None else None
    if estimate is None or estimate.low is None or estimate.high is None:
        return Markup("")
    if estimate.value is None or not all(map(math.isfinite, (estimate.low, estimate.high))):
        return Markup("")
    low, high = min(ends), max(ends)
    proportion = section.columns[position].unit == "proportion"
    # One narrow interval alone would fill the bar and look like a wide one.
    room = max(0.2 - (high - low), 0.0) / 2 if proportion else (0.1 * abs(high) or 1.0) / 2
    scale = (low - room, high + room)
    if proportion:
        scale = (max(scale[0], 0.0), min(scale[1], 1.0))
    return bar(estimate.low, estimate.value, estimate.high, scale)


def _rival_bar(answer: Answer, rival: Rival) -> Markup:
    """The bar of one difference; all share one scale, on which 0 is marked."""
    ends = [end for each in answer.rivals for end in (each.delta.low, each.delta.high)]
    known = [0.0, *(end for end in ends if end is not None)]
    delta = rival.delta
    if delta.low is None or delta.value is None or delta.high is None:
        return Markup("")
    return bar(delta.low, delta.value, delta.high, (min(known), max(known)), zero=True)


def _disk_of(section: Section, label: str) -> int:
    return next(row.costs.disk_bytes for row in section.rows if row.label == label)


def _kinds(section: Section, fact: str) -> list[str]:
    """The values of a fact of the models, to choose from."""
    return sorted({wording.clean(getattr(row, fact)) or "none" for row in section.rows})


def _kind_of(kinds: Sequence[str], value: str) -> int:
    """Which of them a model has, by number: a name may hold anything."""
    return kinds.index(wording.clean(value) or "none") + 1


def row_facts(row: ModelRow, *, family: bool) -> str:
    """Family where it is asked for, stage, quantization and dtype in one line, without "none"."""
    facts = [row.family if family else "", row.stage, row.quantization, row.dtype]
    return " · ".join(wording.clean(fact) for fact in facts if fact and fact != "none")


def settings_of(column: Column) -> str:
    """What stands in a column's label beside the task's name, with its brackets."""
    return column.label.removeprefix(wording.clean(column.task)).strip()


def as_json(name: str) -> str:
    """Write a name for the script to read exactly: an attribute loses control characters."""
    return json.dumps(name)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for module in (wording, captions):
        environment.globals |= {
            name: value for name, value in vars(module).items() if not name.startswith("_")
        }
    environment.globals |= {"anchor": anchor, "row_facts": row_facts, "settings_of": settings_of}
    environment.globals |= {"as_json": as_json}
    environment.globals |= {"choice_rows": choice_rows, "excerpt_html": excerpt_html}
    return environment


@cache
def _asset(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")


def _digest(content: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
