"""How long `harness report` takes over a folder of many docs, and how much memory.

    python -m tests.bench.reports FOLDER --runs 10 --docs 10000 [--pages]

Writes runs of five-shot questions into FOLDER, each second one of a child of the model before it,
then draws their report in a process of its own.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.records import Row
from harness.run_folder import RowWriter
from tests.report.fixtures.runs import choice_row, digest, proportion, result, run, stored

SUBJECTS = 57


def main(given: Sequence[str] | None = None) -> int:
    """Write the runs and draw their report; prints seconds of the processor, then peak memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--docs", type=int, default=10_000)
    parser.add_argument("--pages", action="store_true", help="draw all pages of every run")
    asked = parser.parse_args(given)
    ids = [_write(asked.folder, number, asked.docs) for number in range(asked.runs)]
    for pages in [["--pages", each] for each in ids] if asked.pages else [[]]:
        _draw([*pages, "--reports", str(asked.folder)])
    return 0


def _draw(options: Sequence[str]) -> None:
    started = time.perf_counter()
    command = [sys.executable, "-m", "harness", "report", *options]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} failed")
    print(
        f"{time.perf_counter() - started:.1f} s, {used.ru_utime + used.ru_stime:.1f} s of the "
        f"processor, {used.ru_maxrss / 1000:,.0f} MB"
    )


def _write(folder: Path, number: int, docs: int) -> str:
    name, lineage = [("smol", ["smol"]), ("smol-dpo", ["smol", "smol-dpo"])][number % 2]
    task = result("mmlu", proportion(0.4, docs), num_fewshot=5)
    made = run(name, [task], lineage=lineage, created=f"2026-03-01T12:{number:02}:00+00:00")
    # One row at a time: what this process holds would count as the child's.
    writer = RowWriter(stored(folder / "runs" / made.id, made, {}), "mmlu")
    for row in _rows(number, docs):
        writer.append(row)
    writer.finish()
    return made.id


def _rows(seed: int, docs: int) -> Iterator[Row]:
    """Rows of 3.4 kB in another order than the task's; questions are the same in every run."""
    asked, answered = random.Random(0), random.Random(seed)
    words = ["".join(asked.choices("aeiourstnmld", k=asked.randint(2, 9))) for _ in range(3_000)]
    examples = [" ".join(asked.choices(words, k=400)) + "\n\n" for _ in range(SUBJECTS)]
    questions = [" ".join(asked.choices(words, k=70)) + "\nAnswer:" for _ in range(2_000)]
    for index in answered.sample(range(docs), docs):
        subject = index * SUBJECTS // docs
        yield choice_row(
            index,
            answered.random() < 0.4,
            group=f"subject {subject}",
            prompt=examples[subject] + questions[index % len(questions)],
            continuations=(" A", " B", " C", " D"),
            target="B",
            request_digest=digest(index)[:16],
        )


if __name__ == "__main__":
    raise SystemExit(main())
