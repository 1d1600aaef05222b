"""What the page of a comparison shows, decided before anything is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.compare import Comparison
from harness.difference import Difference
from harness.distance import Distance
from harness.pareto import Pareto
from harness.records import NoiseFloor
from harness.report import distance
from harness.report.comparison import head, rows, shown
from harness.report.costs import Costs
from harness.report.verdict import Tone, tone, verdict
from harness.report.waterfall import adjusted, named
from harness.report.waterfall import head as steps_head
from harness.report.waterfall import rows as steps_rows
from harness.report.wording import ABSENT, change, clean, counted, size, speed
from harness.waterfall import Waterfall

Value = str | float | None


@dataclass(frozen=True)
class Picture:
    """A figure.

    Attributes:
        svg: the file's content.
        alt: what it shows, with its numbers.
        caption: a line below it, or ``""``.
    """

    svg: bytes
    alt: str
    caption: str = ""


@dataclass(frozen=True)
class Part:
    """A part of the page after the differences.

    Attributes:
        title: its heading.
        said: lines above the table.
        head, rows: a table of texts, its first column naming the row; ``()`` for none.
        picture: ``None`` for none.
        foot: a line below, or ``""``.
    """

    title: str
    said: tuple[str, ...] = ()
    head: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    picture: Picture | None = None
    foot: str = ""


@dataclass(frozen=True)
class Cell:
    """A cell of the table of differences, and what it sorts by: ``None`` stays last."""

    text: str
    value: Value


@dataclass(frozen=True)
class FlipLine:
    """The docs of a task that turned.

    Attributes:
        docs: that both scored.
        changed: the share of docs that turned, in words.
        noise: the noise floor of each side, likewise; an absent one was not measured.
    """

    task: str
    docs: int
    gained: int
    lost: int
    still_wrong: int | None
    changed: str
    noise: tuple[str, str]


@dataclass(frozen=True)
class ShownRun:
    """A run that was compared, and where its page is: ``None`` where it has none."""

    label: str
    run: str
    href: str | None


@dataclass(frozen=True)
class ComparisonPage:
    """A comparison's page.

    Attributes:
        comparison: what the texts that all formats share are made of.
        verdict: the sentence at the top, and its ``tone``.
        costs: of both models.
        forest: the picture of the differences, ``None`` where none has an interval.
        head: column names of the table of differences; ``rows``: a row for each; ``over_all``:
            that of the pool, which no sorting moves, or ``()``.
        flips: of tasks of right and wrong.
        parts: what follows, in order.
        runs: base and model.
    """

    comparison: Comparison
    verdict: str
    tone: Tone
    costs: Costs
    forest: Picture | None
    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    over_all: tuple[Cell, ...]
    flips: tuple[FlipLine, ...]
    parts: tuple[Part, ...]
    runs: tuple[ShownRun, ShownRun]


def comparison_page(
    comparison: Comparison,
    costs: Costs,
    forest: Picture | None,
    parts: Sequence[Part],
    pages: tuple[str | None, str | None],
) -> ComparisonPage:
    """Decide what a comparison's page shows.

    Args:
        comparison: the two.
        costs: of both.
        forest: the picture of the differences.
        parts: what follows the differences, such as the steps of a lineage.
        pages: addresses of the runs' pages, the base's first, relative to this page.
    """
    found = shown(comparison)
    cells = [
        tuple(map(Cell, texts, _values(each)))
        for each, texts in zip(found, rows(comparison), strict=True)
    ]
    split = len(comparison.differences)
    sides = (comparison.base, comparison.model)
    base, model = (
        ShownRun(clean(side.label), clean(side.run), page)
        for side, page in zip(sides, pages, strict=True)
    )
    return ComparisonPage(
        comparison=comparison,
        verdict=verdict(comparison, costs),
        tone=tone(comparison),
        costs=costs,
        forest=forest,
        head=tuple(head(comparison)),
        rows=tuple(cells[:split]),
        over_all=cells[split] if comparison.pooled is not None else (),
        flips=tuple(_flips(each) for each in found if each.primary and each.flips is not None),
        parts=tuple(parts),
        runs=(base, model),
    )


def distance_part(names: tuple[str, str], found: Sequence[Distance]) -> Part:
    """How far the model has moved.

    Args:
        names: of base and model.
        found: what its runs measured.
    """
    said = distance.title(*names)
    runs = ", ".join(sorted({clean(each.run) for each in found}))
    return Part(
        title=said[0].upper() + said[1:],
        head=tuple(distance.HEAD),
        rows=tuple(map(tuple, distance.rows(found))),
        foot=f"{distance.ABOUT} Measured by {runs}.",
    )


def steps_part(steps: Waterfall, svg: bytes) -> Part:
    """The steps of a lineage.

    Args:
        steps: from the base to the model.
        svg: their picture.
    """
    first, last = steps.steps[0].parent, steps.steps[-1].child
    said = tuple(named(steps))
    return Part(
        title="Step by step",
        said=said,
        head=tuple(steps_head(steps)),
        rows=tuple(map(tuple, steps_rows(steps))),
        picture=Picture(
            svg,
            f"What each step from {clean(first)} to {clean(last)} changed, with 95% intervals. "
            f"{'. '.join(said)}. The table below has every number.",
        ),
        foot=adjusted(steps),
    )


def cost_part(found: Pareto, svg: bytes) -> Part:
    """Several models against what they cost.

    Args:
        found: the models, their base first.
        svg: the picture.
    """
    unit = found.quality.delta.unit
    base = found.points[0]
    table = [
        (
            clean(point.model),
            ABSENT if point is base else change(point.change, unit),
            size(point.memory_bytes),
            speed(point.decode),
        )
        for point in found.points
    ]
    of = f"{clean(found.quality.task)}: change from {clean(base.model)}, + is better"
    return Part(
        title="Quality against cost",
        head=(
            "model",
            of + (", points" if unit == "proportion" else ""),
            "weights in memory",
            "tokens written a second",
        ),
        rows=tuple(table),
        picture=Picture(
            svg,
            f"Quality against cost. {of}. "
            + "; ".join(f"{name}: {', '.join(cells)}" for name, *cells in table)
            + ".",
        ),
        foot="Above is better: a change is towards the better side of its metric. Blue is the "
        "frontier: models that no other beats in both.",
    )


def _values(each: Difference) -> list[Value]:
    """What the cells of a row sort by, in the order of `harness.report.comparison.head`."""
    return [
        clean(each.task),
        clean(each.metric),
        each.base,
        each.model,
        each.delta.value,
        float(each.delta.n),
        float(each.flips.gained - each.flips.lost) if each.flips else None,
        each.p,
        each.p_holm,
        each.visible,
        each.verdict,
    ]


def _flips(each: Difference) -> FlipLine:
    assert each.flips is not None
    turned = each.flips.gained + each.flips.lost
    base, model = each.noise
    return FlipLine(
        task=clean(each.task),
        docs=each.delta.n,
        gained=each.flips.gained,
        lost=each.flips.lost,
        still_wrong=each.flips.still_wrong,
        changed=_share(turned, each.delta.n),
        noise=(_noise(base), _noise(model)),
    )


def _noise(found: NoiseFloor | None) -> str:
    if found is None or not found.docs:
        return ABSENT
    return f"{_share(found.changed, found.docs)} of {counted(found.docs, 'doc')}"


def _share(count: int, docs: int) -> str:
    return f"{100 * count / docs:.1f}%" if docs else ABSENT
