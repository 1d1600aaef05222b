"""Times a mixture of generated rows: `python -m tests.bench.data --rows 1000000 --out DIR`.

The rows are of words as common as those of a language, 20 to 400 a row, with exact copies, near
copies and rows that hold a test question planted among them; the counts of what was found stand
beside those of what was planted. Rates of deduplication and decontamination are of these stages
alone, on the same rows in memory, by processor time.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from harness.catalog import load_catalog
from training.data.mixture.asked import ending_of
from training.data.mixture.declared import Mixture, Source, Taken
from training.data.mixture.making import Place, make
from training.data.mixture.near import clusters, ending_signatures, signatures
from training.data.mixture.tested_docs import test_sets
from training.data.mixture.tests_index import TestsIndex
from training.data.mixture.words import hashed
from training.data.rows import Example, Message

VOCABULARY = 50_000
BATCH = 512
TIMED_ROWS = 20_000
EVERY = 100
"""Of so many rows, one is a copy, one nearly a copy, and one holds a test question."""


def main() -> None:
    """Generate, time and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--data", type=Path, help="a folder with the tasks' test docs")
    parser.add_argument("--out", type=Path, required=True, help="a folder to work in")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    question = _test_question(options.data)
    source = options.out / "rows.jsonl"
    with source.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in generated(options.rows, question))
    print(f"{options.rows:,} rows, {source.stat().st_size / 1e6:,.0f} MB")

    _stages(source, options.data)
    made = options.out / "made"
    shutil.rmtree(made, ignore_errors=True)
    mixture = Mixture(
        "bench",
        "generated rows",
        "examples",
        (Taken(Source("rows", "alpaca", "own", path=str(source)), None),),
    )
    meter = _Parts()
    started = time.perf_counter()
    card = make(mixture, Place(options.data, made, None, meter.tell), meter)
    meter.end()
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"whole mixture: {seconds:,.0f} s, {options.rows / seconds:,.0f} rows/s")
    print(f"peak memory: {peak:,.0f} MiB")
    planted = options.rows // EVERY
    copies = card.drops.get("duplicate", 0) + card.drops.get("near-duplicate", 0)
    print(f"copies: {copies:,} found, {2 * planted:,} planted")
    print(f"test questions: {card.drops.get('contaminated', 0):,} found, {planted:,} planted")


def generated(rows: int, question: str) -> Iterator[dict[str, str]]:
    """Alpaca rows, the same ones on every call."""
    rng = np.random.default_rng(1234)
    words = np.array([f"w{number:x}" for number in range(VOCABULARY)])
    odds = 1 / np.arange(1, VOCABULARY + 1)
    ends = np.cumsum(odds / odds.sum())
    former: list[str] = []
    for number in range(rows):
        size = int(rng.integers(20, 400))
        text = words[np.searchsorted(ends, rng.random(size))].tolist()
        place = number % EVERY
        if place == 1:
            text = former
        elif place == 2:
            text = [*former[: len(former) // 2], "changed", *former[len(former) // 2 :]]
        elif place == 3:
            text = [*text, question]
        # Copies are of a row that is long enough for one changed word to leave it nearly the same.
        former = text if place == 0 and size > 100 else former or ["a", "b", *text * 5]
        third = len(text) // 3
        yield {
            "instruction": " ".join(text[:third]) or "empty",
            "input": "",
            "output": " ".join(text[third:]),
        }


def _test_question(data: Path | None) -> str:
    sets, _ = test_sets(load_catalog(), data)
    texts = [
        text for each in sets if each.task == "stem" for doc in each.docs for text in doc.every
    ]
    return max(texts, key=len)


def _stages(source: Path, data: Path | None) -> None:
    """The rates of the two stages that compare rows."""
    with source.open(encoding="utf-8") as file:
        rows = [json.loads(line) for line, _ in zip(file, range(TIMED_ROWS), strict=False)]
    texts = [f"{row['instruction']}\n{row['output']}" for row in rows]
    started = time.perf_counter()
    index = TestsIndex(test_sets(load_catalog(), data)[0], 13)
    print(f"index of the tests: {index.grams:,} sequences, {time.perf_counter() - started:,.1f} s")

    def decontaminate() -> None:
        for start in range(0, len(texts), BATCH):
            part = slice(start, start + BATCH)
            index.hits(hashed(texts[part]), texts[part])

    said = [Example((Message("user", row["instruction"]),), row["output"], "rows") for row in rows]

    def deduplicate() -> None:
        found = []
        for start in range(0, len(texts), BATCH):
            part = slice(start, start + BATCH)
            found.append(signatures(hashed(texts[part])))
            ending_signatures(hashed([ending_of(row) for row in said[part]]))
        clusters(np.concatenate(found), 0.8)

    for name, work in (("decontamination", decontaminate), ("deduplication", deduplicate)):
        print(f"{name}: {_rate(work, len(texts)):,.0f} rows/s")


def _rate(work: Callable[[], None], rows: int) -> float:
    started = time.process_time()
    work()
    return rows / (time.process_time() - started)


class _Parts:
    """Prints how long each part of the work took."""

    def __init__(self) -> None:
        self._title, self._started = "", 0.0

    def start(self, title: str, total: int, unit: str) -> None:
        self.end()
        self._title, self._started = title, time.perf_counter()

    def advance(self, count: int) -> None:
        return None

    def tell(self, line: str) -> None:
        self.start(line, 0, "")

    def end(self) -> None:
        if self._title:
            print(f"  {self._title}: {time.perf_counter() - self._started:,.1f} s")


if __name__ == "__main__":
    main()
