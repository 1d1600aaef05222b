"""What is timed: the works, their targets, and the requests that both sides answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

from harness.catalog import Catalog
from harness.data import DataFolders
from harness.errors import DataError, UnknownName, UsageError
from harness.open_task import TaskContext, spread_limit
from harness.task import Task, lm_eval_group
from harness.types import Doc, GenerateUntil, LogLikelihood, Request, RollingLogLikelihood

T = TypeVar("T")
Kind = Literal["loglikelihood", "loglikelihood_rolling", "generate_until"]

KINDS: Mapping[type[Request], Kind] = {
    LogLikelihood: "loglikelihood",
    RollingLogLikelihood: "loglikelihood_rolling",
    GenerateUntil: "generate_until",
}

GEOMETRIC_MEAN_TARGET = 2.1
GEOMETRIC_MEAN_REACH = 3.5


@dataclass(frozen=True)
class Work:
    """A task with its settings, timed as one piece.

    Attributes:
        name: what the user calls it.
        task: name in the catalog.
        num_fewshot: shots.
        docs: so many, spread evenly over the data, and of every group the same number.
        target: how many times as fast as lm-eval the engine should be.
        memory_target: the engine's peak memory, as a share of lm-eval's, that it should not exceed.
        batch_sizes: lm-eval's, of which the fastest counts.
        groups: groups of the task to draw from; empty for all.
        max_new_tokens: instead of the definition's, for generation.
    """

    name: str
    task: str
    num_fewshot: int
    docs: int
    target: float
    memory_target: float = 1.0
    batch_sizes: tuple[int, ...] = (4, 8, 16)
    groups: tuple[str, ...] = ()
    max_new_tokens: int | None = None


# MMLU has 246 docs a subject on average, all behind the same examples. Some docs of each of the 57
# subjects would share almost nothing, so they come from two. In `smol`'s tokens all of MMLU at 5
# shots, one row per doc, has 6.5 times the tokens that its trie has (612 of examples and 110 of
# question on average); 40 docs of each of these two subjects have 6.3 times.
_SUBJECTS = ("college_computer_science", "professional_accounting")

WORKS: tuple[Work, ...] = (
    Work("hellaswag", "hellaswag", 0, 60, 1.8),
    Work("arc_challenge_25", "arc_challenge", 25, 10, 4.0),
    Work("mmlu_5", "mmlu", 5, 80, 6.0, groups=_SUBJECTS),
    Work("mmlu", "mmlu", 0, 100, 1.2, groups=_SUBJECTS),
    # lm-eval's logits of two full windows do not fit into 24 GiB: one row at a time. Five pages are
    # 5,140 tokens long on average, all 62 are 4,710.
    Work("wikitext2", "wikitext2", 0, 5, 1.0, memory_target=1 / 3, batch_sizes=(1,)),
    Work("gsm8k_5", "gsm8k", 5, 16, 2.0, max_new_tokens=256),
)

GROWTH = Work("growth", "hellaswag", 0, 2_000, 1.0)
GROWTH_DOCS = (250, 500, 1_000, 2_000)
GROWTH_TARGET = 1.05


@dataclass(frozen=True)
class Asked:
    """A work's requests.

    Attributes:
        requests: in evaluation order.
        doc_sizes: how many of them each doc has, in the same order.
    """

    requests: tuple[Request, ...]
    doc_sizes: tuple[int, ...]

    @property
    def kind(self) -> Kind:
        """Of all of them: no task here asks in two ways."""
        return KINDS[type(self.requests[0])]


def choose_works(names: str | None, docs: int | None) -> list[Work]:
    """The works of a comma-separated list (``None``: all), with ``docs`` of each if given.

    Raises:
        UnknownName: a name is none of them.
        UsageError: ``docs`` is not positive.
    """
    if docs is not None and docs < 1:
        raise UsageError(f"--docs {docs}: a whole number, 1 or more")
    by_name = {work.name: work for work in WORKS}
    chosen = list(by_name) if names is None else [part for part in names.split(",") if part]
    for name in chosen:
        if name not in by_name:
            raise UnknownName("work", name, by_name, "the works of the benchmark")
    works = [by_name[name] for name in dict.fromkeys(chosen)]
    return works if docs is None else [replace(work, docs=docs) for work in works]


def ask(work: Work, catalog: Catalog, folders: DataFolders) -> Asked:
    """Build the requests of a work once, as the harness would, for both sides to answer.

    Raises:
        UsageError: the data is not there; the message says which file would serve. (A DataError
            would end with exit code 1, which a benchmark keeps for answers that disagree.)
    """
    task = _declared(work, catalog)
    try:
        opened = task.open(task, TaskContext(folders, work.num_fewshot))
    except DataError as error:
        raise UsageError(str(error)) from None
    chosen = [opened.requests(doc) for doc in _spread(opened.docs, work.docs)]
    requests = tuple(_shortened(request, work) for doc in chosen for request in doc)
    return Asked(requests, tuple(len(doc) for doc in chosen))


def _spread(docs: Sequence[Doc], count: int) -> list[Doc]:
    """So many docs, evenly over each group: the first ones may be of one kind, as HellaSwag's are,
    which are half as long as its mean.
    """
    groups: dict[str | None, list[Doc]] = {}
    for doc in docs:
        groups.setdefault(doc.group, []).append(doc)
    members = list(groups.values())
    counts = spread_limit(count, [len(group) for group in members])
    return [
        group[(2 * number + 1) * len(group) // (2 * taken)]
        for group, taken in zip(members, counts, strict=True)
        for number in range(taken)
    ]


def nested(asked: Asked) -> Asked:
    """The docs in an order whose beginnings are spread evenly too: every eighth, then every fourth,
    and so on. The half of the work is then half of it in every way.
    """
    bits = max(1, (len(asked.doc_sizes) - 1).bit_length())
    order = sorted(range(len(asked.doc_sizes)), key=lambda doc: f"{doc:0{bits}b}"[::-1])
    per_doc = by_doc(asked.requests, asked)
    requests = tuple(request for doc in order for request in per_doc[doc])
    return Asked(requests, tuple(asked.doc_sizes[doc] for doc in order))


def first_docs(asked: Asked, docs: int) -> Asked:
    """The requests of the first docs."""
    sizes = asked.doc_sizes[:docs]
    return Asked(asked.requests[: sum(sizes)], sizes)


def by_doc(values: Sequence[T], asked: Asked) -> list[list[T]]:
    """What belongs to the requests, doc by doc."""
    groups: list[list[T]] = []
    start = 0
    for size in asked.doc_sizes:
        groups.append(list(values[start : start + size]))
        start += size
    return groups


def _declared(work: Work, catalog: Catalog) -> Task:
    task = catalog.task(work.task)
    if not work.groups:
        return task
    by_config = {dataset.config: dataset for dataset in task.datasets}
    return lm_eval_group(
        work.task,
        parts={
            group: (f"{work.task}/default/{work.task}_{group}.yaml", by_config[group])
            for group in work.groups
        },
        primary=task.primary or "acc",
        about=task.about,
    )


def _shortened(request: Request, work: Work) -> Request:
    if isinstance(request, GenerateUntil) and work.max_new_tokens is not None:
        return replace(request, max_new_tokens=work.max_new_tokens)
    return request
