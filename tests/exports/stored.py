"""Runs on disk to export: real results, samples, undefined values, groups, hostile names."""

from dataclasses import replace
from pathlib import Path

from harness.compare import StoredRun
from harness.records import NoiseFloor, Run
from harness.types import Estimate
from tests.report.fixtures.runs import choice_row, ends, generated_row, result, run, stored

HOSTILE = "=cmd|'/C calc'!A1/../<b>\n"
STRICT = "exact_match,strict-match"

ARC = Estimate(0.5, 0.4, 0.6, 0.05, 100, "Wilson", "proportion", True)
NOISE = NoiseFloor(32, 2, 1, 1.0, 0.5, 0.125, ("packed", "padded"))


def complete() -> Run:
    """Smol on ARC-Easy with an undefined macro average, on MMLU by subject, and on samples."""
    subjects = {
        "anatomy": {"acc": ends(0.25, 0.1, 0.5, n=40)},
        "virology": {"acc": ends(0.75, 0.5, 0.9, n=60)},
    }
    mmlu = {"acc": ends(0.55, 0.45, 0.65, n=100), "acc_macro": ends(None, None, None, n=100)}
    exact = {STRICT: ends(0.25, 0.0625, 0.5, n=4)}
    loss = {"word_perplexity": ends(7.5, 6.0, 9.0, unit="perplexity", higher=False, n=2)}
    return run(
        "smol",
        [
            result("arc_easy", ARC, limit=100, noise=NOISE),
            result("mmlu", mmlu["acc"], estimates=mmlu, groups=subjects, num_fewshot=5),
            result("gsm8k", exact[STRICT], STRICT, origin="samples", num_fewshot=5),
            result("wikitext2", loss["word_perplexity"], "word_perplexity"),
        ],
    )


def written(runs: Path) -> StoredRun:
    """`complete` with rows: two docs of each task, one of ARC-Easy's unscored."""
    pages = [{"word_perplexity": (-2.0, 1.0)}, {"word_perplexity": (-8.0, 2.0)}]
    rows = {
        "arc_easy": [
            choice_row(0, True, prompt="-1 + 1 = ?\r=2"),
            choice_row(1, False, scores={}, unscored="no answer"),
        ],
        "mmlu": [choice_row(n, n == 0, group="anatomy", scores={"acc": 1.0 - n}) for n in (0, 1)],
        "gsm8k": [generated_row(0, " #### 7"), generated_row(1, "")],
        "wikitext2": [generated_row(n, None, scores=pages[n], target="") for n in (0, 1)],
    }
    made = complete()
    results = {task: replace(each, docs=len(rows[task])) for task, each in made.results.items()}
    made = replace(made, results=results)
    return StoredRun(made, stored(runs / made.id, made, rows))


def hostile(runs: Path) -> StoredRun:
    """A model and a task whose names are formulas, paths and markup."""
    made = run(HOSTILE, [result("../=1+1", ARC, docs=1)], created="2026-02-01T12:00:00+00:00")
    return StoredRun(made, stored(runs / made.id, made, {"../=1+1": [choice_row(0, True)]}))
