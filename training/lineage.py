"""Collects what ``lineage.json`` says of a step that was just done."""

from __future__ import annotations

import contextlib
import hashlib
import math
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from harness import __version__, weights
from harness.data_card import DataCard
from harness.environment import cores, processor
from harness.errors import HarnessError
from harness.lineage import Lineage
from harness.recipe import all_options, recipe_id
from harness.sources import Artifact
from harness.storage import expanded
from harness.zoo import ModelSpec, Zoo
from training.data.files import SUFFIXES
from training.data.mixture.built import card_of, rows_file
from training.step import Made

PACKAGES = (
    "torch",
    "transformers",
    "tokenizers",
    "numpy",
    "trl",
    "peft",
    "bitsandbytes",
    "gptqmodel",
    "optimum",
)
"""The packages whose version can change what a step makes."""


def versions() -> dict[str, str]:
    """Those of `PACKAGES` that are installed, with their versions."""
    found: dict[str, str] = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def data_files(options: Mapping[str, Any]) -> dict[str, str]:
    """The files of rows that a recipe's options name and that are here, with their sha256. A
    mixture's is that of the rows which it stands for.
    """
    named = {
        str(value): expanded(value) for value in options.values() if str(value).endswith(SUFFIXES)
    }
    for name in data_cards(options):
        named[name] = rows_file(name)
    found: dict[str, str] = {}
    for name, path in named.items():
        with contextlib.suppress(OSError), path.open("rb") as file:
            found[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def data_cards(options: Mapping[str, Any]) -> dict[str, DataCard]:
    """The card of the mixture that a recipe's ``data`` names, by that name, if it names one that
    was made.
    """
    name = options.get("data")
    if not isinstance(name, str) or name.endswith(SUFFIXES):
        return {}
    with contextlib.suppress(HarnessError):
        card = card_of(name)
        rows_file(name)
        return {name: card} if card is not None else {}
    return {}


def changed_files(lineage: Lineage) -> list[str]:
    """Those of the files that a model learned from that hold something else now."""
    now = data_files(lineage.options)
    return [name for name, was in lineage.data_files.items() if now.get(name, was) != was]


def describe(
    spec: ModelSpec,
    zoo: Zoo,
    parent: Artifact,
    out: Path,
    made: Made,
    learned_from: Mapping[str, str],
    cards: Mapping[str, DataCard],
    seconds: float,
    resumed: bool,
    tell: Callable[[str], None],
) -> Lineage:
    """Everything that is known of a model that was just made.

    Args:
        spec: its entry; it has a step.
        zoo: the registry.
        parent: what it was made from.
        out: the finished files.
        made: what the step reported.
        learned_from: `data_files`, as the step began.
        cards: `data_cards`, likewise.
        seconds: what the step took.
        resumed: whether it was taken up after an interruption.
        tell: told of figures that are no numbers.
    """
    assert spec.step is not None and spec.parent is not None
    options = all_options(spec.step)
    seed = options.get("seed")
    return Lineage(
        model=spec.name,
        recipe_id=recipe_id(spec, zoo),
        kind=spec.step.kind,
        options=options,
        parent=spec.parent,
        parent_weights_id=parent.weights_id,
        parent_bytes=parent.disk_bytes,
        files=weights.digests(out, weights.folder_files(out)),
        packages=versions(),
        seed=seed if isinstance(seed, int) else None,
        seconds=round(seconds, 3),
        when=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=_machine(),
        harness=__version__,
        data=dict(made.data),
        data_files=dict(learned_from),
        figures=_numbers(spec.name, made.figures, tell),
        chosen=dict(made.chosen),
        resumed=resumed,
        cards=dict(cards),
    )


def _numbers(
    model: str, figures: Mapping[str, float], tell: Callable[[str], None]
) -> dict[str, float]:
    """JSON has no NaN, and a record no flag for one: what is undefined is left out, and said."""
    undefined = sorted(name for name, value in figures.items() if not math.isfinite(value))
    if undefined:
        tell(f"{model}: not recorded, because it is no number: {', '.join(undefined)}")
    return {name: float(value) for name, value in figures.items() if name not in undefined}


def _machine() -> str:
    torch = sys.modules.get("torch")  # not imported for this: a step that used it has it loaded
    if torch is not None and torch.cuda.is_available():
        return f"{torch.cuda.get_device_name()}, {processor()}"
    return f"{processor()}, {cores()} cores"
