"""Training data by name: what each name stands for, and its digest."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import data
from harness.errors import DataError, UnknownName, UsageError
from training.data.rows import Example, Message
from training.data.sets import examples, held_out_pairs, loaded, marked, pairs

GSM8K = "openai/gsm8k/main/train.jsonl"


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    data._why_no_hub.cache_clear()


def test_the_digest_is_that_of_the_rows() -> None:
    """SHA-256 of the rows as JSON with sorted keys, no spaces, and text as it is."""
    row = Example((Message("user", "2 + 2 = ?"),), "vier: 4 €", "sums")
    text = (
        '[{"answer":"vier: 4 €","group":"sums","prompt":[{"content":"2 + 2 = ?","role":"user"}]}]'
    )
    assert loaded("x", [row]).sha256 == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize("name", ["default", "default-b"])
def test_the_embedded_sets_need_nothing(name: str) -> None:
    found = examples(name, None)
    assert found.name == name
    assert len(found.rows) >= 2000
    assert found.sha256 == examples(name, None).sha256
    assert all(row.answer.rpartition("\n")[2].startswith("#### ") for row in found.rows)


def test_the_two_mixtures_differ() -> None:
    assert examples("default", None).sha256 != examples("default-b", None).sha256


def test_pairs_and_marked_answers_are_of_the_same_questions() -> None:
    """Every pair gives one good answer and one bad one."""
    asked = {row.prompt for row in examples("default", None).rows}
    found, apart = pairs("default", None), marked("default", None)
    assert {pair.prompt for pair in found.rows} <= asked
    assert len(apart.rows) == 2 * len(found.rows)
    assert [row.good for row in apart.rows[:4]] == [True, False, True, False]
    assert (apart.rows[0].answer, apart.rows[1].answer) == (
        found.rows[0].chosen,
        found.rows[0].rejected,
    )


def test_held_out_pairs_are_of_other_questions() -> None:
    asked = {row.prompt for row in examples("default", None).rows}
    assert not asked & {pair.prompt for pair in held_out_pairs().rows}


@pytest.mark.parametrize("zipped", [False, True])
def test_gsm8k_is_read_from_the_data_folder(tmp_path: Path, zipped: bool) -> None:
    rows = [
        {"question": "2 + 2?", "answer": "<<2+2=4>>4\n#### 4"},
        {"question": "1?", "answer": "1"},
    ]
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path = tmp_path / (GSM8K + (".gz" if zipped else ""))
    path.parent.mkdir(parents=True)
    path.write_bytes(gzip.compress(content) if zipped else content)
    found = examples("gsm8k", tmp_path)
    assert found.rows[0] == Example((Message("user", "2 + 2?"),), "<<2+2=4>>4\n#### 4", "gsm8k")
    assert len(found.rows) == 2


def test_gsm8k_without_data_says_which_file_would_serve(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        examples("gsm8k", None)
    assert "no data folder was given" in str(caught.value) and GSM8K in str(caught.value)
    with pytest.raises(DataError, match=f"not in {tmp_path}"):
        examples("gsm8k", tmp_path)


def test_gsm8k_with_only_its_test_split_is_missing(
    tmp_path: Path, write_rows: Callable[..., Path]
) -> None:
    """The test split is for evaluation: it is never taken for training."""
    write_rows(tmp_path / "openai/gsm8k/main/test.jsonl", [{"question": "q", "answer": "1"}])
    with pytest.raises(DataError, match=GSM8K):
        examples("gsm8k", tmp_path)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"question": "2 + 2?"}, "the column answer is missing"),
        ({"question": "2 + 2?", "answer": ""}, "row 1 of train: no question or no answer"),
    ],
)
def test_gsm8k_rows_without_an_answer_are_named(
    tmp_path: Path, write_rows: Callable[..., Path], row: dict[str, str], message: str
) -> None:
    write_rows(tmp_path / GSM8K, [row])
    with pytest.raises(DataError, match=message):
        examples("gsm8k", tmp_path)


def test_gsm8k_has_no_pairs_of_its_own() -> None:
    with pytest.raises(UsageError, match="no wrong answers to set against them"):
        pairs("gsm8k", None)
    with pytest.raises(UsageError, match="no wrong answers to set against them"):
        marked("gsm8k", None)


def test_a_file_is_named_by_its_path(tmp_path: Path, write_rows: Callable[..., Path]) -> None:
    path = write_rows(tmp_path / "mine.jsonl", [{"prompt": "a", "chosen": "b", "rejected": "c"}])
    found = pairs(str(path), None)
    assert found.name == str(path) and found.rows[0].group == "mine"
    assert len(marked(str(path), None).rows) == 2


def test_equal_rows_have_equal_digests_whatever_the_format(
    tmp_path: Path, write_rows: Callable[..., Path]
) -> None:
    alpaca = write_rows(tmp_path / "a" / "m.jsonl", [{"instruction": "q", "output": "a"}])
    said = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    chat = write_rows(tmp_path / "b" / "m.jsonl", [{"messages": said}])
    assert examples(str(alpaca), None).sha256 == examples(str(chat), None).sha256


@pytest.mark.parametrize("read", [examples, pairs, marked])
def test_an_unknown_name_suggests_what_was_meant(read: Callable[..., object]) -> None:
    with pytest.raises(
        UnknownName, match=r"unknown training data 'defualt': did you mean 'default'"
    ):
        read("defualt", None)


@pytest.mark.parametrize("name", ["missing.jsonl", "./missing.json", "no/such/folder/file.jsonl"])
def test_a_path_that_is_not_there_is_named(name: str) -> None:
    with pytest.raises(DataError, match="no such file"):
        examples(name, None)


def test_a_path_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"ends in \.json or \.jsonl"):
        examples(str(tmp_path / "rows.csv"), None)


def test_kto_needs_both_marks(tmp_path: Path, write_rows: Callable[..., Path]) -> None:
    rows = [{"prompt": "a", "completion": text, "label": False} for text in "bc"]
    path = write_rows(tmp_path / "bad.jsonl", rows)
    with pytest.raises(DataError, match="every answer is marked bad; KTO needs both kinds"):
        marked(str(path), None)
