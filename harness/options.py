"""The commands and their options."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from harness.openai_api.options import add_budgets, add_prices, add_terms

COMMANDS = {
    "eval": "score a model on tasks, and write records and a leaderboard",
    "compare": "tell whether models are better or worse than a base, doc by doc",
    "explain": "show the docs on which two models part, by subject and length",
    "gate": "tell whether a model may take the place of a committed baseline",
    "accept": "make a run the committed baseline of its model",
    "speed": "time models in turn: reading, writing, first token, memory",
    "rescore": "score a run's answers again after a metric changed; no model is run",
    "report": "write the site of all runs, or a suite beside published figures",
    "show": "print one run: its scores, or some of its docs",
    "export": "write runs as CSV, Parquet, lm-eval's JSON, a model card, or to MLflow",
    "marks": "take in what reviewers marked on a run's page, or list it",
    "list": "list models, tasks, suites or runs",
    "lock": "write what hub names resolve to into harness.lock.yaml",
    "doctor": "check this machine: what is here, what is missing, what that costs",
}


def _eval_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", metavar="M", help="a model of the registry (default: smol)")
    parser.add_argument("--models", metavar="A,B", help="several models, a run of each")
    parser.add_argument("--tasks", metavar="A,B", help="tasks; lm-eval:NAME for any of lm-eval's")
    parser.add_argument(
        "--suite", metavar="S", help="a suite (default: card with data, else quick)"
    )
    parser.add_argument("--limit", type=_positive, metavar="N", help="docs per task")
    parser.add_argument("--num-fewshot", type=_whole, metavar="K", help="few-shot examples")
    parser.add_argument("--data", metavar="DIR", help="folder ORG/NAME/CONFIG/SPLIT.jsonl[.gz]")
    parser.add_argument("--samples", action="store_true", help="score the shipped samples")
    parser.add_argument(
        "--dataset-config",
        action="append",
        default=[],
        metavar="TASK=CONFIG",
        help="read another configuration of a task's data set",
    )
    parser.add_argument(
        "--models-dir", type=Path, metavar="DIR", help="folder org/name/ of weights"
    )
    parser.add_argument("--dtype", metavar="D", help="auto, float32, bfloat16 or float16")
    parser.add_argument(
        "--head",
        metavar="H",
        help="logits in float32 (default) or, as lm-eval has them, in the model's dtype: model",
    )
    parser.add_argument(
        "--backend",
        metavar="B",
        help="hf, the harness's engine; lm_eval, the reference; vllm; api, a server (default: api "
        "with --base-url, else the model's own)",
    )
    _elsewhere_options(parser)
    parser.add_argument(
        "--noise-floor",
        type=_positive,
        metavar="DOCS",
        help="ask so many docs of each task again in other batches, and record what that changes",
    )
    parser.add_argument(
        "--reference",
        metavar="M",
        help="hold models against this one (default: what each one's DPO or KTO started from, for "
        "divergences its parent); none: against no other",
    )
    parser.add_argument("--resume", metavar="RUN", help="finish a run that was stopped")
    parser.add_argument(
        "--check", action="store_true", help="look up what was asked for, and stop before weights"
    )
    parser.add_argument(
        "--missing",
        action="store_true",
        help="print the judges and references that have to be built first, and stop",
    )
    parser.add_argument(
        "--no-journal",
        action="store_true",
        help="ask everything, and keep no answers (answers are kept, and asked once, otherwise)",
    )
    _executor_options(parser)
    _shared_options(parser)


def _executor_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--executor", default="local", metavar="E", help="local (default), or ray: several workers"
    )
    parser.add_argument(
        "--ray-address",
        metavar="A",
        help="an existing cluster, such as auto or HOST:6379 (default: one is started here)",
    )
    parser.add_argument(
        "--workers", type=_positive, metavar="N", help="workers (default: what there is room for)"
    )
    parser.add_argument(
        "--worker-cpus",
        type=_positive,
        metavar="N",
        help="CPUs, and threads, of a worker (default: its GPU's share, else all of a machine)",
    )
    parser.add_argument(
        "--worker-gpus",
        type=_whole,
        metavar="N",
        help="GPUs of a worker (default: 1 where there are any; 0: CPU); several: spread over them",
    )


def _elsewhere_options(parser: argparse.ArgumentParser) -> None:
    server = parser.add_argument_group("a model of a server (backend api)")
    server.add_argument(
        "--base-url",
        metavar="URL",
        help="address of an OpenAI-compatible server, such as http://localhost:8000/v1",
    )
    server.add_argument(
        "--served-model",
        metavar="NAME",
        help="what the server calls the model (default: its entry's server: or hub: name)",
    )
    add_terms(server)
    add_prices(server)
    add_budgets(server)
    other = parser.add_argument_group("any model class of lm-eval's (backend lm_eval)")
    other.add_argument(
        "--lm-eval-model", metavar="NAME", help="its --model, such as vllm (default: hf)"
    )
    other.add_argument(
        "--lm-eval-args", metavar="A=B,...", help="its --model_args, without any key"
    )


def _compare_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("base", metavar="BASE", help="a model's name, or a run's id")
    parser.add_argument(
        "models", metavar="MODEL", nargs="+", help="models or runs to hold against it"
    )
    parser.add_argument(
        "--tasks", metavar="A,B", help="compare these tasks (default: all, which must be the same)"
    )
    _shared_options(parser)


def _explain_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("base", metavar="BASE", help="a model's name, or a run's id")
    parser.add_argument("model", metavar="MODEL", help="the model or run to hold against it")
    parser.add_argument("--task", metavar="T", help="of this task (default: all that can be)")
    parser.add_argument(
        "--docs", type=_positive, default=3, metavar="N", help="docs to show of a task (default: 3)"
    )
    _shared_options(parser)


def _gate_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True, metavar="M", help="a model's name, or a run's id")
    parser.add_argument(
        "--baseline", required=True, metavar="B", help="a committed baseline (reports/baselines/)"
    )
    parser.add_argument("--profile", metavar="P", help="profile of the policy, such as ci")
    parser.add_argument(
        "--policy", type=Path, metavar="FILE", help="what is tolerated (default: gate.yaml)"
    )
    parser.add_argument(
        "--sequential",
        action="store_true",
        help="ask the model itself, docs in random order, until the verdict is sure",
    )
    parser.add_argument("--data", metavar="DIR", help="for --sequential: folder of benchmark data")
    parser.add_argument(
        "--models-dir", type=Path, metavar="DIR", help="for --sequential: folder of weights"
    )
    parser.add_argument("--junit", type=Path, metavar="FILE", help="write JUnit XML too")
    _shared_options(parser)


def _accept_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "run", metavar="MODEL", help="a model's name (its newest run), or a run's id"
    )
    parser.add_argument("--lower", metavar="REASON", help="why a figure of it may fall")
    _shared_options(parser)


def _speed_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "models", metavar="MODEL", nargs="+", help="models; the first is what others are held to"
    )
    parser.add_argument(
        "--rounds", type=_positive, default=3, metavar="N", help="looks at each (default: 3)"
    )
    parser.add_argument("--dtype", default="auto", help="as `harness eval --dtype`")
    parser.add_argument("--backend", default="hf", help="as `harness eval --backend`")
    parser.add_argument(
        "--models-dir", type=Path, metavar="DIR", help="folder org/name/ of weights"
    )
    _shared_options(parser)


def _rescore_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", help="a run's id (`harness list runs`)")
    parser.add_argument(
        "--models-dir", type=Path, metavar="DIR", help="folder org/name/ of weights"
    )
    _shared_options(parser)


def _report_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", metavar="M", help="print only the runs of this model")
    parser.add_argument(
        "--pages",
        metavar="RUN",
        help="draw all pages of a run: its id, a model's name, or 'last'",
    )
    parser.add_argument(
        "--tokens",
        action="store_true",
        help="with --pages: show where the tokens of its prompts begin",
    )
    parser.add_argument(
        "--suite", metavar="S", help="write this suite's results beside its published figures"
    )
    _shared_options(parser)


def _show_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", nargs="?", default="last", help="a run's id, or 'last'")
    parser.add_argument(
        "--task", metavar="T", help="print docs of this task (--json: as JSON lines)"
    )
    parser.add_argument("--wrong", action="store_true", help="only docs that were answered wrong")
    parser.add_argument("--worst", metavar="METRIC", help="docs from the worst of a metric")
    parser.add_argument(
        "--disagree",
        metavar="M",
        help="only docs on which this run and the newest comparable one of a model (or a run) "
        "disagree, with both answers: by the --worst metric, else by the task's primary one",
    )
    parser.add_argument("--docs", type=_positive, metavar="N", help="how many docs (default: 3)")
    _shared_options(parser)


def _export_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "runs",
        metavar="RUN",
        nargs="*",
        help="a run's id, a model's name (its newest complete run), or 'last' (default: all "
        "complete runs); one run for lm-eval, runs of one model for model-card",
    )
    parser.add_argument(
        "--format",
        required=True,
        metavar="F",
        help="csv, parquet, lm-eval (its results JSON), model-card (model-index), or mlflow",
    )
    parser.add_argument(
        "--out",
        required=True,
        metavar="FILE",
        help="file to write; for mlflow an SQLite file or a tracking URI",
    )
    parser.add_argument(
        "--docs",
        action="store_true",
        help="csv, parquet: write the docs too, beside FILE: runs.csv, runs-docs.csv",
    )
    parser.add_argument(
        "--texts", action="store_true", help="with --docs: prompts, targets and generated texts"
    )
    _shared_options(parser)


def _marks_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=("import", "list"))
    parser.add_argument(
        "name",
        nargs="?",
        metavar="FILE|RUN",
        help="import: the file downloaded from a run's page; list: a run's id (default: all)",
    )
    _shared_options(parser)


def _list_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=("models", "tasks", "suites", "runs"))
    parser.add_argument(
        "--models-dir", type=Path, metavar="DIR", help="folder org/name/ of weights"
    )
    _shared_options(parser)


def _lock_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--models-dir", type=Path, metavar="DIR", help="folder org/name/ of weights"
    )
    parser.add_argument("--data", metavar="DIR", help="folder ORG/NAME/CONFIG/SPLIT.jsonl[.gz]")
    parser.add_argument("--out", type=Path, default=Path("harness.lock.yaml"), metavar="FILE")
    _shared_options(parser)


def _doctor_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", metavar="DIR", help="folder ORG/NAME/CONFIG/SPLIT.jsonl[.gz]")
    parser.add_argument(
        "--models-dir", type=Path, metavar="DIR", help="folder that holds org/name/ of hub models"
    )
    parser.add_argument("--base-url", metavar="URL", help="a server that models are to be asked at")
    _shared_options(parser)


def _shared_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--zoo", type=Path, metavar="FILE", help="registry (default: model_zoo.yaml)"
    )
    parser.add_argument(
        "--tasks-dir", type=Path, metavar="DIR", help="task files (default: tasks/)"
    )
    parser.add_argument(
        "--reports",
        type=Path,
        default=Path(os.environ.get("HARNESS_REPORTS") or "reports"),
        metavar="DIR",
        help="where runs and reports are kept (default: reports/)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON to standard output")


OPTIONS = {
    "eval": _eval_options,
    "compare": _compare_options,
    "explain": _explain_options,
    "gate": _gate_options,
    "accept": _accept_options,
    "speed": _speed_options,
    "rescore": _rescore_options,
    "report": _report_options,
    "show": _show_options,
    "export": _export_options,
    "marks": _marks_options,
    "list": _list_options,
    "lock": _lock_options,
    "doctor": _doctor_options,
}


def _positive(text: str) -> int:
    number = _whole(text)
    if number == 0:
        raise argparse.ArgumentTypeError("must be at least 1, got 0")
    return number


def _whole(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"must be a whole number, got {text!r}")
    return int(text)
