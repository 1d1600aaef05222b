"""The models that a task asks besides the one that is scored: a reference, and judges.

They are looked up and their files checked before anything is loaded; each is loaded when it is
first asked, and kept until the run ends. Their answers go through journals of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from harness.backends.backend import Backend
from harness.errors import UsageError, WeightsError
from harness.journal import Journal, open_journal
from harness.sources import Artifact, presence, resolve
from harness.task import Task
from harness.zoo import ModelSpec, Zoo

REFERENCE = "reference"
"""How a request is addressed to the reference, whatever model that is."""

Party = tuple[Backend, Journal | None]
Load = Callable[[ModelSpec, Artifact], tuple[Backend, Mapping[str, str]]]
"""Loads a model; gives it with all that its answers depend on, which names its journal."""


@dataclass(frozen=True)
class Other:
    """One of them: its entry, and its checked files."""

    spec: ModelSpec
    artifact: Artifact


@dataclass
class Others:
    """All whom a run may ask.

    Attributes:
        known: ``reference`` or a judge's name, to the model.
    """

    known: Mapping[str, Other]
    _load: Load | None = None
    _journals: Path | None = None
    _held: ExitStack = field(default_factory=ExitStack)
    _tell: Callable[[str], None] = print
    _parties: dict[str, Party] = field(default_factory=dict)

    def party(self, name: str) -> Party:
        """Who answers in that name, loaded on the first call, with its journal."""
        if name not in self._parties:
            if self._load is None:
                raise RuntimeError(f"{name} is asked, and nobody is there to answer")
            backend, identity = self._load(self.known[name].spec, self.known[name].artifact)
            journal = self._held.enter_context(open_journal(self._journals, identity, self._tell))
            self._parties[name] = backend, journal
        return self._parties[name]

    def names(self, task: Task) -> dict[str, str]:
        """Whom a task asks, each with the model's name and its weights' identity."""
        return {
            name: f"{other.spec.name} ({other.artifact.weights_id[:16]})"
            for name, other in self.known.items()
            if name in task.judges or (name == REFERENCE and task.reference)
        }


NOBODY = Others({})
"""For runs whose tasks have one round."""


def reference_of(spec: ModelSpec, zoo: Zoo, asked: str | None) -> ModelSpec | None:
    """The model that another is held against.

    Args:
        spec: the model that is scored.
        zoo: the registry.
        asked: what the user named, for all models alike.

    Returns:
        What was asked for; else what the nearest preference step of the model's lineage started
        from, which is the reference of DPO's objective; ``None`` where there is no such step, and
        for the reference itself.

    Raises:
        UnknownName: the registry has no such model.
    """
    if asked is not None:
        return zoo.get(asked) if asked != spec.name else None
    for ancestor in reversed(zoo.lineage(spec.name)):
        if ancestor.stage in ("dpo", "kto") and ancestor.parent is not None:
            parent = zoo.get(ancestor.parent)
            if parent.stage != ancestor.stage:
                return parent
    return None


def others_of(
    spec: ModelSpec, zoo: Zoo, tasks: list[Task], reference: str | None
) -> dict[str, ModelSpec]:
    """Whom some tasks ask besides the model: ``reference`` or a judge's name, to its entry.

    Raises:
        UnknownName: the registry has no such model.
        UsageError: what should judge is no judge, or what should be held against is one.
    """
    found = {name: zoo.get(name) for task in tasks for name in task.judges}
    for name, judge in found.items():
        if not judge.judges:
            raise UsageError(
                f"{name} is asked to judge answers, but is a {judge.stage} model: a judge is an "
                "entry of stage judge or reward"
            )
    held_against = reference_of(spec, zoo, reference)
    if held_against is not None and held_against.judges:
        raise UsageError(
            f"--reference {held_against.name}: it judges answers and gives none; name a language "
            "model"
        )
    if held_against is not None and any(task.reference for task in tasks):
        found[REFERENCE] = held_against
    return found


def obtain(
    specs: Mapping[str, ModelSpec],
    zoo: Zoo,
    models_dir: Path | None,
    tell: Callable[[str], None],
) -> dict[str, Other]:
    """Get and check the files of them all.

    Raises:
        WeightsError: one is not built, cannot be had, or is damaged.
    """
    found = {}
    for name, spec in specs.items():
        if spec.source is None and presence(spec, zoo, models_dir).state != "present":
            role = "the reference" if name == REFERENCE else "the judge"
            raise WeightsError(
                f"{role} {spec.name} is not built: `make train MODEL={spec.name}` builds it"
            )
        found[name] = Other(spec, resolve(spec, zoo, models_dir, tell))
        for remark in found[name].artifact.notes:
            tell(f"{spec.name}: {remark}")
    return found
