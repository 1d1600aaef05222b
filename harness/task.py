"""What a task is as declared: a file under ``tasks/``, opened with its data when a run needs it.

A declaration (`Task`) costs nothing to import; opening it is what reads data. Adding a benchmark is
one file::

    from harness.data import Dataset
    from harness.task import lm_eval_task

    piqa = lm_eval_task(
        "piqa",
        yaml="piqa/piqa.yaml",
        primary="acc_norm",
        datasets=[Dataset("baber/piqa", split="validation")],
        about="everyday physics, two choices",
    )
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from harness.answers_task import MAX_NEW_TOKENS, STOPS, Measure, Wording, open_answers_task
from harness.data import Dataset
from harness.errors import UsageError
from harness.open_task import ClusterOf, OpenTask, TaskContext

LM_EVAL_PREFIX = "lm-eval:"
"""``--tasks lm-eval:piqa`` names a task of lm-eval's that has no file here."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class Task:
    """A benchmark as declared.

    Attributes:
        name: snake_case: it stands in commands, file names and addresses.
        primary: the metric for the leaderboard; ``None`` leaves it to the definition (acc_norm
            where there is one, else the first).
        datasets: what it reads, for offline checks before anything heavy is imported.
        open: reads the data; raises DataError, or UsageError for settings it cannot honour.
        about: one line for ``harness list tasks``.
        default_fewshot: lm-eval's default number of shots, for listing.
        judges: names in the registry of the judges that it asks.
        reference: whether it holds the model against what its preference step started from, where
            there is such a step.
        parent: whether it holds the model against what it was directly made from; not for roots.
        of_judges: whether it is judges (reward models) that it scores, not language models.
        default_limit: how many docs it takes where no limit is given, ``None`` for all.
        definitions: those of lm-eval's that word it, by their paths under ``lm_eval/tasks``.

    Raises:
        UsageError: the name is none, or a data set is not declared as a `Dataset`.
    """

    name: str
    primary: str | None
    datasets: tuple[Dataset, ...]
    open: Callable[[Task, TaskContext], OpenTask]
    about: str
    default_fewshot: int = 0
    judges: tuple[str, ...] = ()
    reference: bool = False
    parent: bool = False
    of_judges: bool = False
    default_limit: int | None = None
    definitions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.name.startswith(LM_EVAL_PREFIX) and not _NAME.fullmatch(self.name):
            raise UsageError(
                f"the task name {self.name!r}: letters, digits, _, . and - only, such as arc_easy"
            )
        if wrong := [each for each in self.datasets if not isinstance(each, Dataset)]:
            raise UsageError(
                f"the task {self.name}: {wrong[0]!r} stands where a Dataset is needed, such as "
                'Dataset("org/name", split="test")'
            )

    def with_config(self, config: str) -> Task:
        """The same task on another configuration of its data set (``--dataset-config``).

        Raises:
            UsageError: the task reads several configurations, or data that is shipped.
        """
        if len(self.datasets) != 1:
            raise UsageError(
                f"--dataset-config {config}: {self.name} reads {len(self.datasets)} configurations "
                "of its data set; only a task that reads one can be pointed elsewhere"
            )
        if self.datasets[0].shipped is not None:
            raise UsageError(
                f"--dataset-config {config}: the data of {self.name} is shipped with the project "
                "and has no other configuration; leave the option out"
            )
        return replace(self, datasets=(replace(self.datasets[0], config=config),))


@dataclass(frozen=True)
class TaskChoice:
    """A task within a suite, with the suite's settings for it."""

    task: str
    num_fewshot: int | None = None
    limit: int | None = None
    primary: str | None = None


@dataclass(frozen=True)
class Suite:
    """A named set of tasks and settings, from ``tasks/suites/<name>.yaml``."""

    name: str
    about: str
    tasks: tuple[TaskChoice, ...]
    samples: bool = False
    source: str = field(default="", compare=False)


def lm_eval_task(
    lm_eval_name: str,
    *,
    yaml: str,
    primary: str | None,
    datasets: Iterable[Dataset],
    about: str,
    name: str | None = None,
    default_fewshot: int = 0,
    cluster_of: ClusterOf | None = None,
) -> Task:
    """Declare a benchmark by lm-eval's own definition: its prompts, filters and per-doc metrics.

    Args:
        lm_eval_name: the name in lm-eval.
        yaml: path of the definition under ``lm_eval/tasks``, so that lm-eval's index of all its
            tasks (8 s to build) is not needed.
        primary: metric for the leaderboard, ``metric`` or ``metric,filter``; ``None`` for the
            definition's own choice.
        datasets: the one data set the definition reads, with the split that lm-eval scores.
        about: one line for the list.
        name: ours, where it differs.
        default_fewshot: lm-eval's default, for listing.
        cluster_of: names the document or passage that a row shares with others, so that
            comparisons do not count its docs as independent.
    """
    reads, ours = tuple(datasets), name or lm_eval_name
    if len(reads) != 1:
        raise UsageError(f"the task {ours}: names {len(reads)} data sets; a definition reads one")

    def open_task(task: Task, context: TaskContext) -> OpenTask:
        from harness.lm_eval_definition import Part
        from harness.lm_eval_task import open_lm_eval_task

        return open_lm_eval_task([Part(yaml, None, task.datasets[0])], context, cluster_of)

    return Task(ours, primary, reads, open_task, about, default_fewshot, definitions=(yaml,))


def lm_eval_group(
    name: str,
    *,
    parts: Mapping[str, tuple[str, Dataset]],
    primary: str,
    about: str,
    default_fewshot: int = 0,
) -> Task:
    """Declare several of lm-eval's tasks as one with groups (MMLU and its 57 subjects).

    Micro averages count every doc once, as lm-eval's ``mmlu`` does; beside each stands
    ``<metric>_macro``, the mean over groups.

    Args:
        name: ours.
        parts: group name to the definition's path under ``lm_eval/tasks`` and its data set.
        primary: metric for the leaderboard.
        about: one line for the list.
        default_fewshot: lm-eval's default, for listing.
    """

    def open_task(task: Task, context: TaskContext) -> OpenTask:
        from harness.lm_eval_definition import Part
        from harness.lm_eval_task import open_lm_eval_task

        chosen = zip(parts.items(), task.datasets, strict=True)
        return open_lm_eval_task(
            [Part(yaml, group, dataset) for (group, (yaml, _)), dataset in chosen], context
        )

    datasets = tuple(dataset for _, dataset in parts.values())
    definitions = tuple(yaml for yaml, _ in parts.values())
    return Task(name, primary, datasets, open_task, about, default_fewshot, definitions=definitions)


def token_perplexity(name: str, *, window: int, dataset: Dataset, about: str) -> Task:
    """Declare perplexity per token in disjoint windows of a joined text (the GPTQ papers' figure).

    Args:
        name: ours.
        window: tokens per window.
        dataset: rows with a ``text`` column, joined with blank lines.
        about: one line for the list.
    """

    def open_task(task: Task, context: TaskContext) -> OpenTask:
        from harness.windowed_task import open_windowed_task

        return open_windowed_task(task.datasets[0], window, context)

    return Task(name, "token_perplexity", (dataset,), open_task, about)


def preference_pairs(name: str, *, dataset: Dataset, about: str) -> Task:
    """Declare preference pairs: does the model hold the better answer likelier than the worse?

    Args:
        name: ours.
        dataset: rows ``instruction``, ``chosen``, ``rejected`` (and ``input``, ``group``), or
            transcripts ``chosen`` and ``rejected`` that part in the assistant's last turn.
        about: one line for the list.
    """

    def open_task(task: Task, context: TaskContext) -> OpenTask:
        from harness.preference_task import open_preference_task

        return open_preference_task(task.datasets[0], context)

    return Task(name, None, (dataset,), open_task, about, reference=True)


def text_divergence(name: str, *, texts: Task, about: str) -> Task:
    """Declare how far a model's predictions are from its parent's, token by token.

    Args:
        name: ours.
        texts: a task that asks for the log-likelihood of whole texts: which these are.
        about: one line for the list.
    """

    def open_task(task: Task, context: TaskContext) -> OpenTask:
        from harness.divergence_task import TextDivergence

        return TextDivergence(texts.open(replace(texts, datasets=task.datasets), context))

    definitions = texts.definitions
    return Task(name, "kl", texts.datasets, open_task, about, parent=True, definitions=definitions)


def choice_divergence(name: str, *, choices: Task, about: str) -> Task:
    """Declare how far a model's choices are from its parent's.

    Args:
        name: ours.
        choices: a task that asks for the log-likelihood of each choice: which these are.
        about: one line for the list.
    """

    def open_task(task: Task, context: TaskContext) -> OpenTask:
        from harness.divergence_task import ChoiceDivergence

        return ChoiceDivergence(choices.open(replace(choices, datasets=task.datasets), context))

    shots, definitions = choices.default_fewshot, choices.definitions
    return Task(
        name, "kl", choices.datasets, open_task, about, shots, parent=True, definitions=definitions
    )


def judged_pairs(name: str, *, dataset: Dataset, about: str) -> Task:
    """Declare preference pairs for reward models: does one give the better answer more?

    Args:
        name: ours.
        dataset: rows as `preference_pairs` takes them.
        about: one line for the list.
    """

    def open_task(task: Task, context: TaskContext) -> OpenTask:
        from harness.preference_task import open_judged_pairs

        return open_judged_pairs(task.datasets[0], context)

    return Task(name, None, (dataset,), open_task, about, of_judges=True)


def answers(
    name: str,
    *,
    dataset: Dataset,
    prompt: str,
    reference: str,
    measures: Sequence[Measure],
    about: str,
    question: str | None = None,
    until: tuple[str, ...] = STOPS,
    max_new_tokens: int = MAX_NEW_TOKENS,
    default_limit: int | None = None,
) -> Task:
    r"""Declare prompts with references: the model answers, and its answers are measured.

    Args:
        name: ours.
        dataset: rows with the columns that prompt and reference name, and perhaps ``group``.
        prompt: what is asked, columns in braces: ``"Question: {question}\nAnswer:"``.
        reference: what the answer is held against, likewise: ``"{answer}"``.
        measures: how; the first one's first metric is for the leaderboard.
        about: one line for the list.
        question: what a judge is told that was asked, likewise; without it the prompt.
        until: what stops an answer.
        max_new_tokens: how long it may be.
        default_limit: how many docs it takes where no limit is given.
    """
    wording = Wording(prompt, reference, question or prompt, until, max_new_tokens)

    def open_task(task: Task, context: TaskContext) -> OpenTask:
        return open_answers_task(task.datasets[0], wording, measures, context)

    return Task(
        name,
        measures[0].metrics[0].name,
        (dataset,),
        open_task,
        about,
        judges=tuple(sorted({each.judge for each in measures if each.judge is not None})),
        default_limit=default_limit,
    )


def letter_answer(name: str, *, datasets: Iterable[Dataset], about: str) -> Task:
    """Declare multiple choice by explained answers, from which the letter is extracted.

    Args:
        name: ours.
        datasets: rows as ARC or MMLU have them; of several, each is a group.
        about: one line for the list.
    """

    def open_task(task: Task, context: TaskContext) -> OpenTask:
        from harness.letter_task import open_letter_task

        return open_letter_task(task.datasets, context)

    return Task(name, "acc", tuple(datasets), open_task, about)


def final_number(name: str, *, dataset: Dataset, about: str) -> Task:
    """Declare questions whose worked answers end in ``#### <number>``, judged by that number.

    Args:
        name: ours.
        dataset: rows with the columns ``question``, ``answer`` and ``group``.
        about: one line for the list.
    """

    def open_task(task: Task, context: TaskContext) -> OpenTask:
        from harness.final_number_task import open_final_number_task

        return open_final_number_task(task.datasets[0], context)

    return Task(name, "exact_match,flexible-extract", (dataset,), open_task, about)


def tutor_requests(name: str, *, dataset: Dataset, about: str) -> Task:
    """Declare requests that a tutor should decline beside look-alikes that it should answer.

    Args:
        name: ours.
        dataset: rows with the columns ``prompt``, ``kind`` (``harmful`` or ``benign``) and
            ``group``.
        about: one line for the list.
    """

    def open_task(task: Task, context: TaskContext) -> OpenTask:
        from harness.integrity_task import open_integrity_task

        return open_integrity_task(task.datasets[0], context)

    return Task(name, "integrity", (dataset,), open_task, about)
