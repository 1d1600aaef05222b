"""What was asked for: one model, some tasks, some settings, checked as far as names and data go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from harness.backends.backend import check_backend, check_dtype, check_head
from harness.catalog import Catalog
from harness.data import DataFolders, data_folders, find
from harness.errors import UnknownName, UsageError
from harness.others import PARENT, REFERENCE, others_of, parent_of
from harness.records import Settings
from harness.task import Task, TaskChoice
from harness.zoo import ModelSpec, Zoo

if TYPE_CHECKING:
    from harness.openai_api.terms import Terms


@dataclass(frozen=True)
class Job:
    """Everything that was asked for, checked as far as names and data go.

    Attributes:
        left_out: tasks of the suite that hold a model against its parent, if this one has none.
        terms: the server that has the model, where one has, and how it is asked.
    """

    spec: ModelSpec
    zoo: Zoo
    settings: Settings
    choices: tuple[tuple[Task, TaskChoice], ...]
    others: Mapping[str, ModelSpec]
    folders: DataFolders
    models_dir: Path | None
    left_out: tuple[str, ...] = ()
    terms: Terms | None = None

    @property
    def title(self) -> str:
        """The suite's name, or the tasks'."""
        return self.settings.suite or "+".join(self.settings.tasks)


def make_job(
    spec: ModelSpec,
    zoo: Zoo,
    catalog: Catalog,
    settings: Settings,
    models_dir: Path | None,
    terms: Terms | None = None,
) -> Job:
    """Look everything up and locate the data; imports nothing heavy.

    Args:
        spec: the model.
        zoo: the registry that it is of.
        catalog: tasks and suites.
        settings: what was asked for.
        models_dir: folder that holds ``org/name/``.
        terms: how the server of the settings is asked; without them as by default.

    Raises:
        UsageError: a name is unknown, a definition of lm-eval's too, or settings contradict each
            other.
        DataError: a task's data is nowhere.
    """
    check_backend(settings.backend)
    check_dtype(settings.dtype)
    check_head(settings.head)
    terms = _terms(spec, settings, terms)
    folders = data_folders(catalog.samples, settings.data, settings.samples)
    choices = _choices(settings, catalog)
    left_out: tuple[str, ...] = ()
    alone = terms is not None or spec.served
    if settings.suite and (alone or parent_of(spec, zoo, settings.reference) is None):
        left_out = tuple(task.name for task, _ in choices if task.parent)
        choices = tuple(choice for choice in choices if not choice[0].parent)
    for task, _ in choices:
        _check_role(spec, task)
        check_definitions(task)
        for dataset in task.datasets:
            find(dataset, folders)
    others = others_of(spec, zoo, [task for task, _ in choices], settings.reference)
    if alone and (held := sorted({REFERENCE, PARENT} & set(others))):
        beside = [task.name for task, _ in choices if task.parent or task.reference]
        raise UsageError(
            f"{', '.join(beside)}: {spec.name} is asked of another program, and is not held "
            f"against a {held[0]}; leave these tasks out, or the reference: --reference none"
        )
    return Job(spec, zoo, settings, choices, others, folders, models_dir, left_out, terms)


def _terms(spec: ModelSpec, settings: Settings, terms: Terms | None) -> Terms | None:
    """How the server is asked that has the model; ``None`` where it is run here."""
    if settings.backend != "api":
        if spec.served and settings.backend != "lm_eval":
            raise UsageError(
                f"{spec.name} has no weights here, a server has them: the backend "
                f"{settings.backend!r} cannot load it; leave --backend out, or name api or lm_eval"
            )
        return None
    if spec.judges:
        raise UsageError(f"{spec.name} marks answers: a judge is run here, not asked of a server")
    if not settings.base_url or not settings.served_model:
        raise UsageError(
            f"{spec.name}: the backend api asks a server: say which, --base-url URL (make: "
            "BASE_URL=URL), such as http://localhost:8000/v1"
        )
    if terms is not None:
        return terms
    from harness.openai_api.server import make_server
    from harness.openai_api.terms import Terms

    return Terms(make_server(settings.base_url, settings.served_model, None))


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


def check_definitions(task: Task) -> None:
    """Find lm-eval's definitions that word a task, before anything is fetched or imported.

    Raises:
        UnknownName: there is no such file.
    """
    spec = find_spec("lm_eval")
    if spec is None or spec.origin is None:
        return  # said by whatever imports it
    folder = Path(spec.origin).parent / "tasks"
    for path in task.definitions:
        if not (folder / path).is_file():
            kind = f"definition of the task {task.name}"
            raise UnknownName(kind, path, _definitions_near(folder, path), str(folder))


def _definitions_near(folder: Path, path: str) -> Iterator[str]:
    """Those beside where one was looked for, or, where that folder is not, of all folders."""
    beside = (folder / path).parent
    found = beside.glob("*.yaml") if beside.is_dir() else folder.glob("*/*.yaml")
    return (
        str(each.relative_to(folder) if each.is_relative_to(folder) else each) for each in found
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
