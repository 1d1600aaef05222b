"""What has to be built for a model, and why: decided before anything is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.ancestry import changed_parents, check_ancestry
from harness.lineage import past_lineages
from harness.presence import Presence, presence
from harness.recipe import all_options
from harness.sources import resolve
from harness.zoo import ModelSpec, Zoo
from training.estimate import estimate
from training.lineage import changed_files


@dataclass(frozen=True)
class Station:
    """One model of the walk.

    Attributes:
        spec: its entry.
        presence: what is here of it.
        action: ``keep`` it as it is (or as it is not: nothing needs it), ``build`` it unless one
            made from the parent as it then is lies there, or ``rebuild`` it in any case.
        why: the reason to build it, in words.
        seconds: how long building may take; ``None`` where nothing tells.
    """

    spec: ModelSpec
    presence: Presence
    action: Literal["keep", "build", "rebuild"]
    why: str = ""
    seconds: float | None = None


def make_plan(
    zoo: Zoo, name: str, models_dir: Path | None, force: bool = False
) -> tuple[Station, ...]:
    """Look at a walk from its root to a model, without network or torch.

    Only what follows the last model that is here is built; where a parent was built again since
    its child was made, or the file that a model learned from has changed, everything from there on.

    Args:
        zoo: the registry.
        name: the model that is wanted.
        models_dir: folder that holds ``org/name/``.
        force: build the model again although it is here; and accept that a root has changed.

    Raises:
        UnknownName: the registry has no such model.
        WeightsError: a root's weights are not those that its child was made from, or files of what
            is here changed after they were built; neither with ``force``.
    """
    walk = zoo.lineage(name)
    here = [presence(spec, zoo, models_dir) for spec in walk]
    broken = changed_parents(walk[-1], zoo, models_dir)
    if broken and broken[0].parent.step is None and not force:
        check_ancestry(walk[-1], zoo, models_dir)
    reasons = {link.child.name: str(link) for link in broken}
    for spec, found in zip(walk, here, strict=True):
        if found.lineage is not None and (changed := changed_files(found.lineage)):
            why = f"{' and '.join(changed)} has changed since it was learned from"
            reasons.setdefault(spec.name, why)
    if force and here[-1].state == "present":
        reasons.setdefault(name, "asked for")
    end = next((i for i, spec in enumerate(walk) if spec.name in reasons), len(walk))
    last = max((i for i, found in enumerate(here[:end]) if found.state == "present"), default=0)
    if walk[last].step is not None:
        resolve(walk[last], zoo, models_dir)  # holds it to the digests of when it was built
    first = last + 1
    past, size = past_lineages(), None
    plan: list[Station] = []
    for index, (spec, found) in enumerate(zip(walk, here, strict=True)):
        if index < first or spec.step is None:
            plan.append(Station(spec, found, "keep"))
        else:
            took = estimate(spec.step.kind, all_options(spec.step), size, past)
            why = reasons.get(spec.name) or _why(found)
            forced = force and spec.name == name
            plan.append(Station(spec, found, "rebuild" if forced else "build", why, took))
        size = found.disk_bytes or size
    return tuple(plan)


def _why(found: Presence) -> str:
    if found.state == "present":
        return "its parent is built again, and may come out otherwise"
    if found.damage:
        return f"damaged: {found.damage}"
    return "its recipe has changed" if found.others else "not built"
