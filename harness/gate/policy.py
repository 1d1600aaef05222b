"""What the gate holds a model to: ``gate.yaml``, read strictly.

::

    alpha: 0.05            # chance of a false alarm over all that is tested, one-sided
    underpowered: block    # or warn: what it means when too few docs were asked
    profile: release       # which of the profiles counts, unless --profile says another

    profiles:
      release: {pooled: 0.5 points, task: 2 points}
      ci: {pooled: 3 points, task: 10 points}

    tasks:                 # where a task has a margin of its own, or another metric
      wikitext2: {metric: word_perplexity, margin: 0.5 perplexity}

    limits:                # of what is no accuracy
      memory: 1.0 times    # bytes of the loaded weights, against the baseline's, at most
      speed: 0.8 times     # tokens written a second by `harness speed`, at least
      divergence_wikitext2 kl: 0.2 nats/token

A margin is a drop that is tolerated, a number with the unit of its metric: ``points`` are
hundredths of a share, and a number alone is refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast

from harness.errors import UnknownName, UsageError, closest
from harness.metrics.divergence import (
    AGREEMENT,
    NATS,
    PROBABILITY,
    QUANTILES,
    RMS_PROBABILITY,
)
from harness.strict_yaml import Table, find_file, parse

NAME = "gate.yaml"
VARIABLE = "HARNESS_GATE"

Underpowered = Literal["block", "warn"]
Cost = Literal["disk", "memory", "peak memory", "speed"]
_WAITING = ("block", "warn")
COSTS: tuple[Cost, ...] = ("disk", "memory", "peak memory", "speed")

_UNITS: Mapping[str, tuple[str, float]] = {
    "points": ("proportion", 0.01),
    "perplexity": ("perplexity", 1.0),
    "bits/byte": ("bits/byte", 1.0),
    NATS: (NATS, 1.0),
    "of 100": ("of 100", 1.0),
    "bleu": ("bleu", 1.0),
    "score": ("score", 1.0),
    "of tokens": (AGREEMENT, 1.0),
    **{unit: (unit, 1.0) for unit in (PROBABILITY, RMS_PROBABILITY, *QUANTILES)},
}
"""A unit as it is written in the policy: the records' name of it, and its size in that."""
_AMOUNT = re.compile(r"(?P<number>[0-9.eE+-]+)\s+(?P<unit>\S.*)")


@dataclass(frozen=True)
class Margin:
    """A drop that is tolerated: its size in the unit of `harness.types.Estimate`."""

    value: float
    unit: str


@dataclass(frozen=True)
class TaskPolicy:
    """What holds for one task in place of the profile: ``None`` leaves it as it is."""

    metric: str | None = None
    margin: Margin | None = None


@dataclass(frozen=True)
class Policy:
    """One profile of a policy.

    Attributes:
        profile: its name.
        alpha: chance of a false alarm over all tests, one-sided.
        underpowered: whether too few docs stop a change.
        pooled, task: margins over all docs of the accuracy tasks, and of each of them.
        tasks: what holds for a task in their place.
        costs: how many times the baseline's cost is allowed, or of its speed wanted.
        limits: task and metric, to the value that it must not pass.
    """

    profile: str
    alpha: float
    underpowered: Underpowered
    pooled: Margin
    task: Margin
    tasks: Mapping[str, TaskPolicy] = field(default_factory=dict)
    costs: Mapping[Cost, float] = field(default_factory=dict)
    limits: Mapping[tuple[str, str], Margin] = field(default_factory=dict)


def check_unit(task: str, metric: str, margin: Margin, unit: str) -> None:
    """Raise UsageError where a margin is not in its metric's unit."""
    if margin.unit != unit:
        written = "points" if margin.unit == "proportion" else margin.unit
        wanted = "points" if unit == "proportion" else unit
        raise UsageError(
            f"the policy's margin for {task} is in {written}, and {metric} is in {wanted}"
        )


def load_policy(path: Path | None = None, profile: str | None = None) -> Policy:
    """Read a policy.

    Args:
        path: the file; by default ``gate.yaml`` of the working directory or of this project.
        profile: which profile counts, if not the one that the file names.

    Raises:
        RegistryError: the file is missing, or says something that is not valid; with its line.
        UnknownName: it has no profile of that name.
    """
    places = [path] if path is not None else find_file(NAME, VARIABLE)
    table = parse(next((place for place in places if place.is_file()), places[0]))
    table.only(("alpha", "underpowered", "profile", "profiles", "tasks", "limits"))
    profiles = table.table("profiles", "the profiles") if "profiles" in table else None
    if profiles is None or not profiles.nodes:
        raise table.error(None, "the key 'profiles' is missing: it names pooled and task margins")
    name = profile or table.text("profile", next(iter(profiles.nodes)))
    if name not in profiles:
        raise UnknownName("profile", name, profiles.nodes, str(table.path))
    chosen = profiles.table(name, f"profile {name!r}")
    chosen.only(("pooled", "task", "underpowered"))
    waiting = table.choice("underpowered", _WAITING, _WAITING[0])
    costs, limits = _limits(table.table("limits", "limits")) if "limits" in table else ({}, {})
    return Policy(
        profile=name,
        alpha=_alpha(table),
        underpowered=cast(Underpowered, chosen.choice("underpowered", _WAITING, waiting)),
        pooled=_points(chosen, "pooled"),
        task=_points(chosen, "task"),
        tasks=_tasks(table.table("tasks", "tasks")) if "tasks" in table else {},
        costs=costs,
        limits=limits,
    )


def _alpha(table: Table) -> float:
    value = table.scalar("alpha") if "alpha" in table else 0.05
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 0.5:
        raise table.error("alpha", f"{value!r} is no chance between 0 and 0.5, such as 0.05")
    return float(value)


def _points(table: Table, key: str) -> Margin:
    margin = _margin(table, key)
    if margin.unit != "proportion":
        raise table.error(key, "must be in points: it is over accuracy tasks, such as 2 points")
    return margin


def _tasks(table: Table) -> dict[str, TaskPolicy]:
    found = {}
    for name in table.nodes:
        of_task = table.table(name, f"task {name!r}")
        of_task.only(("metric", "margin"))
        found[name] = TaskPolicy(
            metric=of_task.text("metric") if "metric" in of_task else None,
            margin=_margin(of_task, "margin") if "margin" in of_task else None,
        )
    return found


def _limits(table: Table) -> tuple[dict[Cost, float], dict[tuple[str, str], Margin]]:
    costs: dict[Cost, float] = {}
    limits: dict[tuple[str, str], Margin] = {}
    for key in table.nodes:
        task, _, metric = key.partition(" ")
        if key in COSTS:
            costs[key] = _amount(table, key, ("times",))[0]
        elif metric:
            limits[task, metric] = _margin(table, key)
        else:
            raise table.error(
                key,
                f"is neither a cost nor a task and a metric{closest(key, COSTS)}; write such as "
                "'divergence_wikitext2 kl: 0.2 nats/token'",
            )
    return costs, limits


def _margin(table: Table, key: str) -> Margin:
    value, written = _amount(table, key, tuple(_UNITS))
    unit, size = _UNITS[written]
    if unit == "proportion" and value >= 100:
        raise table.error(key, f"{value:g} points are all there are: nothing could fail")
    return Margin(value * size, unit)


def _amount(table: Table, key: str, units: tuple[str, ...]) -> tuple[float, str]:
    """A positive number and its unit, such as ``2 points``."""
    if key not in table:
        raise table.error(None, f"the key {key!r} is missing")
    written = table.scalar(key)
    found = _AMOUNT.fullmatch(written.strip()) if isinstance(written, str) else None
    example = f"write a number and a unit, such as '{key}: 2 {units[0]}'"
    if found is None:
        raise table.error(key, f"{written!r} has no unit; {example}")
    if found["unit"] not in units:
        raise table.error(key, f"unknown unit {found['unit']!r}{closest(found['unit'], units)}")
    try:
        number = float(found["number"])
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise table.error(key, f"{found['number']!r} is no number above 0; {example}")
    return number, found["unit"]
