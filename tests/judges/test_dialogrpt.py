"""DialogRPT: joined as its authors join, marked as a plain forward pass marks, from a pickle."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer, GPT2Config, GPT2ForSequenceClassification

from harness.backends.backend import LoadOptions
from harness.errors import WeightsError
from harness.judge_options import DialogRptJudge, RewardJudge
from harness.judges import load_judge
from harness.presence import presence
from harness.sources import resolve
from harness.types import Resemblance, Reward, Rewarded, Unanswered
from harness.zoo import load_zoo
from tests.conftest import REPOSITORY
from tests.judges.conftest import CONTEXT, asked, load, save

NAMES = ("updown", "human-vs-rand", "depth", "width")
PAIRS = [
    ("I love NLP!", "Here's a free textbook (URL) in case anyone needs it."),
    ("I love NLP!", "Me too!"),
    ("How are you?", ""),
    ("", "pretty good! :)"),
]


def plain(folder: Path, ids: list[int]) -> float:
    """One row through the model as it is saved, and the logistic of its last token's logit."""
    model: Any = GPT2ForSequenceClassification.from_pretrained(folder).eval()
    with torch.no_grad():
        hidden = model.transformer(torch.tensor([ids]))[0]
        logit = float(model.score(hidden)[0, -1, 0])
    return 1 / (1 + math.exp(-logit))


def joined(folder: Path, *turns: str) -> list[int]:
    """Turn, end of text, turn, end of text, answer: with the end's id in place of its text."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids: list[int] = []
    for turn in turns[:-1]:
        ids += [*tokenizer(turn).input_ids, tokenizer.eos_token_id]
    return ids + list(tokenizer(turns[-1]).input_ids)


def test_marks_are_those_of_a_plain_forward_pass(dialog: Path) -> None:
    found = asked(load(dialog, DialogRptJudge()), [Reward(*pair) for pair in PAIRS])
    for pair, one in zip(PAIRS, found, strict=True):
        assert isinstance(one, Rewarded) and 0 < one.value < 1
        assert one.value == pytest.approx(plain(dialog, joined(dialog, *pair)), abs=1e-5)


def test_marks_are_those_of_transformers_own_classifier(dialog: Path) -> None:
    """Which reads, as the authors' page on the hub has it, one text at a time."""
    model: Any = GPT2ForSequenceClassification.from_pretrained(dialog).eval()
    tokenizer = AutoTokenizer.from_pretrained(dialog)
    prompt, response = PAIRS[0]
    ids = tokenizer.encode(f"{prompt}<|endoftext|>{response}", return_tensors="pt")
    with torch.no_grad():
        expected = torch.sigmoid(model(ids).logits)
    (found,) = asked(load(dialog, DialogRptJudge()), [Reward(prompt, response)])
    assert isinstance(found, Rewarded)
    assert found.value == pytest.approx(float(expected), abs=1e-5)


def test_turns_are_stripped_and_the_last_two_are_read(dialog: Path) -> None:
    prompt = " Hello.<|endoftext|>  How are you? <|endoftext|>Fine.\n"
    (question,) = load(dialog, DialogRptJudge()).encode([Reward(prompt, " Good. ")])
    assert list(question.tokens[0]) == joined(dialog, "How are you?", "Fine.", "Good.")


def test_too_long_is_left_unanswered_and_the_rest_stands(dialog: Path) -> None:
    found = asked(load(dialog, DialogRptJudge()), [Reward("Why?", "§" * 200), Reward(*PAIRS[0])])
    assert isinstance(found[0], Unanswered) and isinstance(found[1], Rewarded)
    assert f"the judge reads {CONTEXT} at most" in found[0].reason


def test_a_resemblance_is_refused(dialog: Path) -> None:
    (found,) = asked(load(dialog, DialogRptJudge()), [Resemblance("a", "b")])
    assert isinstance(found, Unanswered)


def test_the_registry_has_the_four() -> None:
    zoo = load_zoo(REPOSITORY / "model_zoo.yaml")
    for name in NAMES:
        spec = zoo.get(f"dialogrpt-{name}")
        assert str(spec.source) == f"hub microsoft/DialogRPT-{name}"
        assert spec.judge == DialogRptJudge()


def test_a_registrys_entry_serves_from_a_models_folder(
    dialog: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the hub holds them: a pickle, with the attention masks that old versions saved."""
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "models" / "microsoft" / "DialogRPT-updown"
    shutil.copytree(dialog, folder)
    (folder / "model.safetensors").unlink()
    state = GPT2ForSequenceClassification.from_pretrained(dialog).state_dict()
    masks = {f"transformer.h.{n}.attn.bias": torch.ones(1, 1, 8, 8).tril() for n in range(2)}
    torch.save({**state, **masks}, folder / "pytorch_model.bin")

    zoo = load_zoo(REPOSITORY / "model_zoo.yaml")
    spec, told = zoo.get("dialogrpt-updown"), list[str]()
    assert presence(spec, zoo, tmp_path / "models").state == "present"
    for _ in range(2):
        artifact = resolve(spec, zoo, tmp_path / "models", told.append)
    assert len(told) == 1 and "weights_only=True" in told[0]
    assert isinstance(spec.judge, DialogRptJudge)
    options = LoadOptions(artifact.path, artifact.tokenizer_path, weights_id=artifact.weights_id)
    (found,) = asked(load_judge(options, spec.judge), [Reward(*PAIRS[0])])
    assert isinstance(found, Rewarded)
    assert found.value == pytest.approx(plain(dialog, joined(dialog, *PAIRS[0])), abs=1e-5)


def test_what_is_no_dialogrpt_is_refused(dialog: Path, rater: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="is a llama; a DialogRPT model is a gpt2"):
        load(rater, DialogRptJudge())
    tokenizer = AutoTokenizer.from_pretrained(rater)
    shape = {"vocab_size": len(tokenizer), "n_embd": 8, "n_layer": 1, "n_head": 1}
    for labels, says in ((1, r"has no token <\|endoftext\|>"), (2, "has 2 outputs; a DialogRPT")):
        model = GPT2ForSequenceClassification(GPT2Config(num_labels=labels, **shape))
        folder = save(model, tokenizer, tmp_path / str(labels))
        with pytest.raises(WeightsError, match=says):
            load(folder, DialogRptJudge())


def test_it_shares_no_journal_with_a_reward_model_of_the_same_weights(dialog: Path) -> None:
    both = [load(dialog, judge).identity for judge in (DialogRptJudge(), RewardJudge("plain"))]
    assert both[0] != both[1]
