"""Which questions are trained on, and that those held out are others."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from training.data.stem import generate
from training.data.stem.generate import (
    HELD_OUT_ROWS,
    MIXTURES,
    TOPICS,
    examples,
    held_out_items,
    pairs,
    training_items,
)

SAMPLES = Path(__file__).resolve().parents[4] / "tasks" / "samples"


def plain(text: str) -> str:
    return " ".join(re.findall(r"[a-z]+|\d+|[-+*/()]", text.lower()))


def sample_texts() -> Iterator[str]:
    """Questions and contexts of all samples that stand in for a benchmark."""
    for path in SAMPLES.glob("*/*.jsonl"):
        for line in path.read_text("utf-8").split("\n"):
            row = json.loads(line) if line else {}
            yield from (plain(row[name]) for name in ("question", "ctx") if name in row)


@pytest.mark.parametrize("mixture", MIXTURES)
def test_a_mixture_is_large_and_repeats_nothing(mixture: str) -> None:
    questions = [item.problem.question for item in training_items(mixture)]
    assert len(questions) == len({plain(question) for question in questions}) >= 2000


def test_the_default_has_as_much_of_each_topic_and_template() -> None:
    """2,400 questions of seven topics: 342 or 343 each."""
    items = training_items("default")
    assert set(Counter(item.topic for item in items).values()) == {342, 343}
    for name, topic in TOPICS.items():
        used = Counter(item.template for item in items if item.topic == name)
        assert set(used) == {template.__name__ for template in topic.trained}
        assert min(used.values()) >= 30


def test_the_second_mixture_weighs_topics_otherwise() -> None:
    """2,400 / 13: arithmetic and equations three parts, probability and units two."""
    counts = Counter(item.topic for item in training_items("default-b"))
    assert counts["arithmetic"] in (553, 554) and counts["equations"] in (553, 554)
    assert counts["probability"] in (369, 370) and counts["ohm"] in (184, 185)


def test_the_same_seed_gives_the_same_rows() -> None:
    assert training_items("default") == training_items("default")
    assert held_out_items("template") == held_out_items("template")


def test_another_seed_gives_other_rows() -> None:
    """Small numbers repeat; most of the questions are new all the same."""
    first = {item.problem.question for item in training_items("default")}
    other = {item.problem.question for item in training_items("default", seed=5)}
    assert len(first & other) < len(first) / 2


def test_rows_are_shuffled() -> None:
    topics = [item.topic for item in training_items("default")[:100]]
    assert len(set(topics)) == 7
    assert max(Counter(topics).values()) < 40


def test_more_rows_than_there_are_questions_is_refused() -> None:
    with pytest.raises(ValueError, match=r"has only .* different questions, not"):
        training_items("default", rows=10**6)


def test_no_template_is_both_trained_and_held_out() -> None:
    for topic in TOPICS.values():
        assert not set(topic.trained) & set(topic.held_out)
        assert len(topic.held_out) >= 4
    trained = {item.template for item in training_items("default")}
    assert not trained & {item.template for item in held_out_items("template")}


def test_held_out_templates_share_no_wording_with_training() -> None:
    """With their numbers, names and letters set aside, no two questions are alike."""

    def wording(question: str) -> str:
        return re.sub(r"\d+(\.\d+)?|\b[a-z]\b", "#", plain(question))

    trained = {wording(item.problem.question) for name in MIXTURES for item in training_items(name)}
    assert not trained & {wording(item.problem.question) for item in held_out_items("template")}


def test_numbers_beyond_training_are_in_trained_wordings() -> None:
    trained = {template.__name__ for topic in TOPICS.values() for template in topic.trained}
    assert {item.template for item in held_out_items("numbers")} == trained


@pytest.mark.parametrize("which", HELD_OUT_ROWS)
def test_no_held_out_question_is_trained_on(which: generate.HeldOut) -> None:
    trained = {plain(item.problem.question) for name in MIXTURES for item in training_items(name)}
    held_out = [plain(item.problem.question) for item in held_out_items(which)]
    assert len(set(held_out)) == len(held_out) == HELD_OUT_ROWS[which]
    assert not trained & set(held_out)


def test_no_question_is_one_of_the_samples() -> None:
    samples = set(sample_texts())
    assert len(samples) > 300
    items = [*training_items("default"), *training_items("default-b")]
    items += [*held_out_items("template"), *held_out_items("numbers")]
    assert not samples & {plain(item.problem.question) for item in items}


def test_rows_carry_topic_and_kind() -> None:
    items = training_items("default", rows=70)
    (first, *_), (pair, *_) = examples(items), pairs(items)
    assert first.group == items[0].topic
    assert first.prompt[0].role == "user"
    assert first.prompt[0].content == items[0].problem.question
    assert first.answer == items[0].problem.answer == pair.chosen
    assert pair.group in {"operation", "sign", "slip", "copied", "factor"}
