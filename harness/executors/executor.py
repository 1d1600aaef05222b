"""The Executor protocol: who loads a model, where, and so where its questions are answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from harness.backends.backend import Backend, LoadOptions
from harness.errors import UnknownName
from harness.journal import Journal
from harness.judge_options import JudgeOptions
from harness.types import Request

EXECUTORS = ("local", "ray")


@dataclass(frozen=True)
class Loading:
    """Which model to load, and as what: plain data, so that another process can do it.

    Attributes:
        backend: one of `harness.backends.backend.BACKENDS`.
        options: its files and how they are read.
        judge: how it judges; ``None`` for a language model.
        beside: the parent that it is put beside, to be asked with it for divergences.
        relaid: whether it is to put its questions into other batches.
        files: ``(name, sha256)`` of the files that decide what it is, for a machine that may have
            others under the same path; those of a tokenizer's own folder as ``tokenizer/<name>``.
    """

    backend: str
    options: LoadOptions
    judge: JudgeOptions | None = None
    beside: Loading | None = None
    relaid: bool = False
    files: tuple[tuple[str, str], ...] = ()


def without_budget(loading: Loading) -> Loading:
    """What tells models apart: one that is loaded again keeps the budget that it has."""
    return replace(
        loading,
        options=replace(loading.options, budget=None),
        beside=without_budget(loading.beside) if loading.beside is not None else None,
    )


class Executor(Protocol):
    """Loads models, here or elsewhere; what it returns is asked like any other backend.

    Attributes:
        ahead: whether it gains from knowing all requests before the first answer is needed.
        set_apart: what was given up because it ended worker after worker, in words.
    """

    ahead: bool
    set_apart: Sequence[str]

    def load(self, loading: Loading) -> Backend:
        """Load a model.

        Raises:
            WeightsError: it cannot be loaded.
        """
        ...

    def beside(self, scored: Backend, parent: Backend) -> Backend:
        """Put two models that it loaded side by side, to be asked for divergences.

        Raises:
            UsageError: they cannot be run side by side.
        """
        ...

    def foresee(
        self, backend: Backend, requests: Sequence[Request], journal: Journal | None
    ) -> None:
        """Begin to answer what a backend will be asked later, in one call for each task.

        Args:
            backend: one that `load` returned.
            requests: a task's, as `Backend.encode` will be given them.
            journal: of this backend; what it holds is not asked, and answers that nobody waits
                for yet are written down in it when the driver next looks: while it waits for any
                answer, foresees another task, or lets go of a model.
        """
        ...

    def release(self, backend: Backend) -> None:
        """Let go of a model: nothing more will be asked of it, and nothing written down.

        One that was released already stays as it is.
        """
        ...

    def close(self) -> None:
        """Let go of everything."""
        ...


def check_executor(name: str) -> None:
    """Raise UnknownName unless ``name`` is an executor."""
    if name not in EXECUTORS:
        raise UnknownName("executor", name, EXECUTORS, "the harness's executors")
