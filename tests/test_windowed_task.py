"""Token perplexity in windows: which tokens are predicted, and how often."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.catalog import Catalog
from harness.data import DataFolders
from harness.errors import DataError, UsageError
from harness.open_task import OpenTask, TaskContext
from harness.types import RollingLogProb, WindowLogLikelihood


def words(text: str) -> Sequence[int]:
    return [int(word) for word in text.split()]


@pytest.fixture
def open_task(
    catalog: Catalog, tmp_path: Path, write_rows: Callable[..., Path]
) -> Callable[..., OpenTask]:
    """2,500 tokens in 5 lines, for windows of 1,024."""
    lines = [" ".join(str(500 * line + word) for word in range(500)) for line in range(5)]
    path = tmp_path / "Salesforce/wikitext/wikitext-2-raw-v1/test.jsonl"
    write_rows(path, [{"text": line} for line in lines])
    task = catalog.task("wikitext2_token_1024")
    folders = DataFolders(tmp_path, tmp_path)

    def make(**settings: Any) -> OpenTask:
        return task.open(task, TaskContext(folders, tokenize=words, **settings))

    return make


def test_windows_are_disjoint_whole_and_in_order(open_task: Callable[..., OpenTask]) -> None:
    """2,500 tokens hold two windows of 1,024; the last 452 tokens are dropped."""
    opened = open_task()
    asked = [request for doc in opened.docs for request in opened.requests(doc)]
    assert asked == [
        WindowLogLikelihood(tuple(range(1024))),
        WindowLogLikelihood(tuple(range(1024, 2048))),
    ]


def test_the_first_token_of_a_window_is_not_counted(open_task: Callable[..., OpenTask]) -> None:
    """-2,046 nats over 1,023 predicted tokens in each window: exp(2)."""
    opened = open_task()
    scores = [opened.score(doc, [RollingLogProb(-2046.0)]) for doc in opened.docs]
    assert scores[0].values == {"token_perplexity": (-2046.0, 1023.0)}
    (metric,) = opened.metrics
    estimate = metric.estimate([(score.values["token_perplexity"], None) for score in scores])
    assert estimate.value == pytest.approx(math.exp(2))


def test_windows_of_one_page_are_its_cluster(
    catalog: Catalog, tmp_path: Path, write_rows: Callable[..., Path]
) -> None:
    """Two pages of 3 + 1,000 + 5 + 1,992 = 3,000 tokens: the windows that begin at 0, 1,024 and
    2,048 are of the first one, those at 3,072 and 4,096 of the second. A heading begins no page.
    """
    page = [" = 1 = \n", " ".join(["2"] * 1000), " = = 3 = = \n", " ".join(["4"] * 1992)]
    path = tmp_path / "Salesforce/wikitext/wikitext-2-raw-v1/test.jsonl"
    write_rows(path, [{"text": line} for line in (*page, *page)])
    task = catalog.task("wikitext2_token_1024")

    def tokens(text: str) -> Sequence[int]:
        return [0 if word == "=" else int(word) for word in text.split()]

    opened = task.open(task, TaskContext(DataFolders(tmp_path, tmp_path), tokenize=tokens))
    first, *_, last = clusters = [doc.cluster for doc in opened.docs]
    assert clusters == [first, first, first, last, last] and None not in (first, last)
    assert first != last


def test_a_limit_counts_windows(open_task: Callable[..., OpenTask]) -> None:
    assert len(open_task(limit=1).docs) == 1


def test_few_shot_examples_make_no_sense(open_task: Callable[..., OpenTask]) -> None:
    with pytest.raises(UsageError, match="takes no few-shot examples"):
        open_task(num_fewshot=5)


def test_a_text_shorter_than_a_window_is_refused(
    catalog: Catalog, tmp_path: Path, write_rows: Callable[..., Path]
) -> None:
    write_rows(tmp_path / "Salesforce/wikitext/wikitext-2-raw-v1/test.jsonl", [{"text": "1 2 3"}])
    task = catalog.task("wikitext2_token_1024")
    with pytest.raises(DataError, match="3 tokens, not one window of 1024"):
        task.open(task, TaskContext(DataFolders(tmp_path, tmp_path), tokenize=words))
