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
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from harness.backends.backend import LoadOptions
from harness.errors import HarnessError
from harness.progress import note
from harness.sources import resolve
from harness.storage import write_atomic
from harness.zoo import load_zoo
from tests.parity.compare import Parity, TopTwoGap, compare
from tests.parity.sides import Kept, LazyHflm, harness_rows, lm_eval_docs, parse_work

TASKS = ("arc_easy", "arc_challenge", "hellaswag", "mmlu", "gsm8k", "wikitext2")


def main(argv: Sequence[str] | None = None) -> int:
    """Run both sides and compare."""
    options = _parse(argv)
    works = [parse_work(text, options.limit) for text in options.tasks.split(",")]
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
    kept = Kept(options.keep and Path(options.keep), f"{artifact.weights_id[:16]}-{options.dtype}")
    model = LazyHflm(load)
    for work in works:
        if not kept.path(work).exists():
            kept.write(work, lm_eval_docs(model.get(), work, Path(options.data)))
    rows = harness_rows(options.backend, load, works, options.data)
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


def _gap_finder(lazy: LazyHflm) -> TopTwoGap:
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
