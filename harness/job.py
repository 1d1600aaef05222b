"""What was asked for: one model, some tasks, some settings, checked as far as names and data go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from harness.backends.backend import check_backend, check_dtype, check_head
from harness.catalog import Catalog
from harness.data import DataFolders, data_folders, find
from harness.errors import UsageError
from harness.others import others_of, parent_of
from harness.records import Settings
from harness.task import Task, TaskChoice
from harness.zoo import ModelSpec, Zoo


@dataclass(frozen=True)
class Job:
    """Everything that was asked for, checked as far as names and data go.

    Attributes:
        left_out: tasks of the suite that hold a model against its parent, if this one has none.
    """

    spec: ModelSpec
    zoo: Zoo
    settings: Settings
    choices: tuple[tuple[Task, TaskChoice], ...]
    others: Mapping[str, ModelSpec]
    folders: DataFolders
    models_dir: Path | None
    left_out: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """The suite's name, or the tasks'."""
        return self.settings.suite or "+".join(self.settings.tasks)


def make_job(
    spec: ModelSpec, zoo: Zoo, catalog: Catalog, settings: Settings, models_dir: Path | None
) -> Job:
    """Look everything up and locate the data; imports nothing heavy.

    Raises:
        UsageError: a name is unknown, or settings contradict each other.
        DataError: a task's data is nowhere.
    """
    check_backend(settings.backend)
    check_dtype(settings.dtype)
    check_head(settings.head)
    folders = data_folders(catalog.samples, settings.data, settings.samples)
    choices = _choices(settings, catalog)
    left_out: tuple[str, ...] = ()
    if settings.suite and parent_of(spec, zoo, settings.reference) is None:
        left_out = tuple(task.name for task, _ in choices if task.parent)
        choices = tuple(choice for choice in choices if not choice[0].parent)
    for task, _ in choices:
        _check_role(spec, task)
        for dataset in task.datasets:
            find(dataset, folders)
    others = others_of(spec, zoo, [task for task, _ in choices], settings.reference)
    return Job(spec, zoo, settings, choices, others, folders, models_dir, left_out)


def _check_role(spec: ModelSpec, task: Task) -> None:
    """Judges mark answers and language models give them: each has tasks of its own."""
    if spec.judges and not task.of_judges:
        raise UsageError(
            f"{spec.name} is a {spec.stage} model: it marks answers and gives none, so {task.name} "
            "cannot be asked of it; reward_model_accuracy can"
        )
    if task.of_judges and not spec.judges:
        raise UsageError(
            f"{task.name} is asked of reward models, and {spec.name} is a {spec.stage} model: "
            "reward_accuracy is the task for it"
        )


def _choices(settings: Settings, catalog: Catalog) -> tuple[tuple[Task, TaskChoice], ...]:
    """The tasks with the settings that hold for each: the command's, then the suite's."""
    listed = (
        catalog.suite(settings.suite).tasks
        if settings.suite
        else tuple(TaskChoice(name) for name in settings.tasks)
    )
    chosen: list[tuple[Task, TaskChoice]] = []
    for choice in listed:
        task = catalog.task(choice.task)
        if config := settings.dataset_configs.get(choice.task):
            task = task.with_config(config)
        shots = settings.num_fewshot if settings.num_fewshot is not None else choice.num_fewshot
        # A suite's own limit is for a task whose docs are large: the command's may only lower it.
        limits = [limit for limit in (settings.limit, choice.limit) if limit is not None]
        limit = min(limits) if limits else task.default_limit
        chosen.append((task, replace(choice, num_fewshot=shots, limit=limit)))
    return tuple(chosen)
