"""A task's docs drawn one after another and cut into sheets of bounded size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from harness.errors import RecordError
from harness.marks import Mark
from harness.records import Row, TaskResult
from harness.report.docs import ShownDoc, shown_doc
from harness.report.html import anchor, macro
from harness.report.ordered_rows import OrderedRows
from harness.report.token_borders import Borders, written

Answer = Callable[[Row], ShownDoc | None]


@dataclass(frozen=True, slots=True)
class DrawnDoc:
    """A doc as markup, and what an index says of it.

    Attributes:
        drawn: the doc.
        beginning: anchor and markup of what its prompt begins with, which a sheet holds once.
        index: its number in the task.
        verdict, turned: as in `harness.report.docs.ShownDoc`.
        beside: whether another run's answer is with it.
    """

    drawn: Markup
    beginning: tuple[str, Markup] | None
    index: int
    verdict: str
    turned: str
    beside: bool


@dataclass(frozen=True, slots=True)
class DrawnTokens:
    """Where a prompt's tokens begin, as `harness.report.token_borders.written` writes it.

    Attributes:
        count: how many there are.
        before: names of those without a text that are put before it.
        own: places in what is not shared.
        shared: places in what is, if they are not those of the beginning by itself; else empty.
    """

    count: int
    before: tuple[str, ...]
    own: str
    shared: str


@dataclass(frozen=True)
class Contents:
    """What an index says of a sheet.

    Attributes:
        docs: how many it has.
        first, last: their numbers in the task; 0 where there are none.
        counts: how many there are of each verdict, and of each way of being turned.
        beside: whether another run's answers are with any.
    """

    docs: int = 0
    first: int = 0
    last: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    beside: bool = False


@dataclass(frozen=True)
class Sheet:
    """Docs of one task that stand on one page.

    Attributes:
        drawn: the docs, with each shared beginning before the first that needs it.
        size: bytes of it.
        contents: what it has.
    """

    drawn: Markup = field(default_factory=Markup)
    size: int = 0
    contents: Contents = Contents()


class DrawnDocs:
    """A task's docs in its order, drawn as they are asked for.

    Args:
        rows: the task's.
        result: the task's.
        answer: finds the parent's answer to a row's prompt.
        marks: what reviewers said, by the docs' ids.
        names: of the run's model and of its parent.
        borders: finds where tokens begin, where that is wanted.

    Attributes:
        torn: why no further doc could be read, ``""`` as long as all could.
    """

    def __init__(
        self,
        rows: OrderedRows,
        result: TaskResult,
        answer: Answer,
        marks: Mapping[str, Sequence[Mark]],
        names: tuple[str, str],
        borders: Borders | None = None,
    ) -> None:
        self._rows, self._result, self._answer = rows, result, answer
        self._marks, self._names, self._borders = marks, names, borders
        self._shared: dict[str | None, tuple[int, ...]] = {}
        self.torn = ""
        self._drawn = self._all()
        self._next = next(self._drawn, None)

    @property
    def more(self) -> bool:
        """Whether a doc is left."""
        return self._next is not None

    def sheet(self, room: int) -> Sheet:
        """Take the next docs, as many as fit into ``room`` bytes, at least one if any is left."""
        parts: list[Markup] = []
        begun: set[str] = set()
        counts: Counter[str] = Counter()
        size = docs = first = last = 0
        beside = False
        while (doc := self._next) is not None:
            new = [doc.drawn]
            if doc.beginning is not None and doc.beginning[0] not in begun:
                new.insert(0, doc.beginning[1])
            adding = sum(map(_bytes, new))
            if parts and size + adding > room:
                break
            if doc.beginning is not None:
                begun.add(doc.beginning[0])
            parts += new
            size += adding
            first = first if docs else doc.index
            docs, last, beside = docs + 1, doc.index, beside or doc.beside
            counts[doc.verdict] += 1
            counts[doc.turned] += 1
            self._next = next(self._drawn, None)
        return Sheet(Markup("").join(parts), size, Contents(docs, first, last, counts, beside))

    def _all(self) -> Iterator[DrawnDoc]:
        draw, place = macro("docs.html.j2", "doc_item"), anchor(self._result.task)
        beginnings = self._beginnings(place)
        for row in self._readable():
            doc = self._shown(row)
            beginning = beginnings[row.group] if doc.shared else None
            begins = beginning[0] if beginning else ""
            tokens = self._tokens(row, doc)
            drawn = draw(doc, place, begins, *self._names, tokens)
            yield DrawnDoc(
                drawn, beginning, doc.index, doc.verdict, doc.turned, doc.beside is not None
            )

    def _readable(self) -> Iterator[Row]:
        """The rows, as far as they can be read: the other tasks' docs do not hang on them."""
        try:
            yield from self._rows
        except RecordError as error:
            self.torn = str(error)

    def _shown(self, row: Row) -> ShownDoc:
        """A doc with what was said of it, and the parent's answer beside it."""
        return shown_doc(
            row,
            self._result,
            self._marks.get(row.doc_id, ()),
            self._rows.beginnings.get(row.group, ""),
            self._answer(row),
        )

    def _beginnings(self, place: str) -> dict[str | None, tuple[str, Markup]]:
        draw = macro("docs.html.j2", "beginning")
        return {
            group: (
                name := f"{place}.begin-{number}",
                draw(name, text, group, written(self._borders_of(group))),
            )
            for number, (group, text) in enumerate(self._rows.beginnings.items())
        }

    def _tokens(self, row: Row, doc: ShownDoc) -> DrawnTokens | None:
        """Where the tokens of a prompt begin, if it is shown whole."""
        if self._borders is None or doc.prompt.cut or not row.prompt:
            return None
        cut = self._borders.of(row)
        shared = tuple(at for at in cut.begins if at < doc.shared)
        own = [at - doc.shared for at in cut.begins[len(shared) :]]
        alike = not shared or shared == self._borders_of(row.group)
        return DrawnTokens(
            len(cut.begins), cut.before, written(own), "" if alike else written(shared)
        )

    def _borders_of(self, group: str | None) -> tuple[int, ...]:
        """Where the tokens of a shared beginning begin."""
        if self._borders is None:
            return ()
        if group not in self._shared:
            self._shared[group] = self._borders.of_text(self._rows.beginnings[group]).begins
        return self._shared[group]


def _bytes(drawn: Markup) -> int:
    return len(drawn) if drawn.isascii() else len(drawn.encode())
