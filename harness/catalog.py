"""Finds tasks and suites: the files under ``tasks/``, and any other task of lm-eval by name."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any

from harness.errors import HarnessError, RegistryError, UnknownName, UsageError, closest
from harness.progress import note
from harness.task import LM_EVAL_PREFIX, Suite, Task, TaskChoice

PACKAGE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Catalog:
    """The tasks and suites of one folder.

    Attributes:
        folder: the tasks folder in use.
        tasks: name to task, from the folder's files.
        suites: name to suite.
    """

    folder: Path
    tasks: Mapping[str, Task]
    suites: Mapping[str, Suite]
    _lm_eval: dict[str, list[Task]] = field(default_factory=dict, compare=False)

    @property
    def samples(self) -> Path:
        """Where the samples lie."""
        return self.folder / "samples"

    def task(self, name: str) -> Task:
        """A task by name; raises UnknownName with the closest names."""
        if name.startswith(LM_EVAL_PREFIX):
            found = self.expand(name)
            if len(found) != 1:
                members = ", ".join(task.name for task in found)
                raise UsageError(f"{name} is a group of lm-eval's; name one of {members}")
            return found[0]
        if name not in self.tasks:
            raise UnknownName(
                "task", name, self.tasks, f"{self.folder}; {LM_EVAL_PREFIX}NAME also works"
            )
        return self.tasks[name]

    def expand(self, name: str) -> list[Task]:
        """The tasks behind a name: one, or all members of one of lm-eval's groups."""
        if not name.startswith(LM_EVAL_PREFIX):
            return [self.task(name)]
        if name not in self._lm_eval:
            from harness.lm_eval_index import find_tasks

            members = find_tasks(name)
            self._lm_eval.update({member.name: [member] for member in members} | {name: members})
        return self._lm_eval[name]

    def suite(self, name: str) -> Suite:
        """A suite by name; raises UnknownName with the closest names."""
        if name not in self.suites:
            raise UnknownName("suite", name, self.suites, str(self.folder / "suites"))
        return self.suites[name]


def load_catalog(folder: Path | None = None) -> Catalog:
    """Read the task files and suites of a folder.

    The folder is, in this order: the argument (``--tasks-dir``), ``HARNESS_TASKS``, ``./tasks`` if
    it holds task files, the copy bundled in the wheel, the tasks of this repository.

    Raises:
        UsageError: the folder does not exist, or two files declare one name.
        HarnessError: a task file cannot be imported.
        RegistryError: a suite cannot be read as written.
    """
    chosen = _tasks_folder(folder)
    if chosen == Path("tasks").resolve() and not folder and not os.environ.get("HARNESS_TASKS"):
        _say_that_it_is_code(chosen)
    tasks: dict[str, Task] = {}
    declared_in: dict[str, Path] = {}
    for path in sorted(chosen.glob("*.py")):
        for task in _tasks_in(path):
            if task.name in tasks:
                raise UsageError(
                    f"two task files declare {task.name!r}: {declared_in[task.name]} and {path}; "
                    "rename one of them"
                )
            tasks[task.name], declared_in[task.name] = task, path
    suites = {
        suite.name: suite
        for suite in (_read_suite(path, tasks) for path in sorted(chosen.glob("suites/*.yaml")))
    }
    return Catalog(chosen, tasks, suites)


def _tasks_folder(folder: Path | None) -> Path:
    asked = folder or (
        Path(os.environ["HARNESS_TASKS"]) if os.environ.get("HARNESS_TASKS") else None
    )
    if asked is not None:
        if not asked.is_dir():
            raise UsageError(f"the tasks folder {asked} does not exist")
        return asked
    for candidate in (Path("tasks"), PACKAGE / "_bundled" / "tasks", PACKAGE.parent / "tasks"):
        if any(candidate.glob("*.py")) and (candidate / "suites").is_dir():
            return candidate.resolve()
    raise UsageError("no tasks folder found: name one with --tasks-dir DIR or HARNESS_TASKS")


@cache
def _say_that_it_is_code(folder: Path) -> None:
    """Once: nobody named this folder, and its files are about to be run."""
    if folder != PACKAGE.parent / "tasks":
        files = ", ".join(path.name for path in sorted(folder.glob("*.py")))
        note(f"runs the task files of the working directory, which are code: {folder} ({files})")


def _tasks_in(path: Path) -> Iterator[Task]:
    """Import a task file by its path and yield the Tasks among its module-level values."""
    name = f"harness_task_file_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise HarnessError(f"{path} cannot be imported as Python")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except HarnessError as error:
        error.args = (f"{path}{_line_in(path, error)}: {error}",)
        raise
    except Exception as error:  # a task file is the user's code: anything can be raised
        line = _line_in(path, error)
        raise HarnessError(f"{path}{line}: {type(error).__name__}: {error}") from None
    seen: set[int] = set()
    for value in vars(module).values():
        if isinstance(value, Task) and id(value) not in seen:
            seen.add(id(value))
            yield value


def _line_in(path: Path, error: BaseException) -> str:
    line = error.lineno if isinstance(error, SyntaxError) else None
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            line = trace.tb_lineno
        trace = trace.tb_next
    return f", line {line}" if line else ""


def _read_suite(path: Path, tasks: Mapping[str, Task]) -> Suite:
    import yaml

    from harness.strict_yaml import check_bounds, read_text

    text = read_text(path)
    try:
        check_bounds(text, path)
        content = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:  # a date that no calendar has, endless digits
        raise RegistryError(f"{path}: broken YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict) or not isinstance(content.get("tasks"), list):
        raise RegistryError(f"{path}: a suite is a mapping with a list under `tasks`")
    _check_keys(content, {"about", "tasks", "samples"}, str(path))
    choices = tuple(_read_choice(item, path, tasks) for item in content["tasks"])
    about, samples = str(content.get("about", "")), content.get("samples", False)
    if not isinstance(samples, bool):
        raise RegistryError(f"{path}: `samples` is true or false, got {samples!r}")
    return Suite(path.stem, about, choices, samples, str(path))


def _read_choice(item: Any, path: Path, tasks: Mapping[str, Task]) -> TaskChoice:
    if isinstance(item, str):
        item = {"task": item}
    if not isinstance(item, dict) or not isinstance(item.get("task"), str):
        shown = repr(item)[:60]
        raise RegistryError(f"{path}: a task is a name or a mapping with `task`, got {shown}")
    _check_keys(
        item, {attribute.name for attribute in fields(TaskChoice)}, f"{path}: {item['task']}"
    )
    for key, least in (("num_fewshot", 0), ("limit", 1)):
        value = item.get(key)
        if value is not None and (
            not isinstance(value, int) or isinstance(value, bool) or value < least
        ):
            raise RegistryError(
                f"{path}: {item['task']}: `{key}` is a whole number, {least} or more, got {value!r}"
            )
    name = item["task"]
    if not name.startswith(LM_EVAL_PREFIX) and name not in tasks:
        raise UnknownName("task", name, tasks, str(path))
    return TaskChoice(**item)


def _check_keys(content: Mapping[str, Any], known: set[str], where: str) -> None:
    for key in content:
        if key not in known:
            raise RegistryError(f"{where}: unknown key {key!r}{closest(str(key), known)}")
