"""A task's rows in the task's own order, one at a time: a run may have 100,000 of them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType

import msgspec

from harness.errors import RecordError
from harness.records import Row
from harness.run_folder import RunFolder, rows_in
from harness.storage import UNDECODABLE

SHORTEST_SHARED = 200
"""Characters from which on a beginning is worth showing once."""

MOST_SHARED = 40_000
"""Characters up to which a shared beginning is shown whole."""

_GROUPS = 1_000
"""So many groups' beginnings are looked for: a group of one doc shares nothing with anybody."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a doc is: its number in the task, and which bytes of the file its row has."""

    doc_id: str
    index: int
    at: int
    size: int
    request_digest: str


class OrderedRows:
    """A task's rows, open for reading. A run that is scored again meanwhile does not disturb it.

    Rows lie in the order in which docs were finished. They are all read once, to know where each
    is, and then one by one.

    Args:
        folder: of the run.
        task: one that is finished.

    Attributes:
        places: the docs' ids in the task's order.
        beginnings: for each group of docs (``None`` for docs without), what its prompts begin with.

    Raises:
        RecordError: the rows are missing or damaged, whichever of them.
    """

    def __init__(self, folder: RunFolder, task: str) -> None:
        self._path = folder.rows_path(task)
        self._decoder = msgspec.json.Decoder(Row)
        found: dict[str, Place] = {}
        groups = _Beginnings()
        with contextlib.ExitStack() as opened:
            self._file = opened.enter_context(folder.open_rows(task))
            for at, size, row in rows_in(self._file, self._path, Row):
                found[row.doc_id] = Place(row.doc_id, row.index, at, size, row.request_digest)
                groups.add(row)
            opened.pop_all()  # stays open: a file that is replaced meanwhile is still this one
        self.places = dict(sorted(found.items(), key=lambda item: item[1].index))
        self.beginnings = groups.shared()

    def __enter__(self) -> OrderedRows:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._file.close()

    def __iter__(self) -> Iterator[Row]:
        return map(self.row, self.places.values())

    def row(self, place: Place) -> Row:
        """Read one row; raises RecordError if it is not there any more."""
        lines = self._file.raw  # the buffer would read ahead
        try:
            lines.seek(place.at, os.SEEK_SET)
            row = self._decoder.decode(lines.read(place.size) or b"")
        except (OSError, *UNDECODABLE) as error:
            raise RecordError(f"{self._path} changed while it was read: {error}") from None
        if row.doc_id != place.doc_id:
            raise RecordError(f"{self._path} changed while it was read: doc {place.doc_id} is gone")
        return row


class _Beginnings:
    """What the prompts of each group begin with, as far as all that share anything do."""

    def __init__(self) -> None:
        self._known: dict[str | None, str] = {}
        self._shared: set[str | None] = set()

    def add(self, row: Row) -> None:
        known = self._known.get(row.group)
        if known is None:
            if len(self._known) < _GROUPS:
                self._known[row.group] = row.prompt
        elif row.prompt.startswith(known) and row.group in self._shared:
            return
        elif shared := shared_beginning(known, row.prompt):
            self._known[row.group] = shared
            self._shared.add(row.group)

    def shared(self) -> dict[str | None, str]:
        return {group: self._known[group] for group in self._shared}


def shared_beginning(one: str, other: str) -> str:
    """What two prompts begin with, up to the end of a paragraph; ``""`` if that is not worth it.

    A beginning ends where one of its examples does: a question that begins like the others stays
    whole.
    """
    low, high = 0, min(len(one), len(other), MOST_SHARED)
    while low < high:
        middle = (low + high + 1) // 2
        if one.startswith(other[low:middle], low):
            low = middle
        else:
            high = middle - 1
    for border in ("\n\n", "\n"):
        end = one.rfind(border, 0, low) + len(border)
        if end > SHORTEST_SHARED:
            return one[:end]
    return ""
