"""Reward models: read as they were trained, marked as a plain forward pass marks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from harness.errors import WeightsError
from harness.journal import journal_path
from harness.judge_options import RewardJudge
from harness.types import Reward, Rewarded, Unanswered
from tests.judges.conftest import CONTEXT, SHAPE, asked, load, save
from training.data.rows import Message
from training.tokens import TextEncoder

PAIRS = [
    ("What is force?", "Mass times acceleration."),
    ("Name a planet.", "Jupiter"),
    ("Is it 4?", ""),
    ("Что такое сила?", "It is a push </s>"),
]
CHAT = (
    "{% for m in messages %}<s>{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)


@pytest.fixture
def chatty(rater: Path, tmp_path: Path) -> Path:
    """The rater, with a chat template."""
    tokenizer = AutoTokenizer.from_pretrained(rater)
    tokenizer.chat_template = CHAT
    return save(
        LlamaForSequenceClassification.from_pretrained(rater), tokenizer, tmp_path / "chatty"
    )


@pytest.mark.parametrize("template", ["plain", "chat", "auto"])
def test_a_pair_is_read_as_in_training(chatty: Path, template: Any) -> None:
    encoder = TextEncoder(AutoTokenizer.from_pretrained(chatty), template, "judge")
    questions = load(chatty, RewardJudge(template)).encode([Reward(*pair) for pair in PAIRS])
    for (prompt, response), question in zip(PAIRS, questions, strict=True):
        ids = encoder.whole([Message("user", prompt)], response)
        assert list(question.tokens[0]) == ids
        assert ids[-1] == encoder.tokenizer.eos_token_id


def test_auto_is_the_chat_template_where_there_is_one(rater: Path, chatty: Path) -> None:
    named = [load(folder, RewardJudge("auto")).identity["template"] for folder in (rater, chatty)]
    assert named == ["plain", "chat"]


def test_a_reward_is_that_of_a_plain_forward_pass(rater: Path) -> None:
    model: Any = AutoModelForSequenceClassification.from_pretrained(rater).eval()
    tokenizer = AutoTokenizer.from_pretrained(rater)
    # Without a token to pad with, transformers takes the last token, whatever it is.
    model.config.pad_token_id = tokenizer.pad_token_id
    found = asked(load(rater, RewardJudge("plain")), [Reward(*pair) for pair in PAIRS])
    for (prompt, response), one in zip(PAIRS, found, strict=True):
        ids = tokenizer(f"Question: {prompt}\nAnswer: {response}").input_ids
        ids = ids if ids[-1] == tokenizer.eos_token_id else [*ids, tokenizer.eos_token_id]
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([ids])).logits
        assert isinstance(one, Rewarded)
        assert one.value == pytest.approx(float(logits), abs=1e-5)


def test_a_pair_of_sentences_is_read_with_its_sides(pairwise: Path) -> None:
    """As the model's own tokenizer joins them, token types included."""
    model: Any = AutoModelForSequenceClassification.from_pretrained(pairwise).eval()
    tokenizer = AutoTokenizer.from_pretrained(pairwise)
    found = asked(load(pairwise, RewardJudge()), [Reward(*pair) for pair in PAIRS])
    for pair, one in zip(PAIRS, found, strict=True):
        joined = tokenizer(*pair, return_tensors="pt", return_token_type_ids=True)
        assert set(joined["token_type_ids"][0].tolist()) == ({0, 1} if pair[1] else {0})
        with torch.no_grad():
            logits = model(**joined).logits
        assert isinstance(one, Rewarded)
        assert one.value == pytest.approx(float(logits), abs=1e-5)


def test_too_long_a_pair_is_left_unanswered_and_the_rest_stands(rater: Path) -> None:
    """One token a character at most: 128 of them fit."""
    judge = load(rater, RewardJudge("plain"))
    found = asked(judge, [Reward("Name a planet.", "§" * 200), Reward(*PAIRS[0])])
    assert isinstance(found[0], Unanswered) and isinstance(found[1], Rewarded)
    assert f"the judge reads {CONTEXT} at most" in found[0].reason
    longest = next(
        Reward("", "a " * n) for n in range(200, 0, -1) if _tokens(judge, "a " * n) == CONTEXT
    )
    assert isinstance(asked(judge, [longest])[0], Rewarded)


def test_roberta_reads_two_tokens_less_than_it_has_positions(rater: Path, tmp_path: Path) -> None:
    """Its positions begin behind the padding token's: of 128, with the padding token 1, 126."""
    tokenizer = AutoTokenizer.from_pretrained(rater)
    config = RobertaConfig(vocab_size=len(tokenizer), num_labels=1, pad_token_id=1, **SHAPE)
    model = RobertaForSequenceClassification(config)
    judge = load(save(model, tokenizer, tmp_path / "roberta"), RewardJudge("plain"))
    answers = {n: asked(judge, [Reward("", "a " * n)])[0] for n in range(30, 140)}
    lengths = {n: _tokens(judge, "a " * n) for n in answers}
    assert {126, 127} <= set(lengths.values())
    for n, answer in answers.items():
        assert isinstance(answer, Rewarded) == (lengths[n] <= 126), lengths[n]


def _tokens(judge: Any, response: str) -> int:
    return len(judge.encode([Reward("", response)])[0].tokens[0])


def test_nothing_to_read_is_left_unanswered(rater: Path) -> None:
    """A causal model's tokenizer adds nothing to an empty pair."""
    found = asked(load(rater, RewardJudge("pair")), [Reward("", ""), Reward("a", "b")])
    assert found[0] == Unanswered("prompt and response have no tokens")
    assert isinstance(found[1], Rewarded)


def test_templates_have_journals_of_their_own(chatty: Path, tmp_path: Path) -> None:
    templates: list[Any] = ["plain", "chat", "pair"]
    paths = {journal_path(tmp_path, load(chatty, RewardJudge(t)).identity) for t in templates}
    assert len(paths) == 3


def test_what_is_no_reward_model_is_refused(rater: Path, tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(rater)
    config = {"vocab_size": len(tokenizer), **SHAPE}
    two = LlamaForSequenceClassification(LlamaConfig(num_labels=2, **config))
    with pytest.raises(WeightsError, match="has 2 outputs; a reward model has one"):
        load(save(two, tokenizer, tmp_path / "two"), RewardJudge())
    causal = LlamaForCausalLM(LlamaConfig(num_labels=1, **config))
    with pytest.raises(WeightsError, match=r"is no reward model: it holds no score\.weight"):
        load(save(causal, tokenizer, tmp_path / "causal"), RewardJudge())
    (tmp_path / "two" / "config.json").write_text("{}", "utf-8")
    with pytest.raises(WeightsError, match="cannot be loaded as a reward model"):
        load(tmp_path / "two", RewardJudge())
