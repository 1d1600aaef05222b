"""Whether a model that a step made still descends from what the registry says it does.

A child records the identity of the parent that it was made from. Where that parent has other
weights now (another checkpoint laid under its name, or trained again), the child's scores would
stand beside those of a parent that is not its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from harness.checkout import how_to_train
from harness.errors import WeightsError
from harness.presence import presence
from harness.sources import resolve
from harness.zoo import ModelSpec, Zoo


@dataclass(frozen=True)
class Changed:
    """A parent that is not the one that its child was made from.

    Attributes:
        child, parent: their entries.
        recorded: the weights_id that the child was made from.
        present: the parent's weights_id now.
    """

    child: ModelSpec
    parent: ModelSpec
    recorded: str
    present: str

    def __str__(self) -> str:
        return (
            f"{self.child.name} was made from other weights of {self.parent.name} than those "
            f"that are here now (recorded: {self.recorded[:16]}, here: {self.present[:16]})"
        )


def changed_parents(spec: ModelSpec, zoo: Zoo, models_dir: Path | None = None) -> list[Changed]:
    """The broken links of a model's lineage, from the root on. A link is looked at where both its
    ends are on this machine; nothing is fetched.

    Raises:
        UsageError: the models folder does not exist.
    """
    broken: list[Changed] = []
    for parent, child in pairwise(zoo.lineage(spec.name)):
        lineage = presence(child, zoo, models_dir).lineage
        if lineage is None:
            continue
        now = present_weights(parent, zoo, models_dir)
        if now is not None and now != lineage.parent_weights_id:
            broken.append(Changed(child, parent, lineage.parent_weights_id, now))
    return broken


def check_ancestry(spec: ModelSpec, zoo: Zoo, models_dir: Path | None = None) -> None:
    """Refuse a model whose parent, or a parent's parent, changed after it was made.

    Raises:
        WeightsError: names both, and the command that builds what follows from the change.
    """
    if broken := changed_parents(spec, zoo, models_dir):
        first = broken[0]
        raise WeightsError(
            f"{spec.name}: {first}. Put the former {first.parent.name} back, or build "
            f"{first.child.name} and what follows from it again: "
            f"`{how_to_train(spec.name, force=True)}`"
        )


def present_weights(spec: ModelSpec, zoo: Zoo, models_dir: Path | None = None) -> str | None:
    """The weights_id of what is here of a model; ``None`` where it is not here, or not whole."""
    if presence(spec, zoo, models_dir).state != "present":
        return None
    try:
        return resolve(spec, zoo, models_dir).weights_id
    except WeightsError:
        return None
