"""Which side is nearer to float32 when both round to bfloat16: the engine or lm-eval.

    python -m tests.parity.rounding --data DIR [--model smol] [--tasks arc_challenge=1172,...]
        [--dtype bfloat16] [--keep DIR] [--out FILE]

The truth is lm-eval's own answer in float32. Of every doc: the mean |difference| of its requests'
log-probabilities, and whether its most probable choice is another one. Both sides answer the same
docs, so their difference is paired, with a 95% interval.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.backends.backend import LoadOptions
from harness.errors import HarnessError
from harness.progress import note
from harness.sources import resolve
from harness.stats import Interval, mean_interval
from harness.storage import write_atomic
from harness.zoo import load_zoo
from tests.parity.sides import Kept, LazyHflm, harness_rows, lm_eval_docs, parse_work

TASKS = "arc_challenge=1172,hellaswag=500,mmlu@5=500"


@dataclass(frozen=True)
class Rounding:
    """How far two sides are from float32 on one task.

    Attributes:
        apart: mean |difference| of log-probabilities in nats: the engine's, lm-eval's.
        less: interval of the engine's minus lm-eval's, by doc.
        changed: share of docs whose most probable choice is another one: engine, lm-eval.
        fewer: interval of the engine's minus lm-eval's.
    """

    task: str
    docs: int
    apart: tuple[float, float]
    less: Interval
    changed: tuple[float, float]
    fewer: Interval


def compare(
    task: str,
    truth: Sequence[Sequence[float]],
    ours: Sequence[Sequence[float]],
    theirs: Sequence[Sequence[float]],
) -> Rounding:
    """Compare per-doc lists of the choices' log-probabilities."""
    apart = [
        [float(np.abs(np.subtract(a, b)).mean()) for a, b in zip(side, truth, strict=True)]
        for side in (ours, theirs)
    ]
    changed = [
        [float(np.argmax(a) != np.argmax(b)) for a, b in zip(side, truth, strict=True)]
        for side in (ours, theirs)
    ]
    return Rounding(
        task,
        len(truth),
        (float(np.mean(apart[0])), float(np.mean(apart[1]))),
        mean_interval(list(np.subtract(*apart))),
        (float(np.mean(changed[0])), float(np.mean(changed[1]))),
        mean_interval(list(np.subtract(*changed))),
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run all three and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--model", default="smol")
    parser.add_argument("--tasks", default=TASKS)
    parser.add_argument("--limit", type=int, default=500)
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--keep", help="folder for lm-eval's answers")
    parser.add_argument("--out", help="file for the summary (Markdown)")
    options = parser.parse_args(argv)
    zoo = load_zoo()
    spec = zoo.get(options.model)
    artifact = resolve(spec, zoo, None, note)
    works = [parse_work(text, options.limit) for text in options.tasks.split(",")]
    logprobs: dict[str, list[list[list[float]]]] = {}
    for dtype in ("float32", options.dtype):
        load = LoadOptions(
            artifact.path,
            artifact.tokenizer_path,
            dtype,
            spec.add_bos,
            spec.trust_remote_code,
        )
        kept = Kept(options.keep and Path(options.keep), f"{artifact.weights_id[:16]}-{dtype}")
        model = LazyHflm(load)
        for work in works:
            if not kept.path(work).exists():
                kept.write(work, lm_eval_docs(model.get(), work, Path(options.data)))
        logprobs[dtype] = [
            [[answer[0] for answer in doc.responses] for doc in kept.read(work)] for work in works
        ]
    rows = harness_rows("hf", load, works, options.data)
    results = [
        compare(work.label, truth, [list(row.logprobs) for row in rows[work]], theirs)
        for work, truth, theirs in zip(
            works, logprobs["float32"], logprobs[options.dtype], strict=True
        )
    ]
    table = _table(results)
    print(table)
    if options.out:
        title = f"# {options.model} in {options.dtype}: how far from float32\n\n"
        explained = (
            "The truth is lm-eval's answer in float32. Distance: mean |difference| of a choice's "
            "log-probability in nats. Changed: docs whose most probable choice is another one. "
            "Differences are the engine's minus lm-eval's, paired by doc, with 95% intervals: "
            "below zero the engine is nearer.\n"
        )
        write_atomic(Path(options.out), f"{title}{explained}\n{table}\n")
    return 0


def _table(results: Sequence[Rounding]) -> str:
    lines = [
        "| task | docs | distance, engine | lm-eval | difference | changed, engine | lm-eval "
        "| difference |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r.task} | {r.docs} | {r.apart[0]:.4f} | {r.apart[1]:.4f} | {_interval(r.less, 1, 4)} "
        f"| {r.changed[0]:.1%} | {r.changed[1]:.1%} | {_interval(r.fewer, 100, 1)} points |"
        for r in results
    ]
    return "\n".join(lines)


def _interval(interval: Interval, factor: float, digits: int) -> str:
    low, high = interval
    if low is None or high is None:
        return "no spread"
    return f"{low * factor:+.{digits}f} to {high * factor:+.{digits}f}"


if __name__ == "__main__":
    try:
        sys.exit(main())
    except HarnessError as error:
        print(f"rounding: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
