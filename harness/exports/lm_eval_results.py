"""A run as the results JSON of lm-eval, so that what reads lm-eval's files reads ours."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from harness.exports.table import known
from harness.records import Run, TaskResult
from harness.report.newest import begun
from harness.report.work import is_limited
from harness.types import Estimate

Results = dict[str, Any]


@dataclass(frozen=True)
class _Entry:
    """A task, or a group of one, as lm-eval lists both.

    Attributes:
        name: distinct within the run; a group's is ``<task>_<group>``, as lm-eval names its own.
        alias: what tables show: a result on the shipped samples says so there.
    """

    name: str
    alias: str
    result: TaskResult
    estimates: Mapping[str, Estimate]
    docs: int


def lm_eval_results(run: Run) -> Results:
    """Lay a run out as lm-eval does what it returns (``lm_eval.result_schema.EvalResults``).

    lm-eval's layout has no room for intervals: they stand under ``lineup``, with all else that
    identifies the run. An undefined value is ``None``, an undefined standard error ``"N/A"``,
    as in lm-eval. ``n-samples`` has no ``original`` where a limit left docs out: the record
    does not say how many the split has.
    """
    entries = {name: list(_entries(run, name)) for name in run.results}
    every = [entry for of_task in entries.values() for entry in of_task]
    grouped = {task: of_task[1:] for task, of_task in entries.items() if len(of_task) > 1}
    laid_out: Results = {
        "results": {entry.name: _metrics(entry) for entry in every},
        **({"groups": {task: _metrics(entries[task][0]) for task in grouped}} if grouped else {}),
        "group_subtasks": {
            task: [entry.name for entry in grouped.get(task, [])] for task in entries
        },
        "configs": {entry.name: _config(entry) for entry in every},
        "versions": {entry.name: _version(entry.result.version) for entry in every},
        "n-shot": {entry.name: entry.result.num_fewshot for entry in every},
        "higher_is_better": {entry.name: _directions(entry.estimates) for entry in every},
        "n-samples": {entry.name: _sizes(entry) for entry in every},
    }
    return {**laid_out, **_about(run), "lineup": _ours(run)}


def _entries(run: Run, task: str) -> Iterator[_Entry]:
    """The task, then its groups."""
    result = run.results[task]
    samples = " (samples)" if result.on_samples else ""
    yield _Entry(task, task + samples, result, result.estimates, result.docs)
    for group, estimates in result.groups.items():
        name = f"{task}_{group}"
        if name in run.results:
            name = f"{task}/{group}"
        docs = max((estimate.n for estimate in estimates.values()), default=0)
        yield _Entry(name, group + samples, result, estimates, docs)


def _metrics(entry: _Entry) -> Results:
    found: Results = {"name": entry.name, "alias": entry.alias, "sample_len": entry.docs}
    for key, estimate in entry.estimates.items():
        metric, _, kept_by = key.partition(",")
        kept_by = kept_by or "none"
        stderr = known(estimate.stderr)
        found[f"{metric},{kept_by}"] = known(estimate.value)
        found[f"{metric}_stderr,{kept_by}"] = "N/A" if stderr is None else stderr
    return found


def _directions(estimates: Mapping[str, Estimate]) -> dict[str, bool]:
    return {key.partition(",")[0]: each.higher_is_better for key, each in estimates.items()}


def _config(entry: _Entry) -> Results:
    data = entry.result.data
    configs = {each.config for each in data}
    return {
        "task": entry.name,
        "dataset_path": data[0].dataset if data else None,
        "dataset_name": configs.pop() if len(configs) == 1 else None,
        "num_fewshot": entry.result.num_fewshot,
        "metric_list": [
            {"metric": metric, "higher_is_better": higher}
            for metric, higher in _directions(entry.estimates).items()
        ],
        "metadata": {"version": _version(entry.result.version)},
    }


def _version(text: str) -> str | float:
    """lm-eval's versions are numbers; one of ours that is none stays as it is."""
    return float(text) if re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", text) else text


def _sizes(entry: _Entry) -> dict[str, int | None]:
    whole = None if is_limited([entry.result]) else entry.docs
    return {"original": whole, "effective": entry.docs}


def _about(run: Run) -> Results:
    """What `lm_eval.simple_evaluate` and its tracker add to the figures."""
    model, settings, packages = run.model, run.settings, run.environment.packages
    began = begun(run)
    seconds = run.load_seconds + sum(each.cost.seconds for each in run.results.values())
    return {
        "config": {
            "model": f"lineup {settings.backend}",
            "model_args": {"pretrained": model.name, "dtype": model.dtype},
            "model_num_parameters": model.parameters,
            "model_dtype": model.dtype,
            "model_revision": model.revision,
            "batch_size": run.plan or None,
            "batch_sizes": [],
            "device": run.environment.device,
            "use_cache": None,
            "limit": settings.limit,
            "bootstrap_iters": 0,
            "gen_kwargs": None,
            "fewshot_seed": settings.seed,
        },
        "git_hash": run.environment.git_commit,
        "date": began.timestamp() if began else None,
        "transformers_version": packages.get("transformers"),
        "lm_eval_version": packages.get("lm_eval"),
        "task_hashes": {},
        "model_source": "lineup",
        "model_name": model.name,
        "model_name_sanitized": re.sub(r'["<>:/|\\?*\[\]]+', "__", model.name),
        "system_instruction": None,
        "total_evaluation_time_seconds": str(seconds),
    }


def _ours(run: Run) -> Results:
    return {
        "harness": run.environment.harness,
        "run": run.id,
        "weights_id": run.model.weights_id,
        "chat_template": run.model.chat_template,
        "on_samples": [task for task, result in run.results.items() if result.on_samples],
        "prompt_digests": {task: result.prompt_digest for task, result in run.results.items()},
        "others": {task: result.others for task, result in run.results.items() if result.others},
        "unscored": {task: result.unscored for task, result in run.results.items()},
        "estimates": {task: result.estimates for task, result in run.results.items()},
    }
