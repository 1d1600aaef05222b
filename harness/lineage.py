"""Where a model that a step makes is kept, and the ``lineage.json`` that says how it was made.

`harness-train` writes that file last, into a folder that is then moved to its place: what has no
readable one is not built. The folder is named by the recipe, so that a changed recipe never finds
what another one made.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from harness.checkout import how_to_train
from harness.data_card import DataCard
from harness.errors import WeightsError
from harness.prepared import cache_folder
from harness.recipe import SHORT, recipe_id
from harness.storage import UNDECODABLE, write_atomic
from harness.zoo import ModelSpec, Zoo

FILE = "lineage.json"
SCHEMA = 1


@dataclass(frozen=True)
class Lineage:
    """How a model was made.

    Attributes:
        model: its name when it was made.
        recipe_id: of the whole walk from the root; see `harness.recipe`.
        kind: the last step's.
        options: all of its options, defaults too.
        parent: the parent's name.
        parent_weights_id, parent_bytes: identity and size of the parent's files.
        files: file name to sha256: what the step left.
        data: name to sha256 of what was learned from or calibrated on.
        data_files: file that an option names to the sha256 of its bytes, as the step began.
        cards: mixture that an option names to its data card.
        figures: the step's own numbers: losses, reward accuracy, bytes.
        chosen: options that the recipe left to the step, as they were picked.
        packages: versions of what computed it.
        seed: ``None`` for a step that has none.
        seconds: what the step took; where ``resumed``, only since it was taken up again.
        resumed: whether it was interrupted and taken up again.
        when: the end of the step, in UTC.
        machine: processor or accelerator, in words.
        harness: version of this harness.
    """

    model: str
    recipe_id: str
    kind: str
    options: Mapping[str, Any]
    parent: str
    parent_weights_id: str
    parent_bytes: int
    files: Mapping[str, str]
    packages: Mapping[str, str]
    seed: int | None
    seconds: float
    when: str
    machine: str
    harness: str
    data: Mapping[str, str] = field(default_factory=dict)
    data_files: Mapping[str, str] = field(default_factory=dict)
    figures: Mapping[str, float] = field(default_factory=dict)
    chosen: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    resumed: bool = False
    cards: Mapping[str, DataCard] = field(default_factory=dict)
    schema: int = SCHEMA


def built_folder(spec: ModelSpec, zoo: Zoo) -> Path:
    """Where `harness-train` puts what the model's present recipe makes."""
    return artifacts_folder() / spec.name / recipe_id(spec, zoo)[:SHORT]


def artifacts_folder() -> Path:
    """Where all that is built lies: ``<model>/<recipe>/``."""
    return cache_folder() / "artifacts"


def other_recipes(spec: ModelSpec, zoo: Zoo) -> list[Path]:
    """Folders of what other recipes made under this name: an earlier state of the registry."""
    present = built_folder(spec, zoo)
    return [
        path.parent
        for path in sorted(present.parent.glob(f"[0-9a-f]*/{FILE}"))
        if path.parent != present
    ]


def past_lineages() -> list[Lineage]:
    """What was ever built here and is still kept, oldest first; damaged ones are left out."""
    found: list[Lineage] = []
    for path in artifacts_folder().glob(f"[a-z0-9]*/[0-9a-f]*/{FILE}"):
        with contextlib.suppress(WeightsError):
            if (lineage := read_lineage(path.parent, path.parent.parent.name)) is not None:
                found.append(lineage)
    return sorted(found, key=lambda lineage: lineage.when)


def read_lineage(folder: Path, model: str) -> Lineage | None:
    """Read what was written beside the weights; ``None`` where nothing was built.

    Raises:
        WeightsError: the file is damaged, or of another version.
    """
    path = folder / FILE
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise WeightsError(f"{model}: {path} cannot be read: {error.strerror or error}") from None
    try:
        schema = msgspec.json.decode(content, type=dict[str, Any]).get("schema")
        if schema != SCHEMA:
            raise WeightsError(
                f"{model}: {path} has schema {schema!r}, this version reads {SCHEMA}: it counts as "
                f"not built. `{how_to_train(model)}` builds it again"
            )
        return msgspec.json.decode(content, type=Lineage)
    except UNDECODABLE as error:
        raise WeightsError(
            f"{model}: {path} is damaged ({error}): it counts as not built. "
            f"`{how_to_train(model)}` builds it again"
        ) from None


def write_lineage(folder: Path, lineage: Lineage) -> None:
    """Write it beside the weights, whole or not at all, and sync it to the disk.

    Raises:
        StorageError: it cannot be written.
    """
    content = msgspec.json.format(msgspec.json.encode(lineage), indent=2)
    write_atomic(folder / FILE, content + b"\n")
