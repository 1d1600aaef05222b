"""`harness export`: stored runs as CSV, Parquet, lm-eval's JSON, a model card, or MLflow runs."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from harness.checkout import how_to_eval
from harness.commands.eval_command import runs_folder
from harness.commands.show_command import last_run
from harness.commands.stored import runs_of, stored_runs
from harness.compare import StoredRun
from harness.errors import RecordError, UnknownName, UsageError
from harness.exports.docs import docs_table
from harness.exports.estimates import estimates_table
from harness.exports.place import checked_place
from harness.exports.table import Table
from harness.progress import note
from harness.report.newest import newest_first
from harness.report.wording import counted
from harness.storage import explained, write_atomic
from harness.zoo import load_zoo


@dataclass(frozen=True)
class Export:
    """What was written: files or stores with what is in them, and what was left out and why."""

    written: Mapping[str, str]
    left_out: tuple[str, ...] = ()


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    if options.format not in FORMATS:
        raise UnknownName("format", options.format, FORMATS, "`harness export --help`")
    _check_options(options)
    _check_places(options)
    chosen = _chosen(options)
    export = FORMATS[options.format](chosen, options)
    if options.json:
        said = {"runs": [each.run.id for each in chosen], **msgspec.to_builtins(export)}
        print(msgspec.json.format(msgspec.json.encode(said)).decode("utf-8"))
        return 0
    for line in export.left_out:
        note(f"left out: {line}")
    for place, what in export.written.items():
        note(f"export: {place} ({what})")
    return 0


def _check_options(options: argparse.Namespace) -> None:
    if options.docs and options.format not in _WRITERS:
        raise UsageError(f"--docs is for {' and '.join(_WRITERS)}, not for {options.format}")
    if options.texts and not options.docs:
        raise UsageError("--texts adds prompts and answers to the docs: it needs --docs")
    if "://" in options.out and options.format != "mlflow":
        raise UsageError(f"--out {options.out}: only mlflow takes an address, others a file")
    if options.out.startswith("sqlite:"):
        raise UsageError(f"--out {options.out}: name the database by its path, such as mlflow.db")


def _check_places(options: argparse.Namespace) -> None:
    """Check before the work where it is to be written, the docs' file too."""
    if "://" in options.out:
        return
    runs = runs_folder(options)
    out = checked_place(options.out, options.format, runs)
    options.out = str(out)
    if options.docs:
        beside = out.with_name(f"{out.stem}-docs{out.suffix}")
        options.docs_out = checked_place(str(beside), options.format, runs)
        if options.docs_out == out.resolve():
            raise UsageError(f"{beside}, where the docs go, is a link to {out}: remove it")


def _chosen(options: argparse.Namespace) -> list[StoredRun]:
    """The runs that were named, each once, in that order; all complete ones where none was."""
    runs = runs_folder(options)
    stored = stored_runs(runs)
    if not options.runs:
        complete = [each for each in stored if each.run.status == "complete"]
        for each in stored:
            if each.run.status != "complete":
                note(f"left out: run {each.run.id} is {each.run.status}")
        if not complete:
            raise RecordError(
                f"no complete run under {runs}: score a model first, with `{how_to_eval()}`"
            )
        return complete
    zoo = load_zoo(options.zoo)
    found: dict[Path, StoredRun] = {}
    for name in options.runs:
        if name == "last":
            name = last_run(runs)[0].path.name
        newest = runs_of(name, stored, zoo, options)[0]
        found[newest.folder.path] = newest
    return list(found.values())


def _tables(chosen: Sequence[StoredRun], options: argparse.Namespace) -> Export:
    write = _WRITERS[options.format]()
    out, docs = Path(options.out), {}
    if options.docs:  # first: where its rows are damaged, nothing is written
        beside = options.docs_out
        rows = write(docs_table(chosen, texts=options.texts), beside)
        docs[str(beside)] = counted(rows, "doc")
    rows = write(estimates_table([each.run for each in chosen]), out)
    return Export({str(out): counted(rows, "estimate"), **docs})


def _csv() -> Callable[[Table, Path], int]:
    from harness.exports.csv_file import write_csv

    return write_csv


def _parquet() -> Callable[[Table, Path], int]:
    from harness.exports.parquet_file import write_parquet

    return write_parquet


def _lm_eval(chosen: Sequence[StoredRun], options: argparse.Namespace) -> Export:
    from harness.exports.lm_eval_results import lm_eval_results

    if len(chosen) > 1:
        ids = _some([each.run.id for each in chosen])
        raise UsageError(f"lm-eval's results are of one run: name one, not {ids}")
    results = lm_eval_results(chosen[0].run)
    write_atomic(Path(options.out), msgspec.json.format(msgspec.json.encode(results)) + b"\n")
    return Export({options.out: counted(len(chosen[0].run.results), "task")})


def _model_card(chosen: Sequence[StoredRun], options: argparse.Namespace) -> Export:
    from harness.exports.model_card import is_own, model_card

    if len({(each.run.model.name, each.run.model.weights_id) for each in chosen}) > 1:
        models = _some([f"{each.run.model.name} ({each.run.id})" for each in chosen])
        raise UsageError(f"a model card is of one model and its weights: name one, not {models}")
    out = Path(options.out)
    with explained(out):
        before = out.read_text("utf-8", "replace") if out.exists() else ""
    if before and not is_own(before):
        raise UsageError(
            f"{out} is there and is not as this command writes it: name another file, and put its "
            "metadata into yours"
        )
    card = model_card(newest_first(each.run for each in chosen), _splits(options))
    if not card.results:
        raise RecordError("nothing to put into a model card: " + "; ".join(card.left_out))
    write_atomic(out, card.text)
    return Export({str(out): counted(card.results, "result")}, card.left_out)


def _splits(options: argparse.Namespace) -> dict[str, str]:
    """The split of each task here; of data sets in several splits, none."""
    from harness.catalog import load_catalog

    tasks = load_catalog(options.tasks_dir).tasks.values()
    splits = {task.name: {data.split for data in task.datasets} for task in tasks}
    return {task: of_task.pop() for task, of_task in splits.items() if len(of_task) == 1}


def _mlflow(chosen: Sequence[StoredRun], options: argparse.Namespace) -> Export:
    from harness.exports.mlflow_runs import log_runs

    outcome = log_runs(chosen, options.out)
    before = tuple(f"run {name} is in {options.out} already" for name in outcome.before)
    return Export({options.out: counted(len(outcome.logged), "run")}, before)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more + " (`harness list runs`)"


_WRITERS: Mapping[str, Callable[[], Callable[[Table, Path], int]]] = {
    "csv": _csv,
    "parquet": _parquet,
}
FORMATS: Mapping[str, Callable[[Sequence[StoredRun], argparse.Namespace], Export]] = {
    "csv": _tables,
    "parquet": _tables,
    "lm-eval": _lm_eval,
    "model-card": _model_card,
    "mlflow": _mlflow,
}
"""What `--format` takes."""
