"""Finds tasks and suites: the files under ``tasks/``, and any other task of lm-eval by name."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import HarnessError, UnknownName, UsageError
from harness.progress import note
from harness.task import LM_EVAL_PREFIX, Suite, Task, TaskChoice

if TYPE_CHECKING:
    from harness.strict_yaml import Table

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
        """A suite by name; raises UnknownName with the closest names, or UsageError for a file that
        has the suffix of none.
        """
        if name not in self.suites:
            if (unread := self.folder / "suites" / f"{name}.yml").is_file():
                raise UsageError(f"{unread} is not read: name it {name}.yaml, as all suites are")
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
    from harness.strict_yaml import parse

    top = parse(path)
    top.only(("about", "tasks", "samples"))
    choices: dict[str, TaskChoice] = {}
    for entry in top.entries("tasks", "task", "a task of the suite"):
        choice = _read_choice(entry, tasks)
        if choice.task in choices:
            raise entry.error(
                "task",
                f"{choice.task} is named twice: one run holds one result a task: make two suites",
            )
        choices[choice.task] = choice
    if not choices:
        raise top.error("tasks", "the list is empty: name a task (`harness list tasks`)")
    about, samples = _text(top, "about"), top.flag("samples", False)
    return Suite(path.stem, about, tuple(choices.values()), samples, str(path))


def _read_choice(entry: Table, tasks: Mapping[str, Task]) -> TaskChoice:
    entry.only(attribute.name for attribute in fields(TaskChoice))
    name = entry.text("task")
    if not name.startswith(LM_EVAL_PREFIX) and name not in tasks:
        raise UnknownName("task", name, tasks, entry.at("task"))
    primary = _text(entry, "primary") or None
    return TaskChoice(name, _number(entry, "num_fewshot", 0), _number(entry, "limit", 1), primary)


def _text(table: Table, key: str) -> str:
    """The text under a key that may be left out or empty."""
    return table.text(key) if key in table and table.scalar(key) not in (None, "") else ""


def _number(entry: Table, key: str, least: int) -> int | None:
    value = entry.scalar(key) if key in entry else None
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= least):
        return value
    raise entry.error(key, f"{value!r} is no whole number of {least} or more")
