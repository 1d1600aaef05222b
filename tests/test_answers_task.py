"""Prompts and references: what is asked, how answers are measured, which rows are refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import sacrebleu
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu
from rouge_score.rouge_scorer import RougeScorer

from harness.answers_task import Answered, Measure
from harness.catalog import Catalog, load_catalog
from harness.data import DataFolders, Dataset
from harness.errors import DataError, HarnessError, UsageError
from harness.job import _choices
from harness.metrics.accuracy import mean
from harness.open_task import OpenTask, TaskContext
from harness.overlap_measures import BLEU, ROUGE
from harness.records import Settings
from harness.runner import estimates
from harness.task import Task, answers
from harness.types import Addressed, GenerateUntil, Generation, Response, Reward, Rewarded

ROWS = [
    {"question": f"What is {n} + 1?", "solution": f"{n} + 1 = {n + 1}", "group": group}
    for n, group in enumerate("aaab")
]


def rewards(answered: Answered) -> list[Reward]:
    return [Reward(answered.question, text) for text in (answered.answer, answered.reference)]


def deviation(answered: Answered, responses: Sequence[Response]) -> dict[str, float]:
    own, reference = (each.value for each in responses if isinstance(each, Rewarded))
    return {"reward_deviation": own - reference}


DEVIATION = Measure((mean("reward_deviation"),), deviation, "judge", rewards)


def declared(measures: Sequence[Measure] = (BLEU, ROUGE), **changes: Any) -> Task:
    wording = {"prompt": "Question: {question}\nAnswer:", "reference": "{solution}", **changes}
    data = Dataset("sums", shipped="sums.jsonl")
    return answers("sums", dataset=data, measures=measures, about="sums", **wording)


@pytest.fixture
def open_rows(tmp_path: Path, write_rows: Callable[..., Path]) -> Callable[..., OpenTask]:
    def make(
        rows: Sequence[dict[str, Any]] = ROWS, task: Task | None = None, **settings: Any
    ) -> OpenTask:
        write_rows(tmp_path / "sums.jsonl", rows)
        chosen = task or declared()
        return chosen.open(chosen, TaskContext(DataFolders(tmp_path), **settings))

    return make


def test_a_prompt_is_worded_as_declared(open_rows: Callable[..., OpenTask]) -> None:
    opened = open_rows(task=declared(until=("\n\n",), max_new_tokens=9))
    (request,) = opened.requests(opened.docs[0])
    assert request == GenerateUntil("Question: What is 0 + 1?\nAnswer:", ("\n\n",), 9)
    assert opened.target(opened.docs[0]) == "0 + 1 = 1"
    assert declared().primary == "bleu"


def test_a_chat_model_is_asked_through_its_template(open_rows: Callable[..., OpenTask]) -> None:
    def render(messages: list[dict[str, str]], add_generation_prompt: bool) -> str:
        assert add_generation_prompt
        return f"<{messages[0]['role']}>{messages[0]['content']}<assistant>"

    opened = open_rows(render_chat=render)
    (request,) = opened.requests(opened.docs[0])
    assert isinstance(request, GenerateUntil)
    assert request.context == "<user>Question: What is 0 + 1?\nAnswer:<assistant>"


def test_answers_are_measured_without_the_space_around_them(
    open_rows: Callable[..., OpenTask],
) -> None:
    """Of "0 + 1 = 1", a perfect answer and "0 + 1 = 2": BLEU of both together is sacrebleu's; of
    their words 0, 1, 1 the second shares two of three, rouge1 100 and 66.67.
    """
    opened = open_rows([ROWS[0]] * 2)
    scores = [
        opened.score(doc, [Generation(text)]).values
        for doc, text in zip(opened.docs, [" 0 + 1 = 1\n", " 0 + 1 = 2"], strict=True)
    ]
    samples = {name: [(score[name], None) for score in scores] for name in scores[0]}
    found = estimates(opened.metrics, samples)
    both = sacrebleu.corpus_bleu(["0 + 1 = 1", "0 + 1 = 2"], [["0 + 1 = 1"] * 2]).score
    assert list(found) == ["bleu", "rouge1", "rouge2", "rougeL"]
    assert found["bleu"].value == pytest.approx(both)
    assert [score["rouge1"] for score in scores] == pytest.approx([100, 66.6667], abs=1e-4)


def test_an_empty_answer_is_scored(open_rows: Callable[..., OpenTask]) -> None:
    opened = open_rows()
    score = opened.score(opened.docs[0], [Generation("")])
    assert score.unscored is None
    found = estimates(opened.metrics, {name: [(v, None)] for name, v in score.values.items()})
    assert {estimate.value for estimate in found.values()} == {0.0}


def test_a_judge_is_asked_about_the_answer_and_the_reference(
    open_rows: Callable[..., OpenTask],
) -> None:
    """Two measures with a judge and one without: each gets the responses to its own questions."""
    counted = Measure(
        (mean("counted"),),
        lambda _, responses: {"counted": float(len(responses))},
        judge="other",
        asks=lambda answered: rewards(answered)[:1],
    )
    task = declared([DEVIATION, BLEU, counted])
    assert task.judges == ("judge", "other") and task.primary == "reward_deviation"
    opened = open_rows(task=task)
    doc, answer = opened.docs[0], Generation(" 1 ")
    prompt = "Question: What is 0 + 1?\nAnswer:"
    asked = [
        Addressed("judge", Reward(prompt, "1")),
        Addressed("judge", Reward(prompt, "0 + 1 = 1")),
        Addressed("other", Reward(prompt, "1")),
    ]
    assert opened.follow_up(doc, [answer]) == asked
    score = opened.score(doc, [answer, Rewarded(0.5), Rewarded(2.0), Rewarded(9.0)])
    assert score.values["reward_deviation"] == -1.5 and score.values["counted"] == 1.0


def test_nobody_is_asked_where_no_measure_wants_it(open_rows: Callable[..., OpenTask]) -> None:
    opened = open_rows()
    assert opened.follow_up(opened.docs[0], [Generation("1")]) == []


def test_a_limit_is_spread_over_the_groups(open_rows: Callable[..., OpenTask]) -> None:
    assert [doc.group for doc in open_rows(limit=2).docs] == ["a", "b"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"solution": ""}, r"sums\.jsonl, row 2: solution is empty; leave the row out"),
        ({"solution": " \n"}, r"sums\.jsonl, row 2: solution is empty"),
        ({"question": None}, r"sums\.jsonl, row 2: question is empty"),
    ],
)
def test_an_empty_side_is_refused(
    open_rows: Callable[..., OpenTask], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        open_rows([ROWS[0], {**ROWS[1], **changes}])


def test_a_side_that_is_no_text_is_refused(open_rows: Callable[..., OpenTask]) -> None:
    with pytest.raises(DataError, match="row 1: solution is no text but a list"):
        open_rows([{"question": "q", "solution": ["a"]}])


def test_a_missing_column_is_named(open_rows: Callable[..., OpenTask]) -> None:
    with pytest.raises(DataError, match="the column solution is missing; it has question"):
        open_rows([{"question": "q"}])


def test_few_shot_examples_are_refused(open_rows: Callable[..., OpenTask]) -> None:
    with pytest.raises(UsageError, match="sums takes no few-shot examples"):
        open_rows(num_fewshot=5)


def test_a_number_is_a_text_too(open_rows: Callable[..., OpenTask]) -> None:
    opened = open_rows([{"question": "q", "solution": 4}])
    assert opened.target(opened.docs[0]) == "4"


def test_braces_in_a_row_are_left_alone(open_rows: Callable[..., OpenTask]) -> None:
    opened = open_rows([{"question": "{x} in {solution}?", "solution": "{}"}])
    (request,) = opened.requests(opened.docs[0])
    assert isinstance(request, GenerateUntil)
    assert request.context == "Question: {x} in {solution}?\nAnswer:"


def test_a_brace_left_open_names_the_task_file(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from harness.data import Dataset\nfrom harness.task import answers\n"
        'mine = answers("mine", dataset=Dataset("m"), prompt="{question", reference="{a}",\n'
        '    measures=[], about="")\n'
    )
    with pytest.raises(HarnessError, match=r"mine\.py, line 3: ValueError"):
        load_catalog(tmp_path)


@pytest.mark.parametrize(("asked", "taken"), [(None, 200), (7, 7), (1319, 1319)])
def test_gsm8k_overlap_takes_200_docs_unless_told_otherwise(
    catalog: Catalog, asked: int | None, taken: int
) -> None:
    settings = Settings(("gsm8k_overlap",), None, asked, None, "fake", "auto", None, False)
    ((_, choice),) = _choices(settings, catalog)
    assert choice.limit == taken


def test_gsm8k_overlap_has_both_conventions(catalog: Catalog) -> None:
    """The shipped samples, answered by a part of each worked solution: every figure is its
    package's own, calculator marks and all.
    """
    task = catalog.task("gsm8k_overlap")
    context = TaskContext(DataFolders(catalog.samples, samples_only=True), limit=5)
    opened = task.open(task, context)
    texts = [opened.target(doc)[:80] for doc in opened.docs]
    references = [opened.target(doc) for doc in opened.docs]
    assert any("<<" in reference for reference in references)
    scores = [
        opened.score(doc, [Generation(f" {text}")]).values
        for doc, text in zip(opened.docs, texts, strict=True)
    ]
    samples = {name: [(score[name], None) for score in scores] for name in scores[0]}
    found = {name: each.value for name, each in estimates(opened.metrics, samples).items()}
    assert list(found) == [
        "bleu", "bleu4_char", "rouge1", "rouge2", "rougeL",
        "rouge1_words", "rouge2_words", "rougeL_words",
    ]  # fmt: skip
    texts = [text.strip() for text in texts]
    pairs = list(zip(texts, references, strict=True))
    assert found["bleu"] == pytest.approx(sacrebleu.corpus_bleu(texts, [references]).score)
    smoothing = SmoothingFunction().method3
    chars = [sentence_bleu([list(b)], list(a), smoothing_function=smoothing) for a, b in pairs]
    assert found["bleu4_char"] == pytest.approx(100 * sum(chars) / len(chars))
    scorer = RougeScorer(["rougeL"])
    longest = [scorer.score(b, a)["rougeL"].fmeasure for a, b in pairs]
    assert found["rougeL"] == pytest.approx(100 * sum(longest) / len(longest))
