"""`make parity`: the harness against lm-eval itself, doc by doc, on the same weights and data.

    python -m tests.parity.run --data DIR [--model smol] [--tasks a,mmlu@5,b=62] [--limit 100]
        [--backend hf] [--dtype float32] [--models-dir DIR] [--keep DIR] [--out FILE]

A task is written as in ``mmlu@5=500``: name, shots, docs. lm-eval's side takes most of the time;
``--keep`` stores its answers, and takes them from there the next time.

Exit code 1 if any doc differs beyond the tolerances (see `tests.parity.compare`).
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from harness.backends.backend import LoadOptions, load_backend
from harness.catalog import load_catalog
from harness.data import data_folders
from harness.errors import HarnessError
from harness.open_task import TaskContext, spread_limit
from harness.progress import note, open_progress
from harness.records import Row
from harness.run_folder import RunFolder
from harness.runner import PlannedTask, score_task
from harness.sources import resolve
from harness.storage import write_atomic
from harness.zoo import load_zoo
from tests.parity.compare import Parity, TopTwoGap, compare
from tests.parity.reference import ReferenceDoc, run_lm_eval

TASKS = ("arc_easy", "arc_challenge", "hellaswag", "mmlu", "gsm8k", "wikitext2")
LM_EVAL_NAMES = {"wikitext2": "wikitext"}
BATCH = 16


def main(argv: Sequence[str] | None = None) -> int:
    """Run both sides and compare."""
    options = _parse(argv)
    works = [_work(text, options.limit) for text in options.tasks.split(",")]
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
    kept = _Kept(options.keep and Path(options.keep), f"{artifact.weights_id[:16]}-{options.dtype}")
    model = _LazyHflm(load)
    for work in works:
        if not kept.path(work).exists():
            kept.write(work, _reference(model.get(), work, Path(options.data)))
    rows = _harness_rows(options.backend, load, works, options.data)
    results: list[Parity] = []
    for work in works:
        results.append(compare(work.label, rows[work], kept.read(work), _gap_finder(model)))
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
    parser.add_argument("--tasks", default=",".join(TASKS), help="as in mmlu@5=500")
    parser.add_argument("--backend", default="hf")
    parser.add_argument("--keep", help="folder for lm-eval's answers")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--models-dir", type=Path, help="folder org/name/ of weights")
    parser.add_argument("--out", help="file for the summary (Markdown)")
    return parser.parse_args(argv)


@dataclass(frozen=True)
class _Work:
    """A task with its shots (``None``: its own) and number of docs."""

    task: str
    num_fewshot: int | None
    docs: int

    @property
    def label(self) -> str:
        """As the user writes it, without the docs."""
        return self.task if self.num_fewshot is None else f"{self.task}@{self.num_fewshot}"


def _work(text: str, limit: int) -> _Work:
    name, _, docs = text.partition("=")
    task, _, shots = name.partition("@")
    return _Work(task, int(shots) if shots else None, int(docs) if docs else limit)


class _Kept:
    """lm-eval's answers on disk; in a temporary folder unless one is named."""

    def __init__(self, folder: Path | None, model: str) -> None:
        self._scratch = None if folder else tempfile.TemporaryDirectory()
        self._folder = folder or Path(self._scratch.name if self._scratch else "")
        self._model = model

    def path(self, work: _Work) -> Path:
        """Where a task's answers are."""
        return self._folder / f"{self._model}-{work.label}-{work.docs}.json"

    def write(self, work: _Work, docs: list[ReferenceDoc]) -> None:
        """Keep them."""
        write_atomic(self.path(work), msgspec.json.encode(docs))

    def read(self, work: _Work) -> list[ReferenceDoc]:
        """Read them back, JSON's lists as the tuples that they were."""
        raw = msgspec.json.decode(self.path(work).read_bytes())
        return [
            ReferenceDoc(
                tuple(_tupled(doc["arguments"])),
                tuple(_tupled(doc["responses"])),
                {name: _tupled(value) for name, value in doc["metrics"].items()},
            )
            for doc in raw
        ]


def _tupled(value: Any) -> Any:
    return tuple(_tupled(item) for item in value) if isinstance(value, list) else value


class _LazyHflm:
    """lm-eval's model, loaded when the first question needs it."""

    def __init__(self, load: LoadOptions) -> None:
        self._load, self._model = load, None

    def get(self) -> Any:
        """The loaded model."""
        self._model = self._model or _hflm(self._load)
        return self._model


def _harness_rows(
    backend_name: str, load: LoadOptions, works: Sequence[_Work], data: str
) -> dict[_Work, list[Row]]:
    catalog = load_catalog()
    folders = data_folders(catalog.samples, data, False)
    backend = load_backend(backend_name, load)
    rows: dict[_Work, list[Row]] = {}
    with tempfile.TemporaryDirectory() as scratch, open_progress() as progress:
        for number, work in enumerate(works):
            folder = RunFolder(Path(scratch) / str(number))
            folder.create()
            task = catalog.task(work.task)
            opened = task.open(
                task, TaskContext(folders, limit=work.docs, num_fewshot=work.num_fewshot)
            )
            score_task(
                PlannedTask(task, opened, task.primary or "", work.docs), backend, folder, progress
            )
            rows[work] = sorted(folder.rows(work.task), key=lambda row: row.index)
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


def _reference(model: Any, work: _Work, data: Path) -> list[ReferenceDoc]:
    # Rolling rows need a whole window of logits each: one at a time fits everywhere.
    model.batch_size_per_gpu = 1 if work.task == "wikitext2" else BATCH
    name = LM_EVAL_NAMES.get(work.task, work.task)
    subjects = [dataset.config for dataset in load_catalog().task(work.task).datasets]
    samples = None
    if len(subjects) > 1:
        sizes = [
            sum(1 for _ in (data / "cais/mmlu" / str(subject) / "test.jsonl").open("rb"))
            for subject in subjects
        ]
        samples = {
            f"{work.task}_{subject}": list(range(count))
            for subject, count in zip(subjects, spread_limit(work.docs, sizes), strict=True)
            if count
        }
    return run_lm_eval(
        model,
        name,
        data,
        limit=None if samples else work.docs,
        samples=samples,
        num_fewshot=work.num_fewshot,
    )[0]


def _gap_finder(lazy: _LazyHflm) -> TopTwoGap:
    """Gap between the two best logits where two generated texts first differ."""
    import torch

    def gap(prompt: str, ours: str, theirs: str) -> float:
        model = lazy.get()
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
        f"make parity MODEL={options.model} TASKS={options.tasks} LIMIT={options.limit} "
        f"DTYPE={options.dtype} BACKEND={options.backend} DATA=..."
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
