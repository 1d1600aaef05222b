"""Runs on disk, found by the names that a user gives; and what makes two of them the same work."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from harness.checkout import how_to_eval, in_checkout
from harness.commands.eval_command import runs_folder
from harness.compare import StoredRun
from harness.errors import RecordError, UnknownName, UsageError
from harness.others import NO_REFERENCE, PARENT, REFERENCE
from harness.progress import note
from harness.records import Run, Settings
from harness.run_folder import RunFolder, list_runs
from harness.same_work import work_differences
from harness.zoo import Zoo

_VARIABLES: Mapping[str, str] = {
    "--model": "MODEL",
    "--suite": "SUITE",
    "--tasks": "TASKS",
    "--limit": "LIMIT",
    "--num-fewshot": "NUM_FEWSHOT",
    "--data": "DATA",
    "--dtype": "DTYPE",
    "--backend": "BACKEND",
    "--base-url": "BASE_URL",
    "--reference": "REFERENCE",
}
"""What `make eval` calls options of `harness eval`; the others are handed on by ``ARGS``."""
_DEFAULTS = (("--dtype", "auto"), ("--backend", "hf"))
"""What `make eval` does for most models without being told."""


def stored_runs(runs: Path) -> list[StoredRun]:
    """Read all runs that can be read, the newest first; the others are named."""
    stored = []
    for path in list_runs(runs):
        folder = RunFolder(path)
        try:
            stored.append(StoredRun(folder.read(), folder))
        except RecordError as error:
            note(f"left out: {error}")
    return sorted(stored, key=lambda each: (each.run.created, each.run.id), reverse=True)


def check_known(
    names: Sequence[str], stored: Sequence[StoredRun], zoo: Zoo, options: argparse.Namespace
) -> None:
    """Look all names up, before one of them is told that it has no run.

    Raises:
        UnknownName: there is neither a run nor a model of that name.
        RecordError: the run cannot be read.
    """
    runs = runs_folder(options)
    models = {*zoo.models, *(each.run.model.name for each in stored)}
    known = {*models, *(id for each in stored for id in (each.run.id, each.folder.path.name))}
    for name in names:
        if name not in known:
            if RunFolder(runs / name).path in list_runs(runs):
                RunFolder(runs / name).read()  # raises: it is not among those that could be read
            raise UnknownName("model or run", name, known, f"the registry and {runs}")


def runs_of(
    name: str, stored: Sequence[StoredRun], zoo: Zoo, options: argparse.Namespace
) -> list[StoredRun]:
    """Find the run of that id, or the complete runs of the model of that name, newest first.

    Raises:
        UnknownName: there is neither a run nor a model of that name.
        UsageError: the run is not complete.
        RecordError: the run cannot be read, or the model has no complete run.
    """
    runs = runs_folder(options)
    for each in stored:
        if name in (each.run.id, each.folder.path.name):
            if each.run.status != "complete":
                raise UsageError(
                    f"run {name} is {each.run.status}: finish it first, with "
                    f"`harness eval --resume {name}`"
                )
            return [each]
    of_model = [each for each in stored if each.run.model.name == name]
    complete = [each for each in of_model if each.run.status == "complete"]
    if complete:
        return complete
    check_known([name], stored, zoo, options)
    done = next((each.run for each in stored if each.run.status == "complete"), None)
    command = how_to_eval(name) if done is None else _make_eval(name, done)
    raise RecordError(f"{name} has no complete run under {runs}. This makes one: {command}")


def tell_of_newer(taken: StoredRun, runs: Sequence[StoredRun]) -> None:
    """Say so where the newest run of a model is of other weights than the one that is taken."""
    newest = runs[0].run
    if newest.model.weights_id != taken.run.model.weights_id:
        note(
            f"{newest.model.name}: run {taken.run.id} is taken; the newest, {newest.id}, has other "
            "weights, and is not of the same work"
        )


def advice_for(base: Run, model: Run) -> str:
    """Say what makes the two runs' work the same, and in which tasks it is."""
    advice = _same_work(base, model)
    shared = [task for task in base.results if task in model.results]
    equal = [task for task in shared if not work_differences(base, model, [task])]
    if equal and set(equal) != {*base.results, *model.results}:
        advice += f"\nOr compare the tasks in which both did the same: --tasks {','.join(equal)}"
    return advice


def _same_work(base: Run, model: Run) -> str:
    if base.model.chat_template != model.model.chat_template:
        return "Give both the same chat_template in the registry, and score both again."
    if asked := _unlike_references(base, model):
        return _one_reference(base, model, asked)
    command = _make_eval(model.model.name, base, run_as=model)
    if command == _make_eval(model.model.name, model, run_as=model):
        again = _make_eval(base.model.name, base, run_as=base)
        return (
            "Both were asked by the same settings at different times: ask both again\n"
            f"  {again}\n  {command}"
        )
    return f"This asks {model.model.name} the same: {command}"


def _unlike_references(base: Run, model: Run) -> set[str]:
    """Which of ``reference`` and ``parent`` are not the same model in a task that both have."""
    return {
        name
        for task in set(base.results) & set(model.results)
        for name in (REFERENCE, PARENT)
        if base.results[task].others.get(name) != model.results[task].others.get(name)
    }


def _one_reference(base: Run, model: Run, unlike: set[str]) -> str:
    """What holds two runs against one model: the root that both descend from, or none where one of
    the two is that root.
    """
    names = base.model.name, model.model.name
    root = base.model.lineage[0]
    common = root if root == model.model.lineage[0] and root not in names else NO_REFERENCE
    if common == NO_REFERENCE and PARENT in unlike:
        named = "REFERENCE=MODEL" if in_checkout() else "--reference MODEL"
        return (
            "What both descend from is one of the two, or nothing: name a third model that both "
            f"can be held against, with {named}, or compare the other tasks with --tasks"
        )
    first = _make_eval(names[0], base, run_as=base, reference=common)
    second = _make_eval(names[1], base, run_as=model, reference=common)
    return f"These hold both against the same model:\n  {first}\n  {second}"


def _make_eval(
    model: str, like: Run, run_as: Run | None = None, reference: str | None = None
) -> str:
    """The command that asks a model what another run asked: `make eval` in a checkout.

    Args:
        model: its name.
        like: the run that asked it.
        run_as: an earlier run of the model, whose dtype, backend, server and head are kept.
        reference: what it is held against instead of the other run's reference.
    """
    asked = replace(like.settings, reference=reference or like.settings.reference)
    options = asking(model, asked, run_as.settings if run_as else None)
    if not in_checkout():
        words = [word for each in options if each not in _DEFAULTS for word in each if word]
        return shlex.join(["harness", "eval", *words])
    variables, arguments = {}, []
    for option, value in options:
        if (name := _VARIABLES.get(option)) is None:
            arguments += [option, value] if value else [option]
        elif (option, value) not in _DEFAULTS:
            variables[name] = value
    if arguments:
        variables["ARGS"] = shlex.join(arguments)
    written = [f"{name}={shlex.quote(value)}" for name, value in variables.items()]
    return " ".join(["make", "eval", *written])


def asking(model: str, asked: Settings, how: Settings | None) -> list[tuple[str, str]]:
    """The options of `harness eval` that ask a model what a run was asked, each with its value: an
    empty one where it takes none.

    Args:
        model: its name.
        asked: the run's settings.
        how: of a run of the model: who answered is kept, in which dtype and by which head.
    """
    options: list[tuple[str, str | int | None]] = [
        ("--model", model),
        ("--suite", asked.suite),
        ("--tasks", None if asked.suite else ",".join(asked.tasks)),
        ("--limit", asked.limit),
        ("--num-fewshot", asked.num_fewshot),
        ("--data", asked.data),
    ]
    if how is not None:
        options += [
            ("--dtype", how.dtype),
            ("--backend", how.backend),
            ("--base-url", how.base_url),
            ("--served-model", how.served_model),
            ("--lm-eval-model", how.lm_eval_model if how.lm_eval_model != "hf" else None),
            ("--lm-eval-args", how.lm_eval_args or None),
        ]
    options.append(("--reference", asked.reference))
    options.append(("--samples", "" if asked.samples else None))
    options += [
        ("--dataset-config", f"{task}={config}") for task, config in asked.dataset_configs.items()
    ]
    if how is not None and how.head != "float32":
        options.append(("--head", how.head))
    return [(option, str(value)) for option, value in options if value is not None]
