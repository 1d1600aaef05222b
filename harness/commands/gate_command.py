"""`harness gate`: may this model take the place of a committed baseline?"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import msgspec

from harness.asking import Spent, ask_about, scored_rows
from harness.catalog import load_catalog
from harness.checkout import how_to_accept
from harness.commands.eval_command import journals_folder, runs_folder
from harness.commands.stored import advice_for, runs_of, stored_runs, tell_of_newer
from harness.compare import StoredRun
from harness.errors import IncomparableRuns, RecordError, UsageError
from harness.gate.baseline import baseline_folder, read_baseline
from harness.gate.decide import Outcome, decide, foresight, gated_tasks
from harness.gate.limits import Elsewhere, measured_elsewhere
from harness.gate.policy import Policy, load_policy
from harness.gate.sequential import Asked, decide_in_looks
from harness.job import make_job
from harness.journal import open_journal
from harness.others import obtain
from harness.plain_text import trusted
from harness.progress import note, open_progress
from harness.ready import answerable, make_others, make_ready, obtain_weights
from harness.records import Row, Run
from harness.run_folder import RunFolder
from harness.same_work import work_differences
from harness.scoring import new_run
from harness.speed import last_probe
from harness.storage import write_atomic
from harness.types import Doc
from harness.zoo import load_zoo


def run(options: argparse.Namespace) -> int:
    """Run the command: 0 go on, 1 it fails, 2 wrong use, 3 too few docs."""
    _check_asked(options)
    policy = load_policy(options.policy, options.profile)
    baselines = Path(options.reports) / "baselines"
    try:
        outcome = _held_against_baseline(baselines, policy, options)
    except RecordError as error:
        place = baseline_folder(baselines, options.baseline)
        if f"{place}/" not in str(error):
            raise
        raise RecordError(
            f"{error}\nThe baseline is damaged. Restore it (git checkout -- {place}), or make one "
            f"anew: {how_to_accept(options.baseline)}"
        ) from None
    _publish(outcome, options)
    return outcome.exit_code


def _check_asked(options: argparse.Namespace) -> None:
    """Refuse folders that nothing would be read from: they are believed to be."""
    given = [name for name in ("data", "models_dir") if getattr(options, name) is not None]
    if given and not options.sequential:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise UsageError(
            f"{flags}: only --sequential asks the model and reads a folder for it; otherwise runs "
            "are compared as they were scored: add it, or leave the folder out"
        )


def _held_against_baseline(baselines: Path, policy: Policy, options: argparse.Namespace) -> Outcome:
    base = read_baseline(baselines, options.baseline)
    if (line := foresight(base, policy)) is not None:
        note(line)
    gate = _in_looks if options.sequential else _of_run
    return gate(base, policy, options)


def _of_run(base: StoredRun, policy: Policy, options: argparse.Namespace) -> Outcome:
    """Hold the newest run of the baseline's work against it."""
    stored = stored_runs(runs_folder(options))
    runs = runs_of(options.model, stored, load_zoo(options.zoo), options)
    model = _equal(base, runs)
    tell_of_newer(model, runs)
    try:
        others = [each.run for each in stored]
        probe = last_probe(options.reports)
        return decide(base, model, policy, measured_elsewhere(base.run, model.run, others, probe))
    except IncomparableRuns as error:
        # A baseline does not say where its data was; the model's run does.
        like = replace(base.run.settings, data=model.run.settings.data)
        advice = advice_for(replace(base.run, settings=like), model.run).partition("\nOr ")[0]
        raise IncomparableRuns(error.base, error.model, error.differences, advice) from None


def _equal(base: StoredRun, runs: Sequence[StoredRun]) -> StoredRun:
    """The newest run of the baseline's work, whatever else it was asked, or the newest of all, to
    say what differs.
    """
    for each in runs:
        if not work_differences(base.run, each.run, gated_tasks(base.run, each.run)):
            return each
    return runs[0]


def _in_looks(base: StoredRun, policy: Policy, options: argparse.Namespace) -> Outcome:
    """Ask the model itself, in random order, until the verdict is sure; answers are kept."""
    _check_here(base.run, options)
    zoo, catalog = load_zoo(options.zoo), load_catalog(options.tasks_dir)
    settings = replace(base.run.settings, data=options.data, noise_floor=None)
    job = make_job(zoo.get(options.model), zoo, catalog, settings, options.models_dir)
    artifact = obtain_weights(job, note)
    known = obtain(job.others, job.zoo, job.models_dir, note)
    ready = make_ready(job, artifact, note)
    ready = answerable(ready, job, note)
    run = new_run(RunFolder(runs_folder(options) / "gate"), job, artifact, ready, "")
    opened = {plan.task.name: plan.opened for plan in ready.planned}
    journals = journals_folder(options)
    with ExitStack() as held:
        journal = held.enter_context(open_journal(journals, run.identity, note))
        others = make_others(job, known, ready.backend, run.environment, journals, held, note)
        progress = open_progress()
        held.enter_context(progress)

        def ask(task: str, docs: Sequence[Doc]) -> Iterable[Row]:
            asked = ask_about(opened[task], docs)
            return scored_rows(
                task, opened[task], asked, ready.backend, journal, progress, Spent(), others
            )

        asked_of = {plan.task.name: others.names(plan.task) for plan in ready.planned}
        elsewhere = Elsewhere(probe=last_probe(options.reports))
        return decide_in_looks(base, Asked(run, opened, asked_of, ask), policy, note, elsewhere)


def _check_here(base: Run, options: argparse.Namespace) -> None:
    """Refuse to ask another program: what it answers with is the baseline's model, and a key goes
    to no address that a record alone names.
    """
    how = base.settings
    if how.backend == "api":
        who = f"the server {how.base_url}"
    elif how.lm_eval_model != "hf" or how.lm_eval_args:
        who = f"lm-eval's class {how.lm_eval_model} with arguments of its own"
    else:
        return
    raise UsageError(
        f"the baseline {base.model.name} was asked of {who}: --sequential cannot ask another model "
        f"there. Score {options.model} (harness eval --model {options.model}, with --base-url or "
        "--lm-eval-args where it is served), then gate without --sequential"
    )


def _publish(outcome: Outcome, options: argparse.Namespace) -> None:
    from rich.console import Console

    from harness.report.gate import outcome_markdown, print_outcome
    from harness.report.gate_ci import junit_xml, workflow_commands

    page = outcome_markdown(outcome)
    path = Path(options.reports) / "gate.md"
    write_atomic(path, page)
    if options.junit:
        write_atomic(options.junit, junit_xml(outcome))
    if options.json:
        print(msgspec.json.format(msgspec.json.encode(outcome)).decode("utf-8"))
    else:
        print_outcome(outcome, Console())
    if os.environ.get("GITHUB_ACTIONS") == "true":
        for line in workflow_commands(outcome):  # results and nothing else on standard output
            print(line, file=trusted(sys.stderr if options.json else sys.stdout))
        if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
            with Path(summary).open("a", encoding="utf-8") as file:
                file.write(page)
    note(f"report: {path}")
