"""Results as the metadata of a Hugging Face model card (``model-index``), with their intervals."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.exports.table import known
from harness.records import DataRecord, Run, TaskResult
from harness.report import markdown, wording
from harness.report.work import Work, distinguishing, is_limited, work_of
from harness.types import Estimate

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

_WRITTEN_HERE = "<!-- written by harness export, sha256 of the rest: {} -->\n\n"
"""Stands in every card, so that `is_own` knows it."""


@dataclass(frozen=True)
class ModelCard:
    """A card's text, and what it does not hold, in a sentence each."""

    text: str
    results: int
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class _Shown:
    run: Run
    result: TaskResult

    @property
    def ran_as(self) -> tuple[str, str]:
        """How the weights were run: another dtype or backend may answer otherwise."""
        return self.run.model.dtype, self.run.settings.backend

    @property
    def asked(self) -> str:
        """What was asked, and who besides the model: ``0-shot, first 100 docs, reference smol``."""
        docs = wording.counted(self.result.docs, "doc")
        if is_limited([self.result]):  # spread evenly over a task's groups, else the first ones
            groups = len(self.result.groups)
            docs = f"{docs} over {groups} groups" if groups else f"first {docs}"
        others = {role: who.partition(" (")[0] for role, who in sorted(self.result.others.items())}
        # A judge's role is its name.
        names = [who if who == role else f"{role} {who}" for role, who in others.items()]
        return ", ".join([f"{self.result.num_fewshot}-shot", docs, *map(wording.clean, names)])


def model_card(runs: Sequence[Run], splits: Mapping[str, str]) -> ModelCard:
    """Write the results of one model as a card: YAML front matter, and a paragraph about it.

    Of several results of the same work in one dtype behind one backend the newest stands. What was
    scored on the shipped samples is no benchmark result and is left out, as are values that are
    undefined.

    Args:
        runs: of one model, the newest first.
        splits: the split that a task is scored on, where it is known.
    """
    from huggingface_hub import ModelCardData

    shown, left_out = _shown(runs)
    found = []
    for each, apart in zip(shown, _told_apart(shown), strict=True):
        for metric, estimate in each.result.estimates.items():
            name = _metric_name(each, metric, estimate, apart)
            made = _eval_result(each, metric, estimate, splits.get(each.result.task), name)
            if made is None:
                left_out.append(f"{_words(each.result.task, metric)}: its value is undefined")
            else:
                found.append(made)
    data = ModelCardData(model_name=runs[0].model.name, eval_results=found or None)
    head, body = f"---\n{data.to_yaml()}\n---\n\n", _body([each.run for each in shown], left_out)
    text = head + _WRITTEN_HERE.format(_digest(head + body)) + body
    return ModelCard(text, len(found), tuple(left_out))


def is_own(text: str) -> bool:
    """Whether a card is as `model_card` wrote it, without a word of somebody else."""
    return any(
        _digest(text[: found.start()] + text[found.end() :]) == found[1]
        for found in re.finditer(_WRITTEN_HERE.format("([0-9a-f]{64})"), text)
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def _shown(runs: Sequence[Run]) -> tuple[list[_Shown], list[str]]:
    newest: dict[tuple[Work, tuple[str, str]], _Shown] = {}
    samples: dict[str, None] = {}
    for run in runs:
        for result in run.results.values():
            if result.on_samples:
                samples[f"{wording.clean(result.task)}: scored on the shipped samples"] = None
            else:
                found = _Shown(run, result)
                newest.setdefault((work_of(run, result), found.ran_as), found)
    return list(newest.values()), list(samples)


def _told_apart(shown: Sequence[_Shown]) -> list[list[str]]:
    """What the name of each result needs beside what was asked to be no other result's."""
    names = [f"{each.result.task}\n{each.result.primary}\n{each.asked}" for each in shown]
    others = [", ".join(who for _, who in sorted(each.result.others.items())) for each in shown]
    return distinguishing(names, [*zip(*(each.ran_as for each in shown), strict=True), others])


def _eval_result(
    shown: _Shown, metric: str, estimate: Estimate, split: str | None, name: str
) -> EvalResult | None:
    """One metric; ``None`` where it has no value.

    Everything that tells two results on one data set apart is said of the metric:
    huggingface_hub puts all metrics of a data set under one task.
    """
    from huggingface_hub import EvalResult

    value = known(estimate.value)
    if value is None:
        return None
    result = shown.result
    configs = {data.config for data in result.data}
    first = result.data[0] if result.data else None
    config = configs.pop() if len(configs) == 1 else None
    dataset = first.dataset if first else result.task
    return EvalResult(
        task_type="text-generation",
        task_name="Text Generation",
        dataset_type=dataset,
        dataset_name=f"{dataset} ({config})" if config else dataset,
        dataset_config=config,
        dataset_split=split if first and first.origin != "shipped" else None,
        dataset_revision=_revision(result.data),
        metric_type=metric.partition(",")[0],
        metric_value=value,
        metric_name=name,
        metric_args={
            "task": result.task,
            "task_version": result.version,
            "num_fewshot": result.num_fewshot,
            "chat_template": shown.run.model.chat_template,
            "docs": result.docs,
            "limit": result.limit,
            "unscored": result.unscored,
            "n": estimate.n,
            "unit": estimate.unit,
            "higher_is_better": estimate.higher_is_better,
            "low_95": known(estimate.low),
            "high_95": known(estimate.high),
            "stderr": known(estimate.stderr),
            "method": estimate.method,
            "filter": metric.partition(",")[2] or None,
            "others": dict(result.others) or None,
            "dtype": shown.run.model.dtype,
            "backend": shown.run.settings.backend,
            "weights_id": shown.run.model.weights_id,
            "harness": f"lineup-harness {shown.run.environment.harness}",
        },
    )


def _revision(data: Sequence[DataRecord]) -> str | None:
    revisions = {each.revision for each in data}
    return revisions.pop() if len(revisions) == 1 else None


def _metric_name(shown: _Shown, metric: str, estimate: Estimate, apart: Sequence[str]) -> str:
    """What a reader of the card's table sees: the work, the metric, its interval in its unit."""
    low, high = known(estimate.low), known(estimate.high)
    between = "undefined" if low is None or high is None else f"{low:.4g} to {high:.4g}"
    parts = [_words(shown.result.task, metric), shown.asked, *map(wording.clean, apart)]
    return f"{', '.join(parts)}; 95% interval {between}"


def _words(task: str, metric: str) -> str:
    return f"{wording.clean(task)} {wording.metric_name(metric)}"


def _body(runs: Sequence[Run], left_out: Sequence[str]) -> str:
    ids = dict.fromkeys(markdown.escape(run.id) for run in runs)
    lines = [
        "The results in this card's metadata were measured with lineup-harness. Values are in the "
        "unit that stands beside each (proportions, not percent); each has its 95% interval in its "
        "name and, with the settings, in its args.",
        "",
        f"Runs: {', '.join(ids) or 'none'}.",
        "",
    ]
    if left_out:
        lines += ["Left out:", "", *(f"- {markdown.escape(each)}" for each in left_out), ""]
    return "\n".join(lines)
