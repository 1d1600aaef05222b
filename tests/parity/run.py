"""`make parity`: the harness against lm-eval itself, doc by doc, on the same weights and data.

    python -m tests.parity.run --data DIR [--model smol] [--limit 100] [--tasks a,b]
        [--dtype float32] [--models-dir DIR] [--out FILE]

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
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.backends.backend import LoadOptions, load_backend
from harness.catalog import load_catalog
from harness.data import data_folders
from harness.errors import HarnessError
from harness.open_task import TaskContext, spread_limit
from harness.progress import note, open_progress
from harness.records import Row, RunFolder, write_atomic
from harness.runner import PlannedTask, score_task
from harness.sources import resolve
from harness.zoo import load_zoo
from tests.parity.compare import Parity, TopTwoGap, compare
from tests.parity.reference import ReferenceDoc, run_lm_eval

TASKS = ("arc_easy", "arc_challenge", "hellaswag", "mmlu", "gsm8k", "wikitext2")
LM_EVAL_NAMES = {"wikitext2": "wikitext"}
BATCH = 16


def main(argv: Sequence[str] | None = None) -> int:
    """Run both sides and compare."""
    options = _parse(argv)
    limits = {task: options.limit for task in options.tasks.split(",")}
    if options.pages is not None and "wikitext2" in limits:
        limits["wikitext2"] = options.pages
    zoo = load_zoo()
    spec = zoo.get(options.model)
    artifact = resolve(spec, zoo, options.models_dir, note)
    load = LoadOptions(
        artifact.path,
        artifact.tokenizer_path,
        options.dtype,
        spec.add_bos,
        spec.trust_remote_code,
    )
    started = time.time()
    ours = _harness_rows(load, limits, options.data)
    gc.collect()
    model = _hflm(load)
    results: list[Parity] = []
    for task, rows in ours.items():
        reference = _reference(model, task, limits[task], rows, Path(options.data))
        results.append(compare(task, rows, reference, _gap_finder(model)))
        print(json.dumps(results[-1].as_dict()), flush=True)
    print(_table(results))
    if options.out:
        _write(Path(options.out), results, options, artifact.weights_id, time.time() - started)
    return 0 if all(parity.holds for parity in results) else 1


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--model", default="smol")
    parser.add_argument("--limit", type=int, default=100)
    parser.add_argument("--pages", type=int, help="WikiText pages, where not the limit")
    parser.add_argument("--tasks", default=",".join(TASKS))
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--models-dir", type=Path, help="folder org/name/ of weights")
    parser.add_argument("--out", help="file for the summary (Markdown)")
    return parser.parse_args(argv)


def _harness_rows(load: LoadOptions, limits: dict[str, int], data: str) -> dict[str, list[Row]]:
    catalog = load_catalog()
    folders = data_folders(catalog.samples, data, False)
    backend = load_backend("lm_eval", load)
    rows: dict[str, list[Row]] = {}
    with tempfile.TemporaryDirectory() as scratch, open_progress() as progress:
        folder = RunFolder(Path(scratch) / "run")
        folder.create()
        for name, limit in limits.items():
            task = catalog.task(name)
            opened = task.open(task, TaskContext(folders, limit=limit))
            score_task(
                PlannedTask(task, opened, task.primary or "", limit), backend, folder, progress
            )
            rows[name] = sorted(folder.rows(name), key=lambda row: row.index)
    return rows


def _hflm(load: LoadOptions) -> Any:
    import torch
    from lm_eval.models.huggingface import HFLM

    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    device = "cuda:0" if torch.cuda.is_available() else "cpu"
    return HFLM(
        pretrained=str(load.path),
        tokenizer=str(load.tokenizer),
        dtype=load.dtype,
        batch_size=BATCH,
        device=device,
        add_bos_token=load.add_bos,
        trust_remote_code=load.trust_remote_code,
    )


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


def _gap_finder(model: Any) -> TopTwoGap:
    """Gap between the two best logits where two generated texts first differ."""
    import torch

    def gap(prompt: str, ours: str, theirs: str) -> float:
        first, second = (model.tok_encode(prompt + text) for text in (ours, theirs))
        same = next(
            (i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b),
            min(len(first), len(second)),
        )
        tokens = torch.tensor([first[:same]], device=model.device)
        with torch.no_grad():
            logits = model.model(tokens).logits[0, -1].float()
        best = torch.topk(logits, 2).values
        return float(best[0] - best[1])

    return gap


def _table(results: list[Parity]) -> str:
    lines = [
        "| task | docs | prompts differ | log-probabilities differ | scores differ | texts differ "
        "| excused ties | largest log-probability difference | word perplexity (ours, lm-eval) "
        "| holds |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for parity in results:
        perplexity = "-"
        if parity.perplexity:
            perplexity = f"{parity.perplexity[0]:.6f}, {parity.perplexity[1]:.6f}"
        cells = (
            parity.task,
            parity.docs,
            len(parity.different_prompts),
            len(parity.different_logprobs),
            len(parity.different_scores),
            len(parity.different_texts),
            ", ".join(f"doc {tie.doc} {tie.what}: {tie.gap:.1e}" for tie in parity.ties) or "none",
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
    command = (
        f"make parity MODEL={options.model} LIMIT={options.limit} DTYPE={options.dtype} DATA=..."
    )
    text = (
        f"# {options.model} against lm-eval {lm_eval.__version__}, {options.dtype}\n\n"
        f"`{command}`, weights {weights_id[:16]}, {versions}, {seconds / 60:.0f} minutes.\n\n"
        f"{_table(results)}\n\n"
        "Tolerances: prompts, per-doc scores and texts are identical, log-probabilities within "
        "1e-3, word perplexity within 1e-4 relative. Excused, and listed, are ties within 1e-3: a "
        "text where the two best logits tie, acc and acc_norm where the two best choices tie in "
        "what that metric ranks them by.\n"
    )
    write_atomic(out, text)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except HarnessError as error:
        print(f"parity: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
