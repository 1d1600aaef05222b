"""Training data by name or path: what a recipe's ``data`` option says."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Generic, TypeVar

from harness.data import DataFolders, Dataset, FoundData, find, load
from harness.errors import DataError, UnknownName, UsageError
from harness.storage import expanded
from training.data.files import SUFFIXES
from training.data.formats import read_examples, read_marked, read_pairs, taken_apart
from training.data.mixture.built import card_of, is_declared, rows_file
from training.data.mixture.mixtures_file import EMBEDDED, load_mixtures
from training.data.rows import Example, Marked, Message, Pair
from training.data.stem import generate

Row = TypeVar("Row", Example, Pair, Marked)

GSM8K = Dataset("openai/gsm8k", "main", split="train")
NAMES = EMBEDDED


@dataclass(frozen=True)
class Loaded(Generic[Row]):
    """Rows to learn from.

    Attributes:
        rows: in the order of their source; at least one.
        sha256: of the rows as canonical JSON: equal for equal rows, wherever they came from.
        name: as the recipe has it.
    """

    rows: tuple[Row, ...]
    sha256: str
    name: str


def examples(name: str, data: Path | None) -> Loaded[Example]:
    """Prompts with answers to learn.

    Args:
        name: ``default`` or ``default-b`` (generated STEM questions, two weightings of the topics),
            ``gsm8k`` (its training rows), a mixture that was made (``mixture`` or
            ``mixture/split``), or a path to a .json or .jsonl file.
        data: the user's data folder, ``ORG/NAME/CONFIG/SPLIT.jsonl[.gz]``, if there is one.

    Raises:
        UnknownName: there is no such set.
        DataError: a file is missing or not as it should be.
    """
    if name in generate.MIXTURES:
        return loaded(name, generate.examples(generate.training_items(name)))
    if name == "gsm8k":
        return loaded(name, _gsm8k(data))
    return _from_file(name, read_examples)


def pairs(name: str, data: Path | None) -> Loaded[Pair]:
    """Preference pairs: ``default``, ``default-b``, a mixture, or a path.

    Raises:
        UnknownName: there is no such set.
        UsageError: the set has no pairs.
        DataError: a file is missing or not as it should be.
    """
    if name in generate.MIXTURES:
        return loaded(name, generate.pairs(generate.training_items(name)))
    if name == "gsm8k":
        raise UsageError(
            "data: gsm8k has worked solutions, but no wrong answers to set against them: the steps "
            "dpo and kto ask their parent for some, this one does not; learn preferences from "
            "'default', or from a file of pairs, such as the own_answers.jsonl that they leave"
        )
    return _from_file(name, read_pairs)


def marked(name: str, data: Path | None) -> Loaded[Marked]:
    """Answers marked good or bad: pairs taken apart, or a path to a KTO file.

    Raises:
        UnknownName: there is no such set.
        UsageError: the set has no bad answers.
        DataError: a file is missing, not as it should be, or has only answers of one kind.
    """
    if name in NAMES:
        return apart(pairs(name, data))
    found = _from_file(name, read_marked)
    if len({row.good for row in found.rows}) == 1:
        mark = "good" if found.rows[0].good else "bad"
        raise DataError(f"{name}: every answer is marked {mark}; KTO needs both kinds")
    return found


def check_name(name: str, data: Path | None) -> None:
    """Refuse a name that stands for nothing, without reading or fetching any rows.

    Args:
        name: as `examples` takes it.
        data: the user's data folder, if there is one.

    Raises:
        UnknownName: there is no such set.
        DataError: there is no such file; or GSM8K is not here, and the hub cannot be reached.
    """
    if name == "gsm8k":
        _find_gsm8k(data)
    elif name not in NAMES and not rows_path(name).exists():
        raise DataError(f"{rows_path(name)}: no such file")


def rows_path(name: str) -> Path:
    """The file that a path or the name of a mixture stands for; that of a path may be missing.

    Raises:
        UnknownName: it is neither, and no mixture has such a split.
        UsageError: the mixture has several splits, and none is named.
        DataError: the mixture was not made, or its file is not the one that its card describes.
    """
    path = expanded(name)
    if path.suffix in SUFFIXES:
        return path
    if card_of(name) is not None or is_declared(name):
        return rows_file(name)
    if path.name != name:
        return path
    where = f"the embedded sets and mixtures; a file's name ends in {' or '.join(SUFFIXES)}"
    raise UnknownName("training data", name, [*NAMES, *load_mixtures()], where)


def apart(found: Loaded[Pair]) -> Loaded[Marked]:
    """Each pair as a good answer and a bad one."""
    return loaded(found.name, [answer for pair in found.rows for answer in taken_apart(pair)])


def held_out_pairs() -> Loaded[Pair]:
    """Preference pairs on questions of held-out templates; the group is the kind of mistake."""
    return loaded("held-out", generate.pairs(generate.held_out_items("template")))


def loaded(name: str, rows: Sequence[Row]) -> Loaded[Row]:
    """The rows with their digest."""
    content = json.dumps(
        [asdict(row) for row in rows], sort_keys=True, ensure_ascii=False, separators=(",", ":")
    )
    return Loaded(tuple(rows), hashlib.sha256(content.encode()).hexdigest(), name)


def _from_file(name: str, read: Callable[[Path], list[Row]]) -> Loaded[Row]:
    return loaded(name, read(rows_path(name)))


def _find_gsm8k(data: Path | None) -> FoundData:
    return find(GSM8K, DataFolders(Path(), mirror=data))


def _gsm8k(data: Path | None) -> list[Example]:
    splits, _ = load(_find_gsm8k(data))
    rows = splits[GSM8K.split]
    if missing := {"question", "answer"} - set(rows.column_names):
        raise DataError(f"{GSM8K}: the column {', '.join(sorted(missing))} is missing")
    found = []
    for number, row in enumerate(rows, 1):
        if not row["question"] or not row["answer"]:
            raise DataError(f"{GSM8K}, row {number} of {GSM8K.split}: no question or no answer")
        found.append(Example((Message("user", row["question"]),), row["answer"], "gsm8k"))
    return found
