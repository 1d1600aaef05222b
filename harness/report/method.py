"""How the figures of a site came about, as data: metrics, works, data, judges, models, machines.

`build_method` is pure: everything is read from the runs' records, and from `harness.metrics` what a
metric is. `harness.report.method_tables` puts it into words, `.html_method` and `.markdown_method`
draw these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from harness.metrics.meanings import Meaning, meaning_of
from harness.records import Origin, Run, TaskResult
from harness.report.newest import newest_first

LM_EVAL_PREFIX = "lm-eval:"
"""As `harness.task.LM_EVAL_PREFIX`, which would import what opens tasks."""

_Key = TypeVar("_Key")
_Item = TypeVar("_Item")


@dataclass(frozen=True)
class MetricUse:
    """A metric that occurs.

    Attributes:
        key: as recorded (``exact_match,strict-match``).
        meaning: what it is; ``None`` where the harness does not say: a metric of lm-eval's, in a
            task that is lm-eval's own, or one of a task file that nobody has explained.
        units, directions: those that occur; ``True`` is higher is better.
        intervals: how its intervals were made, in the words of `Estimate.method`.
        tasks: where it occurs, by name.
    """

    key: str
    meaning: Meaning | None
    units: tuple[str, ...]
    directions: tuple[bool, ...]
    intervals: tuple[str, ...]
    tasks: tuple[str, ...]

    @property
    def of_lm_eval(self) -> bool:
        """Whether every task that has it is lm-eval's own."""
        return all(task.startswith(LM_EVAL_PREFIX) for task in self.tasks)


@dataclass(frozen=True)
class TaskUse:
    """A task under one group of settings.

    Attributes:
        limit: as asked for; ``None`` for the whole split.
        data: the data sets in words, sorted.
        others: who else was asked, by role, in words.
        runs: how many runs have it so.
    """

    task: str
    version: str
    primary: str
    num_fewshot: int
    limit: int | None
    docs: int
    chat_template: bool
    samples: bool
    prompt_digest: str
    data: tuple[str, ...]
    others: tuple[tuple[str, str], ...]
    runs: int


@dataclass(frozen=True)
class DataUse:
    """A data set as it was found: ``files`` are names with their sha256."""

    dataset: str
    config: str
    origin: Origin
    revision: str
    files: tuple[tuple[str, str], ...]
    tasks: tuple[str, ...]


@dataclass(frozen=True)
class OtherUse:
    """Who was asked besides the model that is scored: a reference, a parent or a judge.

    Attributes:
        who: its name, the beginning of its weights' digest, and how it judges.
        roles: ``reference``, ``parent``, or its name where it judges.
    """

    who: str
    roles: tuple[str, ...]
    tasks: tuple[str, ...]


@dataclass(frozen=True)
class ModelUse:
    """A model that was scored: what its name stood for."""

    name: str
    source: str
    weights_id: str
    dtype: str
    chat_template: bool
    custom_code: bool
    licence: str
    runs: int


@dataclass(frozen=True)
class SettingUse:
    """One way in which models were asked: what can change an answer besides model and prompt."""

    backend: str
    dtype: str
    head: str
    seed: int
    plan: str
    runs: int


@dataclass(frozen=True)
class MachineUse:
    """A machine."""

    device: str
    processor: str
    threads: int
    cores: int
    memory_bytes: int
    platform: str
    runs: int


@dataclass(frozen=True)
class VersionUse:
    """The software that ran; ``packages`` are those that can change a score, ``commits`` those of
    the harness's source that are recorded.
    """

    harness: str
    python: str
    packages: tuple[tuple[str, str], ...]
    commits: tuple[str, ...]
    runs: int


@dataclass(frozen=True)
class Command:
    """What was typed for a run."""

    run_id: str
    model: str
    created: str
    command: str
    rescored_from: str


@dataclass(frozen=True)
class Method:
    """Everything that the method page says.

    Attributes:
        runs: how many runs it is of.
        notes: remarks to carry along, such as runs that could not be read.
    """

    runs: int
    metrics: tuple[MetricUse, ...]
    tasks: tuple[TaskUse, ...]
    data: tuple[DataUse, ...]
    others: tuple[OtherUse, ...]
    models: tuple[ModelUse, ...]
    settings: tuple[SettingUse, ...]
    machines: tuple[MachineUse, ...]
    versions: tuple[VersionUse, ...]
    commands: tuple[Command, ...]
    notes: tuple[str, ...] = ()


def build_method(runs: Sequence[Run], notes: Iterable[str] = ()) -> Method:
    """Gather what the runs say of their method.

    Args:
        runs: in any order; commands are listed newest first, the rest by name.
        notes: remarks to carry along, such as runs that could not be read.
    """
    results = [(run, result) for run in runs for result in run.results.values()]
    return Method(
        runs=len(runs),
        metrics=_metrics(results),
        tasks=_tasks(results),
        data=_data(results),
        others=_others(results),
        models=_counted(runs, _model),
        settings=_counted(runs, _setting),
        machines=_counted(runs, _machine),
        versions=_versions(runs),
        commands=tuple(map(_command, newest_first(runs))),
        notes=tuple(notes),
    )


def _metrics(results: Sequence[tuple[Run, TaskResult]]) -> tuple[MetricUse, ...]:
    """By key; what the harness explains apart from what only lm-eval can."""
    held = [
        ((key, not result.task.startswith(LM_EVAL_PREFIX)), (estimate, result.task))
        for _, result in results
        for key, estimate in result.estimates.items()
    ]
    return tuple(
        MetricUse(
            key=key,
            meaning=meaning_of(key) if ours else None,
            units=_distinct(estimate.unit for estimate, _ in found),
            directions=_distinct(estimate.higher_is_better for estimate, _ in found),
            intervals=_distinct(estimate.method for estimate, _ in found if estimate.method),
            tasks=_distinct(task for _, task in found),
        )
        for (key, ours), found in _grouped(held).items()
    )


def _tasks(results: Sequence[tuple[Run, TaskResult]]) -> tuple[TaskUse, ...]:
    counts: dict[TaskUse, int] = {}
    for run, result in results:
        use = TaskUse(
            task=result.task,
            version=result.version,
            primary=result.primary,
            num_fewshot=result.num_fewshot,
            limit=result.limit,
            docs=result.docs,
            chat_template=run.model.chat_template,
            samples=result.on_samples,
            prompt_digest=result.prompt_digest,
            data=_distinct(f"{data.dataset} {data.config or ''}" for data in result.data),
            others=tuple(sorted(result.others.items())),
            runs=0,
        )
        counts[use] = counts.get(use, 0) + 1
    return tuple(replace(use, runs=counts[use]) for use in sorted(counts, key=_task_order))


def _task_order(use: TaskUse) -> tuple[object, ...]:
    return use.task, use.samples, use.num_fewshot, -use.docs, repr(use)


def _data(results: Sequence[tuple[Run, TaskResult]]) -> tuple[DataUse, ...]:
    held = [
        (
            (
                data.dataset,
                data.config or "",
                data.origin,
                data.revision or "",
                tuple(sorted(data.files.items())),
            ),
            result.task,
        )
        for _, result in results
        for data in result.data
    ]
    return tuple(DataUse(*key, tasks=_distinct(found)) for key, found in _grouped(held).items())


def _others(results: Sequence[tuple[Run, TaskResult]]) -> tuple[OtherUse, ...]:
    held = [
        (who, (role, result.task)) for _, result in results for role, who in result.others.items()
    ]
    return tuple(
        OtherUse(who, _distinct(role for role, _ in found), _distinct(task for _, task in found))
        for who, found in _grouped(held).items()
    )


def _model(run: Run, runs: int) -> ModelUse:
    model = run.model
    return ModelUse(
        name=model.name,
        source=model.source + (f" @ {model.revision}" if model.revision else ""),
        weights_id=model.weights_id,
        dtype=model.dtype,
        chat_template=model.chat_template,
        custom_code=model.trust_remote_code,
        licence=model.licence,
        runs=runs,
    )


def _setting(run: Run, runs: int) -> SettingUse:
    asked = run.settings
    return SettingUse(asked.backend, asked.dtype, asked.head, asked.seed, run.plan, runs)


def _machine(run: Run, runs: int) -> MachineUse:
    at = run.environment
    return MachineUse(
        at.device, at.processor, at.threads, at.cores, at.memory_bytes, at.platform, runs
    )


def _versions(runs: Sequence[Run]) -> tuple[VersionUse, ...]:
    held = [
        ((at.harness, at.python, tuple(sorted(at.packages.items()))), at.git_commit)
        for at in (run.environment for run in runs)
    ]
    return tuple(
        VersionUse(*key, _distinct(commit for commit in commits if commit), len(commits))
        for key, commits in _grouped(held).items()
    )


def _command(run: Run) -> Command:
    return Command(run.id, run.model.name, run.created, run.command, run.rescored_from or "")


def _counted(runs: Sequence[Run], describe: Callable[[Run, int], _Item]) -> tuple[_Item, ...]:
    """Each description once, with the number of its runs, in the order of its text."""
    groups = _grouped((repr(describe(run, 0)), run) for run in runs)
    return tuple(describe(found[0], len(found)) for found in groups.values())


def _grouped(held: Iterable[tuple[_Key, _Item]]) -> Mapping[_Key, list[_Item]]:
    """Items by their key, in the order of the keys."""
    groups: dict[_Key, list[_Item]] = {}
    for key, item in held:
        groups.setdefault(key, []).append(item)
    return {key: groups[key] for key in sorted(groups, key=repr)}


def _distinct(values: Iterable[_Item]) -> tuple[_Item, ...]:
    return tuple(sorted(set(values), key=repr))
