"""Differences between results of one leaderboard, from the docs in their runs' folders."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from harness.compare import StoredRun, pooled_difference
from harness.difference import Difference, metric_difference
from harness.errors import RecordError
from harness.pairing import Pair, ScoredDoc, asked_otherwise, docs_by_id, paired_by_id
from harness.records import Run, TaskResult

KEPT_DOCS = 200_000
"""So many docs are kept read at most: about 200 MB."""

Place = tuple[str, str]
"""Where a result is: its run's id and its task."""


class PairedDocs:
    """Pairs the docs of results. A result is read once, or again where all do not fit into memory.

    Args:
        runs: all that the leaderboard shows.
    """

    def __init__(self, runs: Iterable[StoredRun]) -> None:
        self._runs = {each.run.id: each for each in runs}
        self._read: OrderedDict[Place, Mapping[str, ScoredDoc] | None] = OrderedDict()
        self._differences: dict[tuple[Place, Place], Difference | None] = {}

    def run(self, run_id: str) -> Run:
        """The record of a run."""
        return self._runs[run_id].run

    def readable(self, place: Place) -> bool:
        """Whether the docs of a result are here, and whole."""
        return self._docs(place) is not None

    def ids(self, place: Place) -> Collection[str]:
        """The ids of a result's docs; none where they are not here, or not whole."""
        return (self._docs(place) or {}).keys()

    def difference(self, base: Place, model: Place) -> Difference | None:
        """The difference of the primary metric, model minus base, not adjusted.

        ``None`` where the docs are not here, or not the same on both sides.
        """
        if (base, model) not in self._differences:
            self._differences[base, model] = self._compared(base, model)
        return self._differences[base, model]

    def pooled(
        self, base: Mapping[str, Place], model: Mapping[str, Place]
    ) -> tuple[Difference | None, tuple[str, ...]]:
        """The difference over several results of accuracy by task, as `compare.pooled_difference`
        makes it; ``None`` where one cannot be paired.
        """
        paired: dict[str, list[Pair]] = {}
        for task, place in base.items():
            pairs = self._pairs(place, model[task])
            if pairs is None:
                return None, ()
            paired[task] = pairs
        of_base, of_model = (
            {task: self._result(place) for task, place in side.items()} for side in (base, model)
        )
        found, tasks, _ = pooled_difference(of_base, of_model, paired)
        return found, tasks

    def _compared(self, base: Place, model: Place) -> Difference | None:
        of_base, of_model = self._result(base), self._result(model)
        metric = of_base.primary
        if metric not in of_base.estimates or metric not in of_model.estimates:
            return None
        pairs = self._pairs(base, model)
        return metric_difference(of_base, of_model, metric, pairs) if pairs else None

    def _pairs(self, base: Place, model: Place) -> list[Pair] | None:
        first, second = self._docs(base), self._docs(model)
        if first is None or second is None or first.keys() != second.keys():
            return None
        pairs = paired_by_id(first, second)
        return None if asked_otherwise(pairs) else pairs

    def _result(self, place: Place) -> TaskResult:
        return self.run(place[0]).results[place[1]]

    def _docs(self, place: Place) -> Mapping[str, ScoredDoc] | None:
        if place in self._read:
            self._read.move_to_end(place)
            return self._read[place]
        folder = self._runs[place[0]].folder
        try:
            # Which answer was chosen is not asked for here, and is most of what a doc takes.
            docs = {
                name: replace(doc, continuations=(), logprobs=())
                for name, doc in docs_by_id(folder, place[1]).items()
            }
        except RecordError:
            docs = None
        self._read[place] = docs
        while (
            len(self._read) > 1 and sum(len(each or ()) for each in self._read.values()) > KEPT_DOCS
        ):
            self._read.popitem(last=False)
        return docs
