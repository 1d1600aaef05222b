"""Loads models into this process."""

from __future__ import annotations

from collections.abc import Sequence

from harness.backends.backend import Backend, load_backend
from harness.errors import UsageError
from harness.executors.executor import Loading
from harness.journal import Journal
from harness.types import Request


class LocalExecutor:
    """One process, one model after the other; questions are answered when they are asked."""

    ahead = False
    set_apart: Sequence[str] = ()

    def load(self, loading: Loading) -> Backend:
        """Load a model here."""
        return load_here(loading)

    def beside(self, scored: Backend, parent: Backend) -> Backend:
        """Put two loaded models side by side."""
        from harness.backends.pair import make_pair

        return make_pair(scored, parent)

    def foresee(
        self, backend: Backend, requests: Sequence[Request], journal: Journal | None
    ) -> None:
        """There is nobody who could answer meanwhile."""

    def release(self, backend: Backend) -> None:
        """It goes when nobody refers to it."""

    def close(self) -> None:
        """There is nothing to close."""


LOCAL = LocalExecutor()


def load_here(loading: Loading) -> Backend:
    """Load a language model or a judge into this process, not relaid and beside no other.

    Raises:
        WeightsError: it cannot be loaded.
        UsageError: a worker was asked for what its backend has not.
    """
    if loading.relaid or loading.beside is not None:
        raise UsageError("a model is laid anew, or put beside another, after it was loaded")
    if loading.judge is not None:
        from harness.judges import load_judge

        return load_judge(loading.options, loading.judge)
    return load_backend(loading.backend, loading.options)
