"""The shapes of a leaderboard, which are also the schema of ``leaderboard.json``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from harness.records import DataRecord, NoiseFloor
from harness.types import Estimate, Verdict

SCHEMA = 1

Standing = Literal["level", "mixed", "doubtful", "behind"]


@dataclass(frozen=True)
class Column:
    """One piece of work: a task under settings that make its results comparable.

    Attributes:
        label: heading, distinct within the section together with ``metric``.
        metric: the primary metric's key as recorded (``exact_match,strict-match``).
        unit: ``score`` where the results were recorded in several: a metric whose values happen
            to be all 0 or 1 for one model is a proportion there, and a score for another.
        limit: the limit that was asked for; ``None`` where it left no docs out.
        docs: docs asked; equal for all results of the column.
        groups: number of groups in the task (MMLU's subjects), 0 if it has none.
        chat_template: whether the prompts went through a chat template.
    """

    label: str
    task: str
    version: str
    metric: str
    unit: str
    higher_is_better: bool
    num_fewshot: int
    limit: int | None
    docs: int
    groups: int
    chat_template: bool
    data: tuple[DataRecord, ...]
    prompt_digest: str


@dataclass(frozen=True)
class Delta:
    """What a model changed from its parent, on the same docs.

    Attributes:
        parent: label of the parent's row.
        run_id: the run that the parent's answers are from.
        estimate: model minus parent, in the column's unit, with its paired 95% interval.
        p: of the test that made the interval.
        p_holm: ``p`` adjusted for all deltas of the section; ``None`` for a metric without a better
            end.
        verdict: by ``p_holm``, at 5%.
    """

    parent: str
    run_id: str
    estimate: Estimate
    p: float | None
    p_holm: float | None = None
    verdict: Verdict = "not tested"


@dataclass(frozen=True)
class Cell:
    """One model's result in one column.

    Attributes:
        estimate: in the column's unit; ``None`` where the run recorded none under the primary
            metric's name.
        limit: as the column's.
        surely_best: better than every other model of the column, by `surely_best`; never of a
            metric without a better end.
        noise: ``None`` where it was not measured.
        delta: from the parent's result in the same column; ``None`` where there is none, or the
            docs of either are not here.
    """

    run_id: str
    estimate: Estimate | None
    docs: int
    unscored: int
    truncated: int
    limit: int | None
    surely_best: bool = False
    noise: NoiseFloor | None = None
    delta: Delta | None = None


@dataclass(frozen=True)
class Costs:
    """What a row's results took, over the ``tasks`` results that are shown in it.

    Attributes:
        tokens_per_second: of the run: reading and writing as its tasks mixed them.
        decode: generated tokens a second by `harness speed`, ``None`` where it was not probed.
    """

    parameters: int | None
    disk_bytes: int
    memory_bytes: int | None
    peak_memory_bytes: int | None
    seconds: float
    tokens_per_second: float | None
    tasks: int
    machines: tuple[str, ...]
    decode: float | None = None


@dataclass(frozen=True)
class ModelRow:
    """One model, as these weights in this dtype behind this backend.

    Attributes:
        label: the name, with what tells it apart where two rows share a name.
        cells: one per column of the section, ``None`` where the model has no result.
        runs: ids of the runs that the cells come from, newest first.
        notes: what a reader must know, such as an interrupted run.
        data_cards: mixture that the lineage learned from to the digest of its data card.
    """

    label: str
    name: str
    family: str
    stage: str
    quantization: str
    dtype: str
    backend: str
    lineage: tuple[str, ...]
    weights_id: str
    cells: tuple[Cell | None, ...]
    costs: Costs
    runs: tuple[str, ...]
    notes: tuple[str, ...] = ()
    data_cards: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Rival:
    """A model beside the one with the highest score, on the same docs.

    Attributes:
        label: of its row.
        delta: its score minus the highest, in the answer's unit, with its paired 95% interval.
        p: of the test that made the interval.
        p_holm: ``p`` adjusted for every pair of the models that are compared.
        standing: see `harness.report.answer.standing`.
        worse_on: labels of the columns whose own paired interval lies on the worse side of 0.
        better_on: those on which it is surely better, adjusted for all tasks of all others.
        visible: the smallest difference that would have shown four times in five.
    """

    label: str
    delta: Estimate
    p: float | None
    p_holm: float | None
    standing: Standing
    worse_on: tuple[str, ...]
    better_on: tuple[str, ...]
    visible: float | None


@dataclass(frozen=True)
class Answer:
    """Which model to ship, as far as the section's results tell.

    Attributes:
        columns: labels of the work that the models share, one for each task.
        measured: those of them over which the score is.
        docs: of these, each counted once.
        leader: label of the row with the highest score; ``None`` where none can be named.
        score: the leader's.
        metric: what the score is where it is no share of right docs, else ``""``.
        unit, higher_is_better: of the score.
        rivals: the others that share the work, the highest score first.
        smaller: label of the smallest model that may stand in for the leader, if one does.
        faster: the same of the fastest by the probe.
        left_out: why a row was not compared, by its label.
        ahead: labels of such rows with a better figure in the shared work than the leader's.
        why: why there is no answer, in words.
    """

    columns: tuple[str, ...] = ()
    measured: tuple[str, ...] = ()
    docs: int = 0
    leader: str | None = None
    score: float | None = None
    metric: str = ""
    unit: str = "proportion"
    higher_is_better: bool = True
    rivals: tuple[Rival, ...] = ()
    smaller: str | None = None
    faster: str | None = None
    left_out: Mapping[str, str] = field(default_factory=dict)
    ahead: tuple[str, ...] = ()
    why: str = ""


@dataclass(frozen=True)
class Section:
    """A table: rows are models, columns are pieces of work.

    Attributes:
        answer: ``None`` where nobody asked, as for the samples.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[ModelRow, ...]
    answer: Answer | None = None


@dataclass(frozen=True)
class Leaderboard:
    """Everything a leaderboard page says.

    Attributes:
        benchmarks, samples: results on real data, and those on the shipped samples.
        notes: runs that could not be read or have nothing to show.
        newest: time of the newest run that is shown, as recorded.
        published: suites of these runs that have a page beside published figures.
    """

    benchmarks: Section
    samples: Section
    notes: tuple[str, ...] = ()
    newest: str | None = None
    published: tuple[str, ...] = ()
    schema: int = SCHEMA
