"""How reports write numbers and names: one place, so that all formats agree."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache

from harness.pace import in_words
from harness.plain_text import INVISIBLE, TURNING
from harness.types import Estimate
from harness.units import DIVERGENCES

UNDEFINED = "n/a"
ABSENT = "–"

_DECIMALS = {
    "proportion": 1,
    "perplexity": 2,
    "bits/byte": 3,
    **dict.fromkeys(DIVERGENCES, 4),
    "bleu": 2,
    "of 100": 2,
}


def clean(text: str) -> str:
    r"""Return ``text`` as one line without control or direction-changing characters.

    For names and messages: a model called ``"a\x1b[2Jb"`` must not clear a terminal, and one
    with a right-to-left override must not turn the rest of its line round.
    """
    spaced = " ".join(text.split())
    if spaced.isprintable():  # none of these is: most texts are done here, and 30 times as fast
        return spaced
    return "".join(char for char in spaced if unicodedata.category(char) not in INVISIBLE)


def visible(text: str) -> str:
    r"""Return ``text`` with control characters as pictures, line breaks and tabs kept; what turns
    the direction of writing round is a replacement character.

    For prompts and answers: what the model saw stays recognisable, ``\x00`` shows as ``␀``.
    """
    return text.translate(_PICTURES)


_PICTURES: dict[int, str | int] = {
    **{code: 0x2400 + code for code in range(0x20) if chr(code) not in "\n\t"},
    0x7F: 0x2421,
    **dict.fromkeys(range(0x80, 0xA0), "\N{REPLACEMENT CHARACTER}"),
    **dict.fromkeys(range(0xD800, 0xE000), "\N{REPLACEMENT CHARACTER}"),
    **dict.fromkeys(map(ord, TURNING), "\N{REPLACEMENT CHARACTER}"),
}


@lru_cache(maxsize=1_000)
def metric_name(key: str) -> str:
    """Name a metric for people: lm-eval's ``exact_match,strict-match`` is a metric and a filter."""
    name, _, kept_by = key.partition(",")
    return clean(name if kept_by in ("", "none") else f"{name} ({kept_by})")


def number(value: float | None, unit: str) -> str:
    """Write one value in its unit: proportions as percent, ``n/a`` where it is not defined."""
    if value is None or not math.isfinite(value):
        return UNDEFINED
    if unit == "proportion":
        value *= 100
    if abs(value) >= 1e7:
        return f"{value:.2e}"
    # A negative that rounds to nothing would read "-0.0".
    digits = _DECIMALS.get(unit, 3)
    return f"{round(value, digits) + 0.0:,.{digits}f}"


def small(value: float) -> str:
    """Write a change or a shift with two digits: ``0.61``, ``2.5e-06``."""
    return f"{value:.2g}"


def change(value: float | None, unit: str, finer: int = 0) -> str:
    """Write a difference with its sign, one digit finer than a value; proportions in points.

    Args:
        value: the difference.
        unit: its metric's.
        finer: more digits than that.
    """
    if value is None or not math.isfinite(value):
        return UNDEFINED
    value, digits = value * (100 if unit == "proportion" else 1), _DECIMALS.get(unit, 3) + 1 + finer
    rounded = round(value, digits) + 0.0
    return f"{rounded:+,.{digits}f}".replace("-", "−") if rounded else f"{0:.{digits}f}"


def changes(delta: Estimate, least: int = 0) -> str:
    """Write a difference with its interval: ``+1.20 (−0.35 to +2.75)``.

    With up to three more digits where an end that is not 0 would read as 0: whether an interval
    leaves out 0 is what it is looked at for.

    Args:
        delta: the difference.
        least: how many more digits at least; −1 for as many as a value has.
    """
    found = _finer(delta, least)
    return f"{change(delta.value, delta.unit, found)} ({change_interval(delta, least)})"


def change_interval(delta: Estimate, least: int = 0) -> str:
    """Write a difference's interval as `changes` does: ``−0.35 to +2.75``."""
    finer = _finer(delta, least)
    ends = [change(end, delta.unit, finer) for end in (delta.low, delta.high)]
    return UNDEFINED if set(ends) == {UNDEFINED} else " to ".join(ends)


def _finer(delta: Estimate, least: int) -> int:
    return next((more for more in range(least, 4) if not _reads_as_0(delta, more)), least)


def brief_changes(delta: Estimate) -> str:
    """Write a difference with its interval, no finer than a value: ``+1.2 (−0.4 to +2.8)``.

    Finer only where an end that is not 0 would read as 0.
    """
    return changes(delta, least=-1)


def brief_change(value: float | None, unit: str) -> str:
    """Write a difference without its interval, no finer than a value: ``−0.4``.

    Finer only where it would read as 0 and is not.
    """
    zeros = (change(0.0, unit, finer) for finer in range(-1, 4))
    written = [change(value, unit, finer) for finer in range(-1, 4)]
    told = (each for each, zero in zip(written, zeros, strict=True) if each != zero)
    return next(told, written[0])


def _reads_as_0(delta: Estimate, finer: int) -> bool:
    zero = change(0.0, delta.unit, finer)
    return any(end and change(end, delta.unit, finer) == zero for end in (delta.low, delta.high))


def probability(p: float | None) -> str:
    """Write a p-value: ``0.034``, ``<0.001``; as it is on its own side of 0.05."""
    if p is None:
        return ABSENT
    if p < 0.001:
        return "<0.001"
    return f"{p:.4f}" if 0.0495 <= p < 0.0505 else f"{p:.3f}"


def interval(estimate: Estimate) -> str:
    """Write the 95% interval without its value: ``52.1 to 56.1``."""
    low, high = number(estimate.low, estimate.unit), number(estimate.high, estimate.unit)
    return UNDEFINED if low == high == UNDEFINED else f"{low} to {high}"


def figure(estimate: Estimate | None) -> str:
    """Write a value with its interval: ``54.1 (52.1 to 56.1)``."""
    if estimate is None or number(estimate.value, estimate.unit) == UNDEFINED:
        return UNDEFINED
    return f"{number(estimate.value, estimate.unit)} ({interval(estimate)})"


def width(estimate: Estimate | None) -> str:
    """Say how wide a proportion's interval is: ``19 points wide``; ``""`` for anything else."""
    if estimate is None or estimate.unit != "proportion":
        return ""
    if estimate.low is None or estimate.high is None:
        return ""
    return f"{100 * (estimate.high - estimate.low):.0f} points wide"


def metric_heading(key: str, unit: str, higher_is_better: bool) -> str:
    """Write a metric with unit and direction for a heading: ``acc_norm, % ↑``."""
    percent = ", %" if unit == "proportion" else ""
    return f"{metric_name(key)}{percent} {arrow(higher_is_better)}"


def arrow(higher_is_better: bool) -> str:
    """Return the arrow that points to better."""
    return "↑" if higher_is_better else "↓"


def size(count: int | None) -> str:
    """Write a number of bytes in decimal units."""
    return UNDEFINED if count is None else _scaled(count, ("B", "kB", "MB", "GB", "TB"))


def parameters(count: int | None) -> str:
    """Write a number of parameters: ``135 M``."""
    return UNDEFINED if count is None else _scaled(count, ("", "k", "M", "B", "T")).strip()


def seconds(duration: float | None) -> str:
    """Write a duration: ``8.2 s``, ``3 min 20 s``, ``2 h 05 min``."""
    if duration is None or not math.isfinite(duration):
        return UNDEFINED
    return in_words(duration)


def moment(created: str) -> str:
    """Write a recorded time in UTC to the minute; as it stands where it is no time."""
    try:
        time = datetime.fromisoformat(created)
        if time.tzinfo is None:
            return f"{time:%Y-%m-%d %H:%M}"
        return f"{time.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    except (ValueError, OverflowError):  # no time, or none that UTC has
        return clean(created)


def speed(tokens_per_second: float | None) -> str:
    """Write tokens per second, without the unit."""
    if tokens_per_second is None or not math.isfinite(tokens_per_second):
        return ABSENT
    return f"{tokens_per_second:,.{0 if tokens_per_second >= 100 else 1}f}"


def short_digest(digest: str) -> str:
    """Return the first eight characters of a digest, its ``sha256:`` prefix left out."""
    return clean(digest.rpartition(":")[2])[:8]


def counted(count: int, noun: str) -> str:
    """Write ``1 doc``, ``1,204 docs``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def listed(names: Sequence[str]) -> str:
    """Write ``a, b and c``."""
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]


def _scaled(count: float, units: tuple[str, ...]) -> str:
    for unit in units:
        if abs(count) < 999.5 or unit == units[-1]:
            break
        count /= 1000
    digits = 0 if unit == units[0] or count >= 99.95 else 1 if count >= 9.995 else 2
    return f"{count:.{digits}f} {unit}"
