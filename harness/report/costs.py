"""What a model costs beside its base: bytes and speed, in cells and in words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.records import ModelRecord
from harness.report.wording import size, speed
from harness.speed import As, Look, Speed, probed_ratio

COST_HEAD = ("cost", "base", "model", "ratio")


@dataclass(frozen=True)
class Cost:
    """One cost of both.

    Attributes:
        base, model: as they are written.
        ratio: the model's to the base's.
    """

    name: str
    base: str
    model: str
    ratio: float


@dataclass(frozen=True)
class Costs:
    """All costs that are known of both; what one of the two lacks is left out.

    Attributes:
        memory, disk: of the weights.
        reading, writing: tokens a second by the last speed probe, as medians; their ratio is
            taken within the rounds.
    """

    memory: Cost | None = None
    disk: Cost | None = None
    reading: Cost | None = None
    writing: Cost | None = None

    @property
    def known(self) -> list[Cost]:
        """Those that are known."""
        every = (self.memory, self.disk, self.reading, self.writing)
        return [each for each in every if each is not None]


def costs_of(base: ModelRecord, model: ModelRecord, probe: Sequence[Speed]) -> Costs:
    """Put the costs of two models side by side.

    Args:
        base: as its run recorded it.
        model: likewise.
        probe: `harness.speed.last_probe`.
    """
    of_both = (base.weights_id, base.dtype), (model.weights_id, model.dtype)
    return Costs(
        memory=_bytes("weights in memory", base.memory_bytes, model.memory_bytes),
        disk=_bytes("weights on disk", base.disk_bytes, model.disk_bytes),
        reading=_speed("tokens read a second", probe, of_both, lambda look: look.prefill),
        writing=_speed("tokens written a second", probe, of_both, lambda look: look.decode),
    )


def cost_words(costs: Costs) -> str:
    """Say what the model costs, as the end of a sentence; ``""`` where nothing is known."""
    said = []
    if (weights := costs.memory or costs.disk) is not None:
        where = "memory" if costs.memory else "disk"
        if weights.base == weights.model:
            said.append(f"its weights take {weights.model} of {where}, as the base's do")
        else:
            said.append(f"its weights take {weights.model} of {where} instead of {weights.base}")
    if costs.writing is not None:
        said.append(f"it writes {costs.writing.ratio:.2f} times as many tokens a second")
    return " and ".join(said)


def cost_rows(costs: Costs) -> list[list[str]]:
    """A row of cells per cost that is known."""
    return [[each.name, each.base, each.model, f"{each.ratio:.2f}"] for each in costs.known]


def _bytes(name: str, base: int | None, model: int | None) -> Cost | None:
    return Cost(name, size(base), size(model), model / base) if base and model else None


def _speed(
    name: str, probe: Sequence[Speed], of_both: tuple[As, As], figure: Callable[[Look], float]
) -> Cost | None:
    found = probed_ratio(probe, *of_both, figure)
    if found is None:
        return None
    probed = {each.as_run: each for each in probe}
    base, model = (speed(probed[as_run].middle(figure)) for as_run in of_both)
    return Cost(name, base, model, found)
