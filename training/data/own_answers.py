"""Preference pairs of worked solutions and a model's own wrong answers to the same questions.

A model that is asked several times is wrong in its own ways; setting those answers against the
worked solution teaches what it gets wrong itself. The model is not here: whoever samples hands in a
function. Which answers are wrong is checked by their final number.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness.errors import DataError
from harness.final_number_task import marked_number
from harness.report.wording import counted
from harness.storage import explained, write_atomic
from training.data.rows import Example, Pair

Sample = Callable[[Sequence[Example]], Sequence[Sequence[str]]]
"""Samples a model's answers: some texts for each of the examples' prompts, in their order."""

GROUP = "own answer"
RIGHT, UNMARKED = "right", "unmarked"
Outcome = dict[str, Any] | str
"""What came of a question: the row of a pair, `RIGHT`, or `UNMARKED`: no final number."""
_MARKED_LINE = re.compile(r"####[^\n]*")


def wrong_answers(reference: str, texts: Sequence[str]) -> list[str]:
    """The texts that end in another ``#### <number>`` than the reference, each once.

    What follows that line is cut off. A text without one is left out: preferring the solution to
    it would teach the format alone.

    Raises:
        ValueError: the reference itself has no ``#### <number>``.
    """
    right = marked_number(reference)
    if right is None:
        raise ValueError(f"the reference answer has no #### <number>: {reference[-40:]!r}")
    wrong: dict[str, None] = {}
    for text in texts:
        end = _MARKED_LINE.search(text)
        answer = text[: end.end()].strip() if end else ""
        if marked_number(answer) not in (None, right):
            wrong[answer] = None
    return list(wrong)


def pair(example: Example, texts: Sequence[str]) -> Pair | None:
    """The solution and the wrong answer nearest to it in length; ``None`` if none was wrong."""
    wrong = wrong_answers(example.answer, texts)
    if not wrong:
        return None
    rejected = min(wrong, key=lambda answer: abs(len(answer) - len(example.answer)))
    return Pair(example.prompt, example.answer, rejected, GROUP)


def write_pairs(
    examples: Sequence[Example],
    sample: Sample,
    path: Path,
    *,
    batch: int,
    least: int,
    tell: Callable[[str], None],
) -> int:
    """Ask about every example and write the pairs to a .jsonl file that `read_pairs` reads.

    What was asked is kept beside it in ``<path>.part``, so that the same call goes on where an
    interrupted one stopped. The file itself appears when all is done.

    Args:
        examples: questions with worked solutions that end in ``#### <number>``.
        sample: asks the model.
        path: the file to write.
        batch: examples that are asked about at a time.
        least: pairs that are worth writing.
        tell: takes one line for the user after each batch.

    Returns:
        How many pairs there are.

    Raises:
        DataError: what was kept is of other examples, or there are fewer pairs than ``least``;
            told after the first batch where none of its answers has a final number.
        StorageError: a file cannot be written.
    """
    part = path.with_name(f"{path.name}.part")
    found = _kept(part, examples)
    while len(found) < len(examples) and not _hopeless(found):
        asked = examples[len(found) : len(found) + batch]
        new = [_outcome(*each) for each in zip(asked, sample(asked), strict=True)]
        with explained(part), part.open("a", encoding="utf-8") as file:
            file.writelines(_line(row) for row in new)
        found += new
        tell(f"{len(found):,} of {len(examples):,} questions asked: {_counted(found)}")
    rows = [row for row in found if isinstance(row, dict)]
    if len(rows) < least:
        advice = (
            "The model has yet to learn to end with that number: train it by sft on solutions that "
            "do first, such as data: gsm8k"
            if found.count(UNMARKED) > len(found) / 2
            else "Ask more questions"
        )
        raise DataError(
            f"{counted(len(rows), 'pair')} of a solution and a wrong answer, and {least} are "
            f"needed: of {len(found):,} questions, the model answered {_counted(found)}. {advice}"
        )
    write_atomic(path, "".join(map(_line, rows)))
    part.unlink()
    return len(rows)


def _hopeless(found: Sequence[Outcome]) -> bool:
    """Whether a first batch shows that the model never names a number: the rest may be spared."""
    return bool(found) and found.count(UNMARKED) == len(found)


def _kept(part: Path, examples: Sequence[Example]) -> list[Outcome]:
    """The outcomes of an earlier call.

    Begins the file if there is none, and cuts off a line that was torn when the call ended.
    """
    digest = _digest(examples)
    with explained(part):
        if not part.exists():
            part.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(digest + "\n", "utf-8")
        content = part.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if whole != content:
            part.write_bytes(whole)
    first, *lines = whole.decode("utf-8").split("\n")[:-1] or [""]
    if first != digest:
        raise DataError(f"{part} was begun with other questions; remove it to start anew")
    return [json.loads(line) for line in lines]


def _digest(examples: Sequence[Example]) -> str:
    content = json.dumps([asdict(example) for example in examples], ensure_ascii=False)
    return hashlib.sha256(content.encode()).hexdigest()


def _line(row: Outcome) -> str:
    return json.dumps(row, ensure_ascii=False) + "\n"


def _counted(found: Sequence[Outcome]) -> str:
    wrong = sum(isinstance(row, dict) for row in found)
    return (
        f"{wrong:,} wrongly, {found.count(RIGHT):,} rightly, {found.count(UNMARKED):,} without a "
        "number after ####"
    )


def _outcome(example: Example, texts: Sequence[str]) -> Outcome:
    """A pair in TRL's layout, which keeps prompts of several turns; or why there is none."""
    found = pair(example, texts)
    if found is None:
        return RIGHT if any(marked_number(text) is not None for text in texts) else UNMARKED
    return {
        "prompt": [asdict(message) for message in found.prompt],
        "chosen": found.chosen,
        "rejected": found.rejected,
        "group": found.group,
    }
