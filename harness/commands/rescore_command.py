"""`harness rescore`: score a run's answers again, from the journal; no model is run."""

from __future__ import annotations

import argparse
import shlex
import shutil
import signal
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from harness.catalog import load_catalog
from harness.commands.eval_command import (
    interrupt,
    journals_folder,
    new_folder,
    places,
    publish,
    runs_folder,
)
from harness.commands.stored import asking
from harness.environment import describe_command, program
from harness.errors import RecordError, UnknownName, UsageError
from harness.job import make_job
from harness.learned import keep_cards_of
from harness.progress import note, open_progress
from harness.records import Run
from harness.rescoring import rescore
from harness.run_folder import RunFolder, held, list_runs
from harness.runner import Progress
from harness.zoo import load_zoo


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    signal.signal(signal.SIGTERM, interrupt)
    zoo, catalog = load_zoo(options.zoo), load_catalog(options.tasks_dir)
    earlier = _earlier_run(options)
    spec = zoo.get(earlier.model.name)
    job = make_job(spec, zoo, catalog, earlier.settings, options.models_dir)
    # A suite may have changed since: what is scored again is what was scored.
    job = replace(job, choices=tuple(c for c in job.choices if c[0].name in earlier.results))
    if lost := set(earlier.results) - {task.name for task, _ in job.choices}:
        raise RecordError(
            f"run {earlier.id} scored {', '.join(sorted(lost))}, which the suite "
            f"{earlier.settings.suite!r} no longer holds: rescore with the suite as it was"
        )
    ask = _ask(earlier, options)

    folder = new_folder(options, job)
    try:
        with held(folder.path), ExitStack() as displays:

            def display() -> Progress:
                opened = open_progress()
                displays.enter_context(opened)
                return opened

            # What the model learned from may be built no more: the earlier run has kept its cards.
            keep_cards_of(folder.path, _folder(options), earlier.model.data_cards)
            journals, command = journals_folder(options), describe_command()
            finished = rescore(job, folder, earlier, journals, command, ask, display, note)
    except BaseException:
        # Nothing in it is worth keeping: the answers are in the journal, and half a run would
        # stand beside the whole one in the reports.
        shutil.rmtree(folder.path, ignore_errors=True)
        raise
    for name, result in finished.results.items():
        if result.prompt_digest != earlier.results[name].prompt_digest:
            note(f"{name}: its prompts are no longer those of run {earlier.id}")
    publish(finished, folder, options)
    return 1 if any(result.unscored >= result.docs for result in finished.results.values()) else 0


def _folder(options: argparse.Namespace) -> Path:
    """The earlier run's folder, which need not be there."""
    return runs_folder(options) / Path(options.run).name


def _earlier_run(options: argparse.Namespace) -> Run:
    runs = runs_folder(options)
    known = [path.name for path in list_runs(runs)]
    if _folder(options).name not in known:
        raise UnknownName("run", options.run, known, str(runs))
    earlier = RunFolder(_folder(options)).read()
    if earlier.status != "complete":
        raise UsageError(
            f"run {earlier.id} is {earlier.status}: finish it first, with "
            f"`harness eval --resume {earlier.id}`"
        )
    if not earlier.identity:
        raise RecordError(
            f"run {earlier.id} was made before answers were kept. Ask the model again: "
            f"{_ask(earlier, options)}"
        )
    return earlier


def _ask(earlier: Run, options: argparse.Namespace) -> str:
    """The `harness eval` that asks the model what the earlier run asked."""
    asked = asking(earlier.model.name, earlier.settings, earlier.settings)
    words = [word for option, value in asked for word in (option, value) if word]
    return shlex.join([*program(), "eval", *words, *places(options)])
