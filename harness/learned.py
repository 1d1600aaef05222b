"""Which mixtures of training data a model and its ancestors learned from, and their cards.

A lineage holds the card of the mixture that its step learned from; a run keeps copies beside its
record, so that a report shows them wherever the run is taken.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Mapping
from pathlib import Path

from harness.data_card import DataCard, card_digest, decode_card, encode_card
from harness.errors import DataError, WeightsError
from harness.lineage import built_folder, read_lineage
from harness.run_folder import CARDS
from harness.storage import write_atomic
from harness.zoo import ModelSpec, Zoo


def learned_from(spec: ModelSpec, zoo: Zoo) -> dict[str, DataCard]:
    """The cards of every step from the root to a model, by what its recipe calls the data."""
    found: dict[str, DataCard] = {}
    for station in zoo.lineage(spec.name):
        if station.step is None:
            continue
        with contextlib.suppress(WeightsError):  # damaged: the step itself is refused elsewhere
            lineage = read_lineage(built_folder(station, zoo), station.name)
            found |= lineage.cards if lineage is not None else {}
    return found


def keep_cards(run: Path, cards: Mapping[str, DataCard]) -> None:
    """Copy cards into a run's folder.

    Raises:
        StorageError: they cannot be written.
    """
    for card in cards.values():
        write_atomic(_path(run, card_digest(card)), encode_card(card))


def keep_cards_of(run: Path, other: Path, digests: Mapping[str, str]) -> None:
    """Copy into a run's folder those of the cards that another run keeps.

    Raises:
        StorageError: they cannot be written.
    """
    found = {name: kept_card(other, digest) for name, digest in digests.items()}
    keep_cards(run, {name: card for name, card in found.items() if card is not None})


def kept_card(run: Path, digest: str) -> DataCard | None:
    """A card that a run keeps; ``None`` where it is not there, or is not the one of that digest: a
    record may come from anybody, and names no other file.
    """
    try:
        content = _path(run, digest).read_bytes()
        same = hashlib.sha256(content).hexdigest() == digest
        return decode_card(content, "") if same else None
    except (OSError, ValueError, DataError):  # ValueError: a path with a null byte
        return None


def _path(run: Path, digest: str) -> Path:
    return run / CARDS / f"{digest[:16]}.json"
