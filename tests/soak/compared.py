"""What is compared after a fault: records, rows, journal, report, and what lies about."""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from harness.commands.report_command import publish_reports
from harness.records import Row, Run, TaskResult
from harness.run_folder import RunFolder, held, list_runs, remove_unbegun

TOLERANCE = 1e-4
"""What the company of other questions in a batch may change in a log-probability."""

_FOUND = ("version", "primary", "num_fewshot", "limit", "estimates", "groups", "prompt_digest")
_COUNTS = ("docs", "unscored", "truncated", "unscored_reasons")


@dataclass(frozen=True)
class Expected:
    """What an undisturbed run left.

    Attributes:
        files: the model's files and their digests.
        results: task to what was found, without cost.
        rows: task to rows, by index.
        answers: question to the journal's answer.
    """

    files: Mapping[str, str]
    results: Mapping[str, Any]
    rows: Mapping[str, list[Row]]
    answers: Mapping[str, Any]


def expected(reports: Path) -> Expected:
    """Read an undisturbed run."""
    (path,) = list_runs(reports / "runs")
    run = RunFolder(path).read()
    assert run.status == "complete"
    answers = {question: given[0] for question, given in _answers(reports).items()}
    rows = {task: _rows(RunFolder(path), task) for task in run.results}
    found = {task: _found(result) for task, result in run.results.items()}
    return Expected(run.model.files, found, rows, answers)


def check_survived(reports: Path, wanted: Expected, *, alone: bool = True) -> None:
    """Hold a report folder in which a run was broken off and taken up to the undisturbed one.

    Args:
        reports: the folder.
        wanted: the undisturbed run.
        alone: whether no two processes asked at once, so that nothing may have been asked twice.

    Raises:
        AssertionError: something is lost, mixed or left behind; says what.
    """
    runs = [RunFolder(path) for path in list_runs(reports / "runs")]
    read = [(folder, folder.read()) for folder in runs]
    assert any(run.status == "complete" for _, run in read), "no run is complete"
    for folder, run in read:
        _check_run(folder, run, wanted)
    _check_journal(reports, wanted, alone)
    _check_left(reports, read)
    _check_report(reports)


def _check_run(folder: RunFolder, run: Run, wanted: Expected) -> None:
    where = f"run {run.id} ({run.status})"
    with held(folder.path):
        pass  # no lock is left
    assert run.model.files == wanted.files, f"{where}: other files of the model"
    if run.status == "complete":
        assert list(run.results) == list(wanted.results), f"{where}: other tasks"
    for task, result in run.results.items():
        _alike(_found(result), wanted.results[task], f"{where}, {task}")
        rows = _rows(folder, task)
        indices = [row.index for row in rows]
        assert indices == [row.index for row in wanted.rows[task]], f"{where}, {task}: {indices}"
        for row, other in zip(rows, wanted.rows[task], strict=True):
            at = f"{where}, {task}, doc {row.index}"
            _alike(msgspec.to_builtins(row), msgspec.to_builtins(other), at)


def _check_journal(reports: Path, wanted: Expected, alone: bool) -> None:
    kept = _answers(reports)
    lost = set(wanted.answers) - set(kept)
    assert not lost, f"{len(lost)} answers are not in the journal"
    strange = set(kept) - set(wanted.answers)
    assert not strange, f"{len(strange)} answers in the journal are to questions of nobody"
    for question, given in kept.items():
        assert len(given) == 1 or not alone, f"{question} was asked {len(given)} times"
        for answer in given:
            _alike(answer, wanted.answers[question], f"journal, {question}")


def _check_left(reports: Path, read: list[tuple[RunFolder, Run]]) -> None:
    runs = reports / "runs"
    for path in set(runs.iterdir()) - {folder.path for folder, _ in read}:
        os.utime(path, (0, 0))
    remove_unbegun(runs)  # as the next run does, with what is older than an hour
    unbegun = set(runs.iterdir()) - {folder.path for folder, _ in read}
    assert not unbegun, f"left behind: {', '.join(map(str, unbegun))}"
    broken = {folder.path for folder, run in read if run.status != "complete"}
    left = [
        path
        for path in reports.rglob("*")
        if path.name.endswith(".part") and not broken & set(path.parents)
    ]
    assert not left, f"left behind: {', '.join(map(str, left))}"


def _check_report(reports: Path) -> None:
    """The report that is there is the one that is made of the same runs in an empty folder."""
    fresh = reports.with_name(f"{reports.name}-fresh")
    shutil.copytree(reports / "runs", fresh / "runs")
    publish_reports(fresh)
    there, made = _pages(reports), _pages(fresh)
    shutil.rmtree(fresh)
    assert sorted(there) == sorted(made), f"other pages: {sorted(set(there) ^ set(made))}"
    differ = [name for name, content in there.items() if content != made[name]]
    assert not differ, f"pages that are not of these runs: {', '.join(differ)}"


def _pages(reports: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(reports)): path.read_bytes()
        for path in reports.rglob("*")
        if path.is_file() and path.relative_to(reports).parts[0] not in ("runs", "journal")
    }


def _rows(folder: RunFolder, task: str) -> list[Row]:
    return sorted(folder.rows(task), key=lambda row: row.index)


def _found(result: TaskResult) -> Any:
    noiseless = replace(result, noise=None)
    return {name: msgspec.to_builtins(getattr(noiseless, name)) for name in (*_FOUND, *_COUNTS)}


def _answers(reports: Path) -> dict[str, list[Any]]:
    """Question to the answers that the journals hold in whole lines, without what they cost."""
    found: dict[str, list[Any]] = {}
    for path in (reports / "journal").glob("*.jsonl"):
        for line in path.read_bytes().split(b"\n"):
            if not line.startswith(b'{"crc32":"'):
                continue
            try:
                answer = json.loads(line)
            except ValueError:  # torn by a kill
                continue
            kept = {
                k: v for k, v in answer.items() if k not in ("crc32", "tokens_in", "tokens_out")
            }
            found.setdefault(str(kept["question"]), []).append(kept)
    return found


def _alike(found: Any, wanted: Any, where: str) -> None:
    """Compare values: numbers within `TOLERANCE`, all else exactly."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        assert found.keys() == wanted.keys(), f"{where}: {sorted(found)} != {sorted(wanted)}"
        for key, value in found.items():
            _alike(value, wanted[key], f"{where}, {key}")
    elif isinstance(found, list | tuple) and isinstance(wanted, list | tuple):
        assert len(found) == len(wanted), f"{where}: {len(found)} values, not {len(wanted)}"
        for number, (value, other) in enumerate(zip(found, wanted, strict=True)):
            _alike(value, other, f"{where}[{number}]")
    elif isinstance(found, float) and isinstance(wanted, float):
        close = math.isclose(found, wanted, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
        assert close, f"{where}: {found!r}, not {wanted!r}"
    else:
        assert found == wanted, f"{where}: {found!r}, not {wanted!r}"
