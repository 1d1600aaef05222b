"""The models that a task asks besides the one that is scored: a reference, a parent, judges.

They are looked up and their files checked before anything is loaded; each is loaded when it is
first asked, and kept until the run ends. Their answers go through journals of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path

from harness.backends.backend import Backend
from harness.checkout import how_to_train
from harness.errors import UsageError, WeightsError
from harness.journal import Journal, open_journal
from harness.presence import presence
from harness.sources import Artifact, resolve
from harness.task import Task
from harness.zoo import ModelSpec, Zoo

REFERENCE = "reference"
"""How a request is addressed to what the model's preference step started from, whoever that is."""
PARENT = "parent"
"""How one is addressed to the model that this one was directly made from."""
PAIR = "pair"
"""How one is addressed to the scored model and its parent together."""
NO_REFERENCE = "none"
"""``--reference none``: what can do without a reference does."""

Party = tuple[Backend, Journal | None]
Loaded = tuple[Backend, Mapping[str, str]]
"""A model with all that its answers depend on, which names its journal."""
Load = Callable[[ModelSpec, Artifact], Loaded]
Beside = Callable[[Backend], Loaded]
"""Puts the scored model beside its parent, to be asked together."""


@dataclass(frozen=True)
class Other:
    """One of them: its entry, and its checked files."""

    spec: ModelSpec
    artifact: Artifact

    def __str__(self) -> str:
        how = asdict(self.spec.judge) if self.spec.judge is not None else {}
        said = [f"{name} {value}" for name, value in how.items() if value is not None]
        return f"{self.spec.name} ({', '.join([self.artifact.weights_id[:16], *said])})"


@dataclass
class Others:
    """All whom a run may ask.

    Attributes:
        known: ``reference``, ``parent`` or a judge's name, to the model.
    """

    known: Mapping[str, Other]
    _load: Load | None = None
    _beside: Beside | None = None
    _journals: Path | None = None
    _held: ExitStack = field(default_factory=ExitStack)
    _tell: Callable[[str], None] = print
    _guard: Callable[[Loaded], Backend] = lambda loaded: loaded[0]
    _loaded: dict[str, Loaded] = field(default_factory=dict)
    _parties: dict[str, Party] = field(default_factory=dict)

    def party(self, name: str) -> Party:
        """Who answers in that name, loaded on the first call, with its journal.

        A model that goes by two names is one: the reference is often the parent.
        """
        key = name if name == PAIR else self.known[name].spec.name
        if key not in self._parties:
            loaded = self._get(name)
            journal = open_journal(self._journals, loaded[1], self._tell)
            self._parties[key] = self._guard(loaded), self._held.enter_context(journal)
        return self._parties[key]

    def title(self, name: str) -> str:
        """Who that is, for the one who waits."""
        if name == PAIR:
            return f"it and {self.known[PARENT].spec.name}"
        return self.known[name].spec.name

    def _get(self, name: str) -> Loaded:
        if self._load is None or self._beside is None:
            raise RuntimeError(f"{name} is asked, and nobody is there to answer")
        if name == PAIR:
            if PAIR not in self._loaded:
                self._loaded[PAIR] = self._beside(self._get(PARENT)[0])
            return self._loaded[PAIR]
        other = self.known[name]
        if other.spec.name not in self._loaded:
            self._loaded[other.spec.name] = self._load(other.spec, other.artifact)
        return self._loaded[other.spec.name]

    def release(self, release: Callable[[Backend], None]) -> None:
        """Let go of all who were loaded; ``release`` is the executor's."""
        for backend, _ in self._loaded.values():
            release(backend)
        self._loaded.clear()
        self._parties.clear()

    def names(self, task: Task) -> dict[str, str]:
        """Whom a task asks, each with the model's name, its weights' identity and how it judges."""
        return {
            name: str(other)
            for name, other in self.known.items()
            if name in task.judges
            or (name == REFERENCE and task.reference)
            or (name == PARENT and task.parent)
        }


NOBODY = Others({})
"""For runs whose tasks have one round."""


def reference_of(spec: ModelSpec, zoo: Zoo, asked: str | None) -> ModelSpec | None:
    """The model that another is held against.

    Args:
        spec: the model that is scored.
        zoo: the registry.
        asked: what the user named, for all models alike; ``none`` for no reference.

    Returns:
        What was asked for; else what the nearest preference step of the model's lineage started
        from, which is the reference of DPO's objective; ``None`` where there is no such step, and
        for the reference itself.

    Raises:
        UnknownName: the registry has no such model.
    """
    if asked is not None:
        return zoo.get(asked) if asked not in (spec.name, NO_REFERENCE) else None
    for ancestor in reversed(zoo.lineage(spec.name)):
        if ancestor.stage in ("dpo", "kto") and ancestor.parent is not None:
            parent = zoo.get(ancestor.parent)
            # A quantization keeps its parent's stage; a second round of DPO does too.
            if parent.stage != ancestor.stage or ancestor.quantization == "none":
                return parent
    return None


def parent_of(spec: ModelSpec, zoo: Zoo, asked: str | None) -> ModelSpec | None:
    """What a model was directly made from, or what the user named instead; ``None`` for a root.

    Raises:
        UnknownName: the registry has no such model.
    """
    if asked is not None:
        return reference_of(spec, zoo, asked)
    return zoo.get(spec.parent) if spec.parent is not None else None


def others_of(
    spec: ModelSpec, zoo: Zoo, tasks: list[Task], reference: str | None
) -> dict[str, ModelSpec]:
    """Whom some tasks ask besides the model: ``reference``, ``parent`` or a judge's name, to its
    entry.

    Raises:
        UnknownName: the registry has no such model.
        UsageError: what should judge is no judge, what should be held against is one, or a model
            that needs a parent has none.
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
    if orphaned := [task.name for task in tasks if task.parent]:
        parent = parent_of(spec, zoo, reference)
        if parent is None:
            why = f"{spec.name} is a root, with no parent" if reference is None else "that is none"
            raise UsageError(
                f"{', '.join(orphaned)}: a model is held against what it was made from, and {why}; "
                "name another model of its lineage: --reference MODEL"
            )
        found[PARENT] = parent
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
            role = f"the {name}" if name in (REFERENCE, PARENT) else "the judge"
            raise WeightsError(
                f"{role} {spec.name} is not built: `{how_to_train(spec.name)}` builds it"
            )
        found[name] = Other(spec, resolve(spec, zoo, models_dir, tell))
        for remark in found[name].artifact.notes:
            tell(f"{spec.name}: {remark}")
    return found
