"""lm-eval, run directly: its own task index, prompts, model, filters and scores.

Only one thing is put in its way: where it would fetch a data set from the hub it reads the same
files of the data folder, through `datasets`' own JSON reader. Nothing of the harness is used.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import datasets


@dataclass(frozen=True)
class ReferenceDoc:
    """What lm-eval asked about one doc, and what came of it.

    Attributes:
        arguments: one tuple per request, as lm-eval passed it to the model.
        responses: one per request: ``(logprob, is_greedy)``, a log-likelihood, or a text.
        metrics: ``metric`` or ``metric,filter`` to lm-eval's per-doc value.
    """

    arguments: tuple[Any, ...]
    responses: tuple[Any, ...]
    metrics: Mapping[str, Any]


def run_lm_eval(
    model: Any,
    task: str,
    data: Path,
    *,
    limit: int | None,
    samples: dict[str, list[int]] | None,
    num_fewshot: int | None = None,
) -> tuple[list[ReferenceDoc], Mapping[str, Any]]:
    """Run one of lm-eval's tasks (or several subjects, by ``samples``) and collect every doc.

    Args:
        model: a loaded `HFLM`.
        task: lm-eval's name.
        data: the data folder.
        limit: first docs only, or ``None``.
        samples: subject to doc numbers, instead of a limit.
        num_fewshot: instead of the task's own.

    Returns:
        The docs in evaluation order (subject by subject), and lm-eval's aggregated results.
    """
    import lm_eval

    names = list(samples) if samples else [task]
    with _data_from(data):
        results = lm_eval.simple_evaluate(
            model=model,
            tasks=names,
            limit=limit,
            samples=samples,
            num_fewshot=num_fewshot,
            bootstrap_iters=0,
            log_samples=True,
        )
    docs = [doc for name in names for doc in _docs(results["samples"][name])]
    return docs, results["results"]


def _docs(logged: Sequence[Mapping[str, Any]]) -> Iterator[ReferenceDoc]:
    """Put together what lm-eval logs once per filter."""
    by_doc: dict[int, list[Mapping[str, Any]]] = {}
    for sample in logged:
        by_doc.setdefault(sample["doc_id"], []).append(sample)
    for doc_id in sorted(by_doc):
        same = by_doc[doc_id]
        metrics: dict[str, Any] = {}
        for sample in same:
            suffix = "" if sample["filter"] == "none" else f",{sample['filter']}"
            metrics |= {f"{name}{suffix}": sample[name] for name in sample["metrics"]}
        responses = tuple(response[0] for response in same[0]["resps"])
        yield ReferenceDoc(tuple(same[0]["arguments"]), responses, metrics)


@contextmanager
def _data_from(folder: Path) -> Iterator[None]:
    def load_dataset(path: str, name: str | None = None, **_: Any) -> dict[str, Any]:
        place = folder.joinpath(*path.split("/"), name or "default")
        files = {
            file.name.split(".")[0]: str(file)
            for file in sorted(place.iterdir())
            if file.name.endswith((".jsonl", ".jsonl.gz"))
        }
        splits = {
            split: datasets.load_dataset_builder("json", data_files=file)
            for split, file in files.items()
        }
        for builder in splits.values():
            builder.download_and_prepare()
        loaded = {split: builder.as_dataset(split="train") for split, builder in splits.items()}
        # lm-eval reads the train split that a definition names even at 0 shots, and then uses none
        # of it; where the folder has none, any rows will do.
        loaded.setdefault("train", next(iter(loaded.values())))
        return loaded

    with mock.patch.object(datasets, "load_dataset", load_dataset):
        yield
