"""Tasks, data sets, the registry and the default model: what could be scored here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from harness.catalog import Catalog, load_catalog
from harness.data import DataFolders, data_folders, find
from harness.doctor.finding import DEFAULT_MODEL, DEFAULT_SUITE, Finding, Where
from harness.errors import HarnessError
from harness.presence import presence
from harness.zoo import load_zoo


@dataclass(frozen=True)
class Default:
    """The default model.

    Attributes:
        state: as `harness.presence.Presence` has it.
        detail: where it is, or why it is not.
        package: the package that it can be fetched from, if it can be.
    """

    state: str
    detail: str
    package: str | None


def task_findings(where: Where) -> Iterator[Finding]:
    """Task files and suites, whether the samples of the default are there, and other data."""
    try:
        catalog = load_catalog(where.tasks)
        samples = DataFolders(catalog.samples, None, samples_only=True)
        for choice in catalog.suite(DEFAULT_SUITE).tasks:
            for dataset in catalog.task(choice.task).datasets:
                find(dataset, samples)
    except HarnessError as error:
        yield Finding(
            "missing",
            "tasks",
            str(error),
            "no task can be scored",
            "mend what is named; --tasks-dir DIR (HARNESS_TASKS) names other tasks",
        )
        return
    counts = f"{len(catalog.tasks)} tasks, {len(catalog.suites)} suites in {catalog.folder}"
    yield Finding("ok", "tasks", counts)
    try:
        folders = data_folders(catalog.samples, where.data, False)
    except HarnessError as error:
        cost = "every command that scores refuses it"
        yield Finding("missing", "DATA=dir", str(error), cost, "name a folder that is there")
        return
    yield from _data(catalog, folders)


def _data(catalog: Catalog, folders: DataFolders) -> Iterator[Finding]:
    served: dict[str, list[str]] = {}
    lacking: dict[str, list[str]] = {}
    for task in catalog.tasks.values():
        for dataset in task.datasets[:1]:
            try:
                served.setdefault(find(dataset, folders).origin, []).append(task.name)
            except HarnessError:
                lacking.setdefault(dataset.name, []).append(task.name)
    for origin, tasks in sorted(served.items()):
        yield Finding("ok", "data", f"{origin}: {', '.join(sorted(tasks))}")
    if lacking:
        tasks = sorted({name for names in lacking.values() for name in names})
        mirror = f" in {folders.mirror}" if folders.mirror else ""
        yield Finding(
            "note",
            "data",
            f"not here{mirror}: {', '.join(sorted(lacking))}",
            f"at most their shipped samples can be scored: {', '.join(tasks)}",
            "DATA=dir (--data DIR) with ORG/NAME/CONFIG/SPLIT.jsonl[.gz], or the hub",
        )


def registry_findings(where: Where) -> Iterator[Finding]:
    """The registry, and which of its models are here."""
    try:
        zoo = load_zoo(where.zoo)
    except HarnessError as error:
        yield Finding(
            "missing",
            "registry",
            str(error),
            "no model can be named",
            "mend the line; --zoo FILE (HARNESS_ZOO) names another registry",
        )
        return
    try:
        here = [n for n in zoo.models if presence(zoo.get(n), zoo, where.models).state == "present"]
    except HarnessError:  # the models folder is not there, which is said where it is looked at
        here = []
    names = ", ".join(here) or "none yet"
    yield Finding("ok", "registry", f"{len(zoo.models)} models in {zoo.path}; here: {names}")


def find_default(where: Where) -> Default:
    """Look for the default model in the registry and on this machine."""
    try:
        zoo = load_zoo(where.zoo)
        spec = zoo.get(DEFAULT_MODEL)
        found = presence(spec, zoo, where.models)
    except HarnessError as error:
        return Default("absent", str(error).splitlines()[0], None)
    package = spec.source.name if spec.source and spec.source.kind == "package" else None
    whole = found.state == "present" or not found.detail.startswith("damaged")
    return Default(found.state, found.detail, package if whole else None)
