"""`make parity`: the harness against lm-eval itself, doc by doc, on the same weights and data.

    python -m tests.parity.run --data DIR [--model smol] [--limit 100] [--tasks a,b] [--out FILE]

Exit code 1 if any doc differs beyond the tolerances (see `tests.parity.compare`).
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from harness.backends.backend import LoadOptions, load_backend
from harness.catalog import load_catalog
from harness.data import data_folders
from harness.errors import HarnessError
from harness.open_task import TaskContext, spread_limit
from harness.progress import open_progress
from harness.records import Row, RunFolder, write_atomic
from harness.runner import PlannedTask, score_task
from harness.sources import resolve
from harness.zoo import load_zoo
from tests.parity.compare import Parity, compare
from tests.parity.reference import ReferenceDoc, run_lm_eval

TASKS = ("arc_easy", "arc_challenge", "hellaswag", "mmlu", "gsm8k", "wikitext2")
LM_EVAL_NAMES = {"wikitext2": "wikitext"}
BATCH = 16


def main() -> int:
    """Run both sides and compare."""
    options = _parse()
    limits = {task: options.limit for task in options.tasks.split(",")}
    if options.pages is not None and "wikitext2" in limits:
        limits["wikitext2"] = options.pages
    artifact = resolve(load_zoo().get(options.model), load_zoo(), None, print)
    started = time.time()
    ours = _harness_rows(artifact.path, limits, options)
    gc.collect()
    model = _hflm(artifact.path, options.dtype)
    results: list[Parity] = []
    for task, rows in ours.items():
        reference = _reference(model, task, limits[task], rows, Path(options.data))
        results.append(compare(task, rows, reference, _gap_finder(model)))
        print(json.dumps(results[-1].as_dict()), flush=True)
    print(_table(results))
    if options.out:
        _write(Path(options.out), results, options, artifact.weights_id, time.time() - started)
    return 0 if all(parity.holds for parity in results) else 1


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--model", default="smol")
    parser.add_argument("--limit", type=int, default=100)
    parser.add_argument("--pages", type=int, help="WikiText pages, where not the limit")
    parser.add_argument("--tasks", default=",".join(TASKS))
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--out", help="file for the summary (Markdown)")
    return parser.parse_args()


def _harness_rows(
    path: Path, limits: dict[str, int], options: argparse.Namespace
) -> dict[str, list[Row]]:
    catalog = load_catalog()
    folders = data_folders(catalog.samples, options.data, False)
    backend = load_backend("lm_eval", LoadOptions(path, path, options.dtype))
    rows: dict[str, list[Row]] = {}
    with tempfile.TemporaryDirectory() as scratch, open_progress() as progress:
        folder = RunFolder(Path(scratch))
        folder.create()
        for name, limit in limits.items():
            task = catalog.task(name)
            opened = task.open(task, TaskContext(folders, limit=limit))
            score_task(PlannedTask(task, opened, task.primary, limit), backend, folder, progress)
            rows[name] = sorted(folder.rows(name), key=lambda row: row.index)
    return rows


def _hflm(path: Path, dtype: str) -> Any:
    import torch
    from lm_eval.models.huggingface import HFLM

    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    device = "cuda:0" if torch.cuda.is_available() else "cpu"
    return HFLM(pretrained=str(path), dtype=dtype, batch_size=BATCH, device=device)


def _reference(
    model: Any, task: str, limit: int, rows: list[Row], data: Path
) -> list[ReferenceDoc]:
    # Rolling rows need a whole window of logits each: one at a time fits everywhere.
    model.batch_size_per_gpu = 1 if task == "wikitext2" else BATCH
    name = LM_EVAL_NAMES.get(task, task)
    if not rows[0].group:
        return run_lm_eval(model, name, data, limit=limit, samples=None)[0]
    catalog_task = load_catalog().task(task)
    subjects = [dataset.config for dataset in catalog_task.datasets]
    sizes = [
        sum(1 for _ in (data / "cais/mmlu" / str(subject) / "test.jsonl").open("rb"))
        for subject in subjects
    ]
    counts = spread_limit(limit, sizes)
    samples = {
        f"{task}_{subject}": list(range(count))
        for subject, count in zip(subjects, counts, strict=True)
        if count
    }
    return run_lm_eval(model, name, data, limit=None, samples=samples)[0]


def _gap_finder(model: Any) -> Any:
    """Gap between the two best logits where two generated texts first differ."""
    import torch

    def gap(prompt: str, ours: str, theirs: str) -> float:
        first, second = (model.tok_encode(prompt + text) for text in (ours, theirs))
        same = next(
            (i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b),
            min(len(first), len(second)),
        )
        with torch.no_grad():
            logits = model.model(torch.tensor([first[:same]])).logits[0, -1].float()
        best = torch.topk(logits, 2).values
        return float(best[0] - best[1])

    return gap


def _table(results: list[Parity]) -> str:
    lines = [
        "| task | docs | prompts differ | scores differ | texts differ | excused ties "
        "| largest log-probability difference | word perplexity (ours, lm-eval) | holds |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for parity in results:
        perplexity = "-"
        if parity.perplexity:
            perplexity = f"{parity.perplexity[0]:.6f}, {parity.perplexity[1]:.6f}"
        cells = (
            parity.task,
            parity.docs,
            len(parity.different_prompts),
            len(parity.different_scores),
            len(parity.different_texts),
            ", ".join(f"doc {doc}: {gap:.1e}" for doc, gap in parity.excused.items()) or "none",
            f"{parity.largest_logprob_difference:.1e}" if not parity.perplexity else "-",
            perplexity,
            "yes" if parity.holds else "NO",
        )
        lines.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    return "\n".join(lines)


def _write(
    out: Path, results: list[Parity], options: argparse.Namespace, weights_id: str, seconds: float
) -> None:
    import lm_eval
    import torch
    import transformers

    versions = f"torch {torch.__version__}, transformers {transformers.__version__}"
    command = f"make parity MODEL={options.model} LIMIT={options.limit} DATA=..."
    text = (
        f"# {options.model} against lm-eval {lm_eval.__version__}, {options.dtype}\n\n"
        f"`{command}`, weights {weights_id[:16]}, {versions}, {seconds / 60:.0f} minutes.\n\n"
        f"{_table(results)}\n\n"
        "Tolerances: identical prompts, per-doc scores and texts (except ties of the two best "
        "logits within 1e-3, listed), log-probabilities within 1e-3, word perplexity within 1e-4 "
        "relative.\n"
    )
    write_atomic(out, text)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except HarnessError as error:
        print(f"parity: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
