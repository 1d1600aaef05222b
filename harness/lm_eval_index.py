"""Any task of lm-eval's own, by name: ``lm-eval:piqa``, or the members of a group or tag.

lm-eval's index reads all of its 14,000 definitions, which takes seconds: only a name with the
prefix pays for it.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterator, Mapping
from typing import Any

from lm_eval.tasks._index import Entry, Kind
from lm_eval.tasks._yaml_loader import load_yaml
from lm_eval.tasks.manager import TaskManager

from harness.data import Dataset
from harness.errors import UnknownName, UsageError
from harness.progress import note
from harness.task import LM_EVAL_PREFIX, Task, lm_eval_task

logging.getLogger("lm_eval").setLevel(logging.ERROR)


def find_tasks(name: str) -> list[Task]:
    """The tasks behind ``lm-eval:<task, group or tag>``, in lm-eval's order.

    Raises:
        UnknownName: lm-eval has no such name.
        UsageError: a member cannot run here (a Python class, a member with overrides).
    """
    index = _index()
    bare = name.removeprefix(LM_EVAL_PREFIX)
    if bare not in index:
        known = (LM_EVAL_PREFIX + candidate for candidate in index)
        raise UnknownName("task", name, known, "lm-eval's own tasks")
    return [_declare(entry) for entry in _leaves(bare, index)]


@functools.cache
def _index() -> Mapping[str, Entry]:
    note("reading lm-eval's index of all its tasks (ten seconds)")
    index: Mapping[str, Entry] = TaskManager()._index
    return index


def _leaves(name: str, index: Mapping[str, Entry]) -> Iterator[Entry]:
    entry = index[name]
    if entry.kind is Kind.TAG:
        for member in sorted(entry.tags):
            yield from _leaves(member, index)
    elif entry.kind is Kind.GROUP:
        members = load_yaml(entry.yaml_path, resolve_func=False).get("task", [])
        for member in members:
            if not isinstance(member, str) or member not in index:
                raise UsageError(
                    f"lm-eval's group {name} changes its members' definitions; "
                    f"name its tasks one by one ({LM_EVAL_PREFIX}TASK)"
                )
            yield from _leaves(member, index)
    else:
        yield entry


def _declare(entry: Entry) -> Task:
    if entry.kind is not Kind.TASK or entry.yaml_path is None:
        raise UsageError(
            f"lm-eval's {entry.name} is a Python class, not a definition; it cannot run here"
        )
    config: dict[str, Any] = load_yaml(entry.yaml_path, resolve_func=False)
    if "custom_dataset" in config or not config.get("dataset_path"):
        raise UsageError(
            f"lm-eval's {entry.name} makes its data by a function of its own; it cannot run here"
        )
    dataset = Dataset(
        str(config["dataset_path"]),
        config.get("dataset_name"),
        split=str(config.get("test_split") or config.get("validation_split")),
        load_options=dict(config.get("dataset_kwargs") or {}),
    )
    return lm_eval_task(
        entry.name,
        name=LM_EVAL_PREFIX + entry.name,
        yaml=str(entry.yaml_path),
        primary=None,
        datasets=[dataset],
        about=f"lm-eval's {entry.name}",
        default_fewshot=int(config.get("num_fewshot") or 0),
    )
