"""Preference pairs for a step whose data are questions: its parent is asked, and where it is wrong,
the worked solution stands against its answer.
"""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Sequence
from dataclasses import replace

import torch

from harness.backends.backend import LoadOptions, load_backend
from harness.errors import DataError, TrainingError
from harness.final_number_task import STOPS, marked_number
from harness.memory import give_back_free_memory
from harness.types import GenerateUntil, Generation, Unanswered
from training.data import sets
from training.data.formats import read_pairs
from training.data.own_answers import Sample, write_pairs
from training.data.rows import Example, Marked, Pair
from training.data.sets import Loaded
from training.data.template import render
from training.parent import check_parent
from training.step import Work
from training.tokens import load_tokenizer
from training.tuning import Tuning

FILE = "own_answers.jsonl"
TOGETHER = 64
"""Questions that are asked at a time; an interruption loses so many answers at most."""
TEMPERATURE = 0.7
"""Mistakes that the model is likely to make, not its single best guess, and no babble."""
MAX_NEW_TOKENS = 256
"""As lm-eval allows an answer to GSM8K."""
_CALCULATION = re.compile(r"<<[^<>\n]*>>")
"""GSM8K's notes for a calculator. They are taken out of both sides: a parent that never learned to
write them would otherwise learn to, and nothing else.
"""


def pairs(name: str, questions: int, tuning: Tuning, work: Work) -> Loaded[Pair]:
    """Preference pairs of a recipe's ``data``; those of ``gsm8k`` are made here.

    They are written to the step's scratch folder, so that a step that is taken up again learns
    from the same ones, and copied beside the result. The parent is asked once about each
    question; which ones, and what it draws, depends on the seed.

    Args:
        name: of the set, or a path.
        questions: how many the parent is asked, of ``gsm8k``.
        tuning: the recipe: ``template`` words the questions, ``seed`` draws them.
        work: the step.

    Raises:
        DataError: no data, a solution without a final number, or fewer wrong answers than a batch.
        TrainingError: the parent cannot be asked.
    """
    if name != "gsm8k":
        return sets.pairs(name, work.data)
    path = work.scratch / FILE
    if not path.exists():
        check_parent(work)
        asked = _drawn(sets.examples(name, work.data).rows, questions, tuning.seed)
        work.tell(f"{work.name}: asks its parent {len(asked):,} questions of {name}")
        write_pairs(
            asked,
            _sampler(tuning, work),
            path,
            batch=TOGETHER,
            least=tuning.batch_size,
            tell=lambda line: work.tell(f"{work.name}: {line}"),
        )
        give_back_free_memory()
        torch.cuda.empty_cache()  # what training may take is measured next
    shutil.copyfile(path, work.out / FILE)
    return sets.loaded(name, read_pairs(path))


def marked(name: str, questions: int, tuning: Tuning, work: Work) -> Loaded[Marked]:
    """Marked answers of a recipe's ``data``; those of ``gsm8k`` are its pairs taken apart.

    Raises:
        HarnessError: as `pairs`.
    """
    if name != "gsm8k":
        return sets.marked(name, work.data)
    return sets.apart(pairs(name, questions, tuning, work))


def _drawn(rows: Sequence[Example], questions: int, seed: int) -> list[Example]:
    drawn = [
        replace(example, answer=_CALCULATION.sub("", example.answer))
        for example in random.Random(seed).sample(rows, min(questions, len(rows)))
    ]
    for example in drawn:
        if marked_number(example.answer) is None:
            raise DataError(
                "a worked solution of gsm8k does not end in #### <number>, so no answer can be "
                f"checked against it: {example.prompt[-1].content[:60]!r}"
            )
    return drawn


def _sampler(tuning: Tuning, work: Work) -> Sample:
    """Asks the parent, loaded into the harness's engine."""
    tokenizer = load_tokenizer(work)
    backend = load_backend(
        "hf",
        LoadOptions(work.parent, work.tokenizer, trust_remote_code=work.trust_remote_code),
    )

    def sample(examples: Sequence[Example]) -> list[list[str]]:
        prompts = [render(example.prompt, tokenizer, tuning.template) for example in examples]
        questions = backend.encode(
            [
                GenerateUntil(prompt, STOPS, MAX_NEW_TOKENS, TEMPERATURE, repeat=tuning.seed)
                for prompt in prompts
            ]
        )
        texts: list[list[str]] = [[] for _ in examples]
        for answer in backend.answer(questions):
            if isinstance(answer.response, Unanswered):
                raise TrainingError(f"{work.name}: its parent: {answer.response.reason}")
            if isinstance(answer.response, Generation) and not answer.response.truncated:
                texts[answer.index].append(_CALCULATION.sub("", answer.response.text))
        return texts

    return sample
