"""Answers to rank: a file with a question a line, its candidate answers, and how each was made.

    {"instruction": "...", "input": "", "output": "the solution", "group": "...",
     "answers": [{"text": "...", "model": "...", "temperature": 0.7, "seed": 0, ...}, ...]}

The columns of the question are LLaMA-Factory's. In a user's own file an answer may be a text.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.errors import DataError
from harness.storage import replacing
from training.data.files import FileRow, read_file
from training.ranking.questions import Question, question_of


@dataclass(frozen=True)
class Candidate:
    """An answer, and all that is known of how it was made: model, temperature, seed."""

    text: str
    made: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Answered:
    """A question with the answers that were given to it."""

    question: Question
    candidates: tuple[Candidate, ...]


def read_answers(paths: Sequence[Path]) -> list[Answered]:
    """The questions of all files, each once, with the answers that any of the files has to it.

    Raises:
        DataError: a file or a row is not as it should be; names file, line and column.
    """
    found: dict[str, Answered] = {}
    for path in paths:
        for row in read_file(path):
            new = _answered(row, path.stem)
            key = new.question.key()
            if key not in found:
                found[key] = new
                continue
            old = found[key]
            solved = old.question if old.question.reference.strip() else new.question
            found[key] = replace(
                old, question=solved, candidates=(*old.candidates, *new.candidates)
            )
    return list(found.values())


def write_answers(path: Path, rows: Iterable[Answered]) -> None:
    """Write a file that `read_answers` reads: whole, or not at all.

    Raises:
        StorageError: it cannot be written.
    """
    with replacing(path) as part, part.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(_columns(row), ensure_ascii=False) + "\n")


def _columns(row: Answered) -> dict[str, Any]:
    return {
        **row.question.columns(),
        "output": row.question.reference,
        "group": row.question.group,
        "answers": [{"text": answer.text, **answer.made} for answer in row.candidates],
    }


def _answered(row: FileRow, source: str) -> Answered:
    answers = row.value("answers")
    if not isinstance(answers, list):
        raise row.error("answers", "is not a list of answers, each a text or an object with text")
    return Answered(
        question_of(row, source),
        tuple(_candidate(row, place, answer) for place, answer in enumerate(answers)),
    )


def _candidate(row: FileRow, place: int, answer: Any) -> Candidate:
    if isinstance(answer, str):
        answer = {"text": answer}
    if not isinstance(answer, dict):
        raise DataError(f"{row.where}: answers[{place}] is neither a text nor an object with text")
    inside = FileRow(f"{row.where}, answers[{place}]", answer)
    text = inside.text("text", may_be_empty=True)
    return Candidate(text, {name: value for name, value in answer.items() if name != "text"})
