"""Text for the quantizers that look at what flows through the layers.

Windows of tokens are drawn from one long text, as in the GPTQ paper: from WikiText-2 where it can
be had (its training split, else its validation split: perplexity is measured on the test split), or
from the questions and answers of supervised fine-tuning, which need no network. Some windows at
other places are kept to measure the result with.
"""

from __future__ import annotations

import hashlib
import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from harness.data import DataFolders, Dataset, find, load
from harness.errors import DataError, TrainingError
from training.data.sets import examples
from training.data.template import continuation, render
from training.step import Work

HELD_OUT = 8
"""Windows at most that the result is measured with."""

Window = tuple[int, ...]


@dataclass(frozen=True)
class Calibration:
    """Windows of tokens.

    Attributes:
        name: what the text is, as ``lineage.json`` calls it.
        sha256: of the windows to calibrate on, as JSON.
        windows: those.
        held_out: others, none of which overlaps with them.
    """

    name: str
    sha256: str
    windows: tuple[Window, ...]
    held_out: tuple[Window, ...]


def calibration(
    source: Literal["wikitext2", "sft"],
    texts: int,
    length: int,
    seed: int,
    tokenizer: Any,
    work: Work,
) -> Calibration:
    """Draw windows.

    Args:
        source: ``wikitext2``, which falls back on ``sft`` where neither the user's data folder nor
            the hub has it, and says so; or ``sft``.
        texts: how many.
        length: tokens of each.
        seed: which.
        tokenizer: the parent's.
        work: the step; its data folder may hold the text.

    Raises:
        TrainingError: the text is too short for so many windows.
        DataError: the data folder has WikiText-2, and its file is damaged.
    """
    found = _wikitext(work) if source == "wikitext2" else None
    name, text = found or _examples(tokenizer, work)
    ids: list[int] = tokenizer(text, add_special_tokens=False, verbose=False).input_ids
    drawn, kept = draw(ids, texts, length, seed, name)
    digest = hashlib.sha256(json.dumps(drawn).encode()).hexdigest()
    return Calibration(name, digest, drawn, kept)


def draw(
    ids: list[int], texts: int, length: int, seed: int, name: str
) -> tuple[tuple[Window, ...], tuple[Window, ...]]:
    """Windows to calibrate on and others to measure with: different pieces of the text.

    Raises:
        TrainingError: there are fewer pieces than are wanted.
    """
    pieces = [tuple(ids[at : at + length]) for at in range(0, len(ids) - length + 1, length)]
    if len(pieces) <= texts:
        raise TrainingError(
            f"calibration_texts: {texts} of {length} tokens, and one to measure with, are more "
            f"than {name} has ({len(ids):,} tokens): ask for fewer or shorter ones"
        )
    random.Random(seed).shuffle(pieces)
    return tuple(pieces[:texts]), tuple(pieces[texts : texts + HELD_OUT])


def _wikitext(work: Work) -> tuple[str, str] | None:
    """Name and text of WikiText-2, if it can be had; a damaged file of the user's is an error."""
    folders = DataFolders(Path(), work.data)
    for split in ("train", "validation"):
        dataset = Dataset("Salesforce/wikitext", "wikitext-2-raw-v1", split=split)
        try:
            found = find(dataset, folders)
        except DataError:
            continue
        try:
            rows = load(found)[0][split]
        except DataError:
            if found.origin == "mirror":
                raise  # the user's own file, which would be believed to serve
            continue
        except KeyError:
            continue
        work.tell(f"{work.name}: calibrating on WikiText-2, {split} split")
        return f"Salesforce/wikitext wikitext-2-raw-v1 {split}", "\n\n".join(rows["text"])
    work.tell(
        f"{work.name}: WikiText-2 is in no data folder, and the hub cannot be reached: calibrating "
        "on the shipped questions and answers"
    )
    return None


def _examples(tokenizer: Any, work: Work) -> tuple[str, str]:
    """Name and text of the default set of supervised fine-tuning."""
    rows = examples("default", work.data).rows
    texts = [
        render(row.prompt, tokenizer, "auto") + continuation(row.answer, tokenizer, "auto")
        for row in rows
    ]
    return "sft default", "\n\n".join(texts)
