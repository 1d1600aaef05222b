"""Tiny random judges of every kind, as Hugging Face folders, and loaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import BertWordPieceTokenizer, ByteLevelBPETokenizer
from tokenizers.processors import BertProcessing
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    GPT2Config,
    GPT2ForSequenceClassification,
    LlamaConfig,
    LlamaForSequenceClassification,
    PreTrainedTokenizerFast,
)

from harness.backends.backend import LoadOptions
from harness.judge_options import BertScoreJudge, DialogRptJudge, JudgeOptions, RewardJudge
from harness.judges import load_judge
from harness.judges.judge import Judge
from harness.types import Request, Resemblance, Response, Reward
from tests.conftest import REPOSITORY

CONTEXT = 128
"""Tokens that every tiny judge reads."""
SHAPE: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": CONTEXT,
    "initializer_range": 0.3,
}


def _texts() -> list[str]:
    return [path.read_text("utf-8") for path in (REPOSITORY / "tasks/samples").glob("*/*.jsonl")]


def _byte_level(**special: str) -> PreTrainedTokenizerFast:
    trained = ByteLevelBPETokenizer()
    trained.train_from_iterator(_texts(), 500, special_tokens=sorted(set(special.values())))
    return PreTrainedTokenizerFast(tokenizer_object=trained._tokenizer, **special)


def save(model: Any, tokenizer: Any, folder: Path) -> Path:
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of three layers."""
    trained = BertWordPieceTokenizer()
    trained.train_from_iterator(_texts(), vocab_size=600, show_progress=False)
    ends = [(name, trained.token_to_id(name)) for name in ("[SEP]", "[CLS]")]
    trained._tokenizer.post_processor = BertProcessing(*ends)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=trained._tokenizer,
        cls_token="[CLS]",
        sep_token="[SEP]",
        pad_token="[PAD]",
        unk_token="[UNK]",
        model_max_length=CONTEXT,
    )
    torch.manual_seed(1)
    model = BertModel(BertConfig(vocab_size=len(tokenizer), **SHAPE))
    return save(model, tokenizer, tmp_path_factory.mktemp("judges") / "encoder")


@pytest.fixture(scope="session")
def rater(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama with one output."""
    tokenizer = _byte_level(bos_token="<s>", eos_token="</s>", pad_token="</s>")
    torch.manual_seed(2)
    config = LlamaConfig(vocab_size=len(tokenizer), num_labels=1, pad_token_id=None, **SHAPE)
    model = LlamaForSequenceClassification(config)
    return save(model, tokenizer, tmp_path_factory.mktemp("judges") / "rater")


@pytest.fixture(scope="session")
def dialog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GPT-2 with one output."""
    tokenizer = _byte_level(eos_token="<|endoftext|>", unk_token="<|endoftext|>")
    torch.manual_seed(3)
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_positions=CONTEXT,
        n_embd=32,
        n_layer=2,
        n_head=4,
        num_labels=1,
        initializer_range=0.3,
    )
    model = GPT2ForSequenceClassification(config)
    return save(model, tokenizer, tmp_path_factory.mktemp("judges") / "dialog")


@pytest.fixture(scope="session")
def pairwise(encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT with one output, which tells the two sides of a pair apart by token types."""
    tokenizer = AutoTokenizer.from_pretrained(encoder)
    torch.manual_seed(5)
    config = BertConfig(vocab_size=len(tokenizer), num_labels=1, **SHAPE)
    model = BertForSequenceClassification(config)
    return save(model, tokenizer, tmp_path_factory.mktemp("judges") / "pairwise")


def load(folder: Path, judge: JudgeOptions, weights_id: str = "w") -> Judge:
    options = LoadOptions(path=folder, tokenizer=folder, weights_id=weights_id)
    return load_judge(options, judge)


def asked(judge: Judge, requests: list[Request]) -> list[Response]:
    """The responses, in the order of the requests."""
    answers = {answer.index: answer.response for answer in judge.answer(judge.encode(requests))}
    assert len(answers) == len(requests)
    return [answers[index] for index in range(len(requests))]


@dataclass(frozen=True)
class Kind:
    """A kind of judge: how a tiny one is loaded, how it is asked, how its marks are read."""

    load: Callable[..., Judge]
    ask: Callable[[str, str], Request]
    numbers: Callable[[Response], tuple[float, ...]]


def _reward_number(response: Response) -> tuple[float, ...]:
    return (response.value,) if hasattr(response, "value") else ()


def _figures(response: Response) -> tuple[float, ...]:
    found = [getattr(response, name, None) for name in ("precision", "recall", "f1")]
    return tuple(figure for figure in found if figure is not None)


@pytest.fixture(params=["bertscore", "dialogrpt", "reward-plain", "reward-pair"])
def kind(
    request: pytest.FixtureRequest, encoder: Path, dialog: Path, rater: Path, pairwise: Path
) -> Kind:
    if request.param == "bertscore":
        return Kind(
            lambda weights_id="w": load(encoder, BertScoreJudge(2), weights_id),
            lambda one, other: Resemblance(one, other),
            _figures,
        )
    if request.param == "dialogrpt":
        return Kind(
            lambda weights_id="w": load(dialog, DialogRptJudge(), weights_id),
            lambda one, other: Reward(one, other),
            _reward_number,
        )
    template: Any = request.param.removeprefix("reward-")
    folder = pairwise if template == "pair" else rater
    return Kind(
        lambda weights_id="w": load(folder, RewardJudge(template), weights_id),
        lambda one, other: Reward(one, other),
        _reward_number,
    )
