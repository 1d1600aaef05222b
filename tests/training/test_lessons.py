"""What is learned, masked, held out, and in which order."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from harness.errors import TrainingError, UsageError
from training.data.rows import Message
from training.held_out import hold_out, lay_out, optimizer_steps
from training.room import Demand, Load, make_room
from training.step import Work
from training.tokens import TextEncoder, labelled
from training.tuning import Tuning

WORDS = ["<end>", "<pad>", "Question:", "Answer:", "two", "and", "is", "four", "five"]


@pytest.fixture
def tokenizer() -> Any:
    """Every word is a token: its place in WORDS is its id."""
    words = Tokenizer(models.WordLevel({word: place for place, word in enumerate(WORDS)}))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=words, eos_token="<end>", pad_token="<pad>", unk_token="<pad>"
    )


def test_the_prompt_is_masked_and_the_end_is_learned(tokenizer: Any) -> None:
    """Question: two and two / Answer: is four -> 2 4 5 4 3 | 6 7 and the end, 0.

    In a batch with the shorter answer ``five`` (8 0), the row is padded with 1, which no label asks
    for.
    """
    encoder = TextEncoder(tokenizer, "plain", "test")
    prompt = (Message("user", "two and two"),)
    ids, (answer, short) = encoder.answers(prompt, "is four", "five")
    assert (ids, answer, short) == ([2, 4, 5, 4, 3], [6, 7, 0], [8, 0])
    rows = [labelled(ids, answer, 10, True), labelled(ids, short, 10, True)]
    assert rows[0] == {
        "input_ids": [2, 4, 5, 4, 3, 6, 7, 0],
        "labels": [-100, -100, -100, -100, -100, 6, 7, 0],
    }
    batch = DataCollatorForLanguageModeling(pad_token_id=1)(rows)
    assert batch["input_ids"][1].tolist() == [2, 4, 5, 4, 3, 8, 0, 1]
    assert batch["labels"][1].tolist() == [-100] * 5 + [8, 0, -100]
    assert batch["attention_mask"][1].tolist() == [1] * 7 + [0]


def test_the_prompt_is_learned_where_the_recipe_says_so() -> None:
    row = labelled([2, 4, 3], [7, 0], 10, False)
    assert row == {"input_ids": [2, 4, 3, 7, 0], "labels": [2, 4, 3, 7, 0]}


def test_long_rows_are_cut_from_the_end() -> None:
    assert labelled([2, 4], [6, 7, 0], 4, True) == {
        "input_ids": [2, 4, 6, 7],
        "labels": [-100, -100, 6, 7],
    }
    assert labelled([2, 4, 5, 4], [6, 0], 4, True) is None


def test_a_chat_template_writes_the_special_tokens_itself(tokenizer: Any) -> None:
    """The template's text, and no space before the answer (which would be no token here)."""
    tokenizer.chat_template = (
        "{% for m in messages %}two {{ m['content'] }} {% endfor %}"
        "{% if add_generation_prompt %}Answer: {% endif %}"
    )
    encoder = TextEncoder(tokenizer, "auto", "test")
    ids, (answer,) = encoder.answers((Message("user", "and"),), "is four")
    assert (ids, answer) == ([4, 5, 3], [6, 7, 0])
    tokenizer.chat_template = None
    with pytest.raises(UsageError, match="needs a tokenizer with a chat template"):
        TextEncoder(tokenizer, "chat", "test").answers((Message("user", "and"),), "is four")


def test_the_answers_to_a_prompt_stay_on_one_side() -> None:
    prompts = [f"p{row % 10}" for row in range(100)]
    learned, held = hold_out(prompts, 0.15, 3, "test")
    assert sorted([*learned, *held]) == list(range(100))
    assert not {prompts[row] for row in learned} & {prompts[row] for row in held}
    assert len(held) == 20  # ten rows a prompt: 15 are reached with the second
    assert hold_out(prompts, 0.15, 3, "test") == (learned, held)
    assert hold_out(prompts, 0.15, 4, "test") != (learned, held)
    assert hold_out(prompts, 0.0, 3, "test") == (list(range(100)), [])


def test_nothing_to_learn_from_is_an_error() -> None:
    with pytest.raises(TrainingError, match="holds no row"):
        hold_out([], 0.1, 0, "test")
    with pytest.raises(TrainingError, match="leaves none of 3 rows"):
        hold_out(["same"] * 3, 0.1, 0, "test")


def test_every_epoch_sees_every_row_once() -> None:
    order = lay_out(50, 2.5, 8, 1)
    assert len(order) == 125
    assert sorted(order[:50]) == sorted(order[50:100]) == list(range(50))
    assert order[:50] != order[50:100]
    assert order == lay_out(50, 2.5, 8, 1) != lay_out(50, 2.5, 8, 2)
    assert optimizer_steps(125, 8, 4) == 4  # sixteen batches


def test_rows_of_like_length_are_learned_together() -> None:
    """Rows of 0 to 999 tokens: eight drawn at random would span 780 tokens on average."""
    lengths = [row * 37 % 1000 for row in range(1000)]
    order = lay_out(1000, 1.0, 8, 1, lengths)
    assert Counter(order) == Counter(range(1000))
    spans = [
        max(lengths[row] for row in batch) - min(lengths[row] for row in batch)
        for batch in (order[at : at + 8] for at in range(0, 1000, 8))
    ]
    assert sum(spans) / len(spans) < 120
    firsts = [lengths[order[at]] for at in range(0, 1000, 8)]
    assert firsts != sorted(firsts)


def test_rows_of_like_length_are_those_of_one_epoch() -> None:
    """Forty rows fill two and a half batches; the half goes on into the next epoch."""
    lengths = [row * 37 % 100 for row in range(40)]
    order = lay_out(40, 3.0, 16, 1, lengths)
    assert Counter(order) == {row: 3 for row in range(40)}
    batches = [order[at : at + 16] for at in range(0, 112, 16)]
    assert min(len(set(batch)) for batch in batches) > 12
    assert len(set(order[:32])) == 32
    few = lay_out(5, 4.0, 8, 1, [3, 1, 4, 1, 5])  # an epoch fills no batch
    assert Counter(few) == {row: 4 for row in range(5)}


def tuning(batch_size: int) -> Tuning:
    return Tuning(
        precision="bfloat16",
        template="plain",
        batch_size=batch_size,
        accumulation=2,
        learning_rate=1e-3,
        schedule="cosine",
        warmup_steps=0,
        epochs=1.0,
        max_length=100,
        validation_share=0.0,
        patience=1,
        seed=0,
    )


def test_what_would_fit(work: Work, told: list[str]) -> None:
    """A model without weights of 10 layers, 100 wide, 300 within, in bfloat16, without adapter.

    A token takes 2 * (1600 + 1800) = 6,800 bytes a layer, 68,000 in ten; recomputed, 2 * 100 * 10
    for the layers' inputs and 6,800 for one layer: 8,800. 1,600 tokens take 108.8 MB or
    14.08 MB; beside the reserve of 512 MiB.
    """
    need = Demand(0, 0, 10, 100, 300, 2, False)
    reserve = 512 << 20
    assert need.bytes(1600, False) == reserve + 108_800_000
    assert need.bytes(1600, True) == reserve + 14_080_000
    load = Load(1600, {"accumulation", "method"})
    assert not make_room(need, tuning(16), load, work, free=reserve + 108_800_000)
    assert told == []
    assert make_room(need, tuning(16), load, work, free=reserve + 108_799_999)
    assert "computed twice" in told[0]
    with pytest.raises(TrainingError, match="batch_size: 4 with accumulation: 8 would fit"):
        make_room(need, tuning(16), load, work, free=reserve + 4_000_000)
    with pytest.raises(TrainingError, match="batch_size: 1 with max_length: 50 would fit"):
        make_room(need, tuning(16), load, work, free=reserve + 500_000)
    with pytest.raises(TrainingError, match="Only a smaller parent would fit"):
        make_room(need, tuning(16), load, work, free=reserve)


def test_what_would_fit_is_something_the_recipe_can_say(work: Work) -> None:
    """The model above; 8,800 bytes a token, recomputed.

    Pairs have two sequences: of 16 pairs of 100 tokens a side, one takes 200 tokens, 1.76 MB. In
    half of that, 0.88 MB, fit 100 tokens, which is one pair of 50 a side. KTO takes two rows at a
    time at least: twice that. A batch of 9 by 2 is as many rows as 3 by 6; 4 by 4 is not.
    """
    need = Demand(0, 0, 10, 100, 300, 2, False)
    reserve = 512 << 20

    def refused(load: Load, memory: int, rows: int = 16, **others: Any) -> str:
        with pytest.raises(TrainingError) as error:
            make_room(need, replace(tuning(rows), **others), load, work, free=reserve + memory)
        return str(error.value).split("free. ")[1]

    known = {"accumulation", "method"}
    pairs = Load(3200, known, sequences=2)
    assert refused(pairs, 880_000) == "batch_size: 1 with max_length: 50 would fit"
    marked = Load(3200, known, sequences=2, least=2)
    assert refused(marked, 1_760_000) == "batch_size: 2 with max_length: 50 would fit"
    assert refused(marked, 3_520_000).startswith("batch_size: 2 with accumulation: 16 ")
    nine = "batch_size: 3 with accumulation: 6 would fit"
    assert refused(Load(900, known), 8_800 * 400, rows=9) == nine
    reward = Load(3200, {"batch_size"}, sequences=2)
    assert refused(reward, 3_520_000, method="full") == "batch_size: 2 would fit"
    assert refused(reward, 0, method="full") == "Only a smaller parent would fit"


def test_demand_is_read_off_a_model(tiny_model: Path) -> None:
    """The tiny Llama: 2 layers, 32 wide, 64 within, four bytes a weight."""
    from tests.training.plain import causal
    from training.room import demand

    model = causal(tiny_model)
    need = demand(model, tuning(1))
    assert (need.layers, need.width, need.inner, need.element) == (2, 32, 64, 4)
    assert need.frozen_bytes == 4 * sum(weight.numel() for weight in model.parameters())
