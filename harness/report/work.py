"""What makes two results comparable, and how a column that holds them is called."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.records import ModelRecord, Run, TaskResult
from harness.report.wording import clean, counted, short_digest

_TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "merges.txt")


@dataclass(frozen=True)
class Work:
    """Everything that must be equal for two results to stand in one column.

    Attributes:
        docs: how many docs were asked; the limit itself is not part of the work, because one that
            leaves no doc out changes nothing.
        datasets: data set names and configurations in words.
        data_digest: digest over what the data resolved to, wherever it came from.
        tokenizer: which tokenizer the metric counts by; ``""`` for metrics that count none.
        prompt_digest: equal digests mean equal docs and prompts.
        others: who else was asked, a reference, a parent or judges, each by role and in words.
    """

    task: str
    version: str
    metric: str
    num_fewshot: int
    docs: int
    chat_template: bool
    datasets: str
    data_digest: str
    tokenizer: str
    prompt_digest: str
    others: tuple[tuple[str, str], ...]

    def order(self) -> tuple[object, ...]:
        """Sort key: by task, then the fuller work first."""
        return (
            self.task,
            self.metric,
            self.num_fewshot,
            -self.docs,
            self.chat_template,
            self.tokenizer,
            self.version,
            self.data_digest,
            self.prompt_digest,
            self.others,
        )


def work_of(run: Run, result: TaskResult) -> Work:
    """Describe the work behind one result."""
    pieces = sorted(
        (data.dataset, data.config or "", data.revision or "", *sorted(data.files.values()))
        for data in result.data
    )
    names = sorted({clean(f"{data.dataset} {data.config or ''}") for data in result.data})
    return Work(
        task=result.task,
        version=result.version,
        metric=result.primary,
        num_fewshot=result.num_fewshot,
        docs=result.docs,
        chat_template=run.model.chat_template,
        datasets=", ".join(names) if len(names) < 3 else f"{names[0]} and {len(names) - 1} more",
        data_digest=hashlib.sha256(repr(pieces).encode("utf-8", "replace")).hexdigest(),
        tokenizer=_tokenizer(run.model) if _counts_tokens(result.primary) else "",
        prompt_digest=result.prompt_digest,
        others=tuple(sorted(result.others.items())),
    )


def is_limited(results: Iterable[TaskResult]) -> bool:
    """Whether the limit of these results, all of one work, left docs out of the split.

    A limit that is larger than the number of docs did not, nor did one that another result of the
    same docs did without.
    """
    return all(result.limit is not None and result.docs == result.limit for result in results)


def limit_words(result: TaskResult) -> str:
    """Write which docs a limited result is of: ``first 1,000``."""
    # A limit is spread evenly over a task's groups, so "first" would be untrue there.
    if result.groups:
        return f"{result.docs:,} over {len(result.groups)} groups"
    return f"first {result.docs:,}"


def column_labels(works: Sequence[Work], limits: Sequence[str]) -> list[str]:
    """Name columns: what a reader must know always, digests only where nothing else differs.

    Args:
        works: what the columns hold.
        limits: for each, its `limit_words`, or ``""`` for the whole split.
    """
    bases = [
        with_traits(
            clean(work.task),
            [
                f"{work.num_fewshot}-shot" if work.num_fewshot else "",
                limit,
                "chat template" if work.chat_template else "",
                *_held_against(work),
            ],
        )
        for work, limit in zip(works, limits, strict=True)
    ]
    # Two metrics of one task differ in the line below the label, so they may share the label.
    marked = [f"{base}\n{work.metric}" for base, work in zip(bases, works, strict=True)]
    traits = [
        ["" if work.num_fewshot else "0-shot" for work in works],
        [work.datasets for work in works],
        [f"version {clean(work.version)}" for work in works],
        [counted(work.docs, "doc") for work in works],
        [work.tokenizer for work in works],
        [f"data {short_digest(work.data_digest)}" for work in works],
        [f"prompts {short_digest(work.prompt_digest)}" for work in works],
        [clean(", ".join(f"{role} {who}" for role, who in work.others)) for work in works],
    ]
    return distinct(bases, traits, marked)


def distinct(
    bases: Sequence[str], traits: Sequence[Sequence[str]], keys: Sequence[str] | None = None
) -> list[str]:
    """Return the bases, each followed by as many of its traits as tell it from its namesakes.

    Args:
        bases: names, some of them equal.
        traits: for each kind of trait, in order of preference, one value per base.
        keys: by what namesakes are found, where that is more than the base.
    """
    chosen = distinguishing(bases if keys is None else keys, traits)
    return [with_traits(base, more) for base, more in zip(bases, chosen, strict=True)]


def distinguishing(bases: Sequence[str], traits: Sequence[Sequence[str]]) -> list[list[str]]:
    """Return, for each base, the traits that tell it from its namesakes; none if it has none."""
    chosen: list[list[str]] = [[] for _ in bases]
    for values in traits:
        namesakes: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for position, base in enumerate(bases):
            namesakes[base, *chosen[position]].append(position)
        for positions in namesakes.values():
            if len({values[position] for position in positions}) > 1:
                for position in positions:
                    chosen[position].append(values[position])
    return [[trait for trait in traits_of if trait] for traits_of in chosen]


def with_traits(base: str, traits: Sequence[str]) -> str:
    """Append traits in brackets, joining those that the base has already."""
    told = [trait for trait in traits if trait]
    if not told:
        return base
    if base.endswith(")"):
        return f"{base[:-1]}, {', '.join(told)})"
    return f"{base} ({', '.join(told)})"


def _held_against(work: Work) -> list[str]:
    """Against which model: the same figure means another thing beside another one."""
    return [
        clean(f"{role} {who.partition(' (')[0]}")
        for role, who in work.others
        if role in ("reference", "parent")
    ]


def _counts_tokens(metric: str) -> bool:
    """Whether the metric is per token: then only models with one tokenizer are comparable."""
    return metric.startswith("token_")


def _tokenizer(model: ModelRecord) -> str:
    root = clean(model.lineage[0] if model.lineage else model.name)
    digests = [model.files[name] for name in _TOKENIZER_FILES if name in model.files]
    if not digests:
        return f"{root}'s tokenizer"
    return "tokenizer " + hashlib.sha256(repr(digests).encode("utf-8", "replace")).hexdigest()[:8]
