"""The two sides of a comparison: rows by the harness, docs by lm-eval, of the same work."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from harness.backends.backend import LoadOptions, load_backend
from harness.catalog import load_catalog
from harness.data import data_folders
from harness.open_task import TaskContext, spread_limit
from harness.progress import open_progress
from harness.records import Row
from harness.run_folder import RunFolder
from harness.runner import PlannedTask, score_task
from harness.storage import write_atomic
from tests.parity.reference import ReferenceDoc, run_lm_eval

LM_EVAL_NAMES = {"wikitext2": "wikitext"}
BATCH = 4
"""Rows at a time: with more, lm-eval in float32 spends its time on gigabytes of logits."""


@dataclass(frozen=True)
class Work:
    """A task with its shots (``None``: its own) and number of docs."""

    task: str
    num_fewshot: int | None
    docs: int

    @property
    def label(self) -> str:
        """As the user writes it, without the docs."""
        return self.task if self.num_fewshot is None else f"{self.task}@{self.num_fewshot}"


def parse_work(text: str, limit: int) -> Work:
    name, _, docs = text.partition("=")
    task, _, shots = name.partition("@")
    return Work(task, int(shots) if shots else None, int(docs) if docs else limit)


class Kept:
    """lm-eval's answers on disk; in a temporary folder unless one is named."""

    def __init__(self, folder: Path | None, model: str) -> None:
        self._scratch = None if folder else tempfile.TemporaryDirectory()
        self._folder = folder or Path(self._scratch.name if self._scratch else "")
        self._model = model

    def path(self, work: Work) -> Path:
        """Where a task's answers are."""
        return self._folder / f"{self._model}-{work.label}-{work.docs}.json"

    def write(self, work: Work, docs: list[ReferenceDoc]) -> None:
        """Keep them."""
        write_atomic(self.path(work), msgspec.json.encode(docs, enc_hook=_plain_number))

    def read(self, work: Work) -> list[ReferenceDoc]:
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


class LazyHflm:
    """lm-eval's model, loaded when the first question needs it."""

    def __init__(self, load: LoadOptions) -> None:
        self._load, self._model = load, None

    def get(self) -> Any:
        """The loaded model."""
        self._model = self._model or _hflm(self._load)
        return self._model


def harness_rows(
    backend_name: str, load: LoadOptions, works: Sequence[Work], data: str
) -> dict[Work, list[Row]]:
    catalog = load_catalog()
    folders = data_folders(catalog.samples, data, False)
    backend = load_backend(backend_name, load)
    rows: dict[Work, list[Row]] = {}
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


def lm_eval_docs(model: Any, work: Work, data: Path) -> list[ReferenceDoc]:
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


def _plain_number(value: Any) -> Any:
    """Numpy's numbers, which some of lm-eval's metrics are."""
    return value.item()
