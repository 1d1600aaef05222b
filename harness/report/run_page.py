"""The pages of one run: what was scored and how, the estimates, and the docs to read."""

from __future__ import annotations

import contextlib
import hashlib
import shlex
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from harness.errors import RecordError
from harness.marks import Mark, by_doc, read_marks
from harness.records import Run, TaskResult
from harness.report.beside import Beside, answers_beside
from harness.report.doc_sheets import Contents, DrawnDocs, Sheet
from harness.report.html import render, run_page
from harness.report.ordered_rows import OrderedRows
from harness.report.run_facts import (
    card_facts,
    data_facts,
    groups_of,
    methods,
    metrics_of,
    model_facts,
    noises,
    run_facts,
)
from harness.report.token_borders import Borders
from harness.report.wording import (
    clean,
    counted,
)
from harness.run_folder import RunFolder

SHEET_BYTES = 1_900_000
"""Docs on a page: with its head it stays under 2 MB."""

FIRST_BYTES = 1_500_000
"""Docs on a run's first page, which has more beside them."""

LISTED_BYTES = 300_000
"""Lists of the further pages on the first one."""

PART, TOKENS = " of more", " with tokens"
"""What a run's first page says after its number of pages: these do not show all docs, or where the
tokens begin.
"""

SCRIPTS = ("report.js", "review.js", "pages.js")

KINDS = (
    ("verdict", "right", "right"),
    ("verdict", "wrong", "wrong"),
    ("verdict", "unscored", "unscored"),
    ("verdict", "scored", "no right or wrong"),
    ("turned", "gained", "right here only"),
    ("turned", "lost", "right there only"),
    ("turned", "differs", "another answer, as right"),
)
"""What can be sought on all pages: a list's name, its choice, and its words."""


@dataclass(frozen=True)
class Page:
    """One of the pages that a task's docs are on; ``href`` is empty for the run's first page."""

    href: str
    contents: Contents


@dataclass(frozen=True)
class TaskDocs:
    """One task's section of the first page.

    Attributes:
        result: the task's.
        sheet: its first docs.
        pages: all that its docs are on, the run's first page first.
        notes: what else is to be said of the docs.
    """

    result: TaskResult
    sheet: Sheet = field(default_factory=Sheet)
    pages: tuple[Page, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def kinds(self) -> list[tuple[str, str, str]]:
        """The `KINDS` of which there are docs."""
        return [
            kind for kind in KINDS if any(page.contents.counts.get(kind[1]) for page in self.pages)
        ]

    @property
    def listed(self) -> tuple[Page, ...]:
        """The pages for which a list on the first page has room."""
        row = len(KINDS) * (len(self.pages[-1].href) + 70)
        return self.pages[: max(LISTED_BYTES // row, 2)]


@dataclass(frozen=True)
class _Further:
    """A page after the first one, drawn when it is known whether another follows it."""

    result: TaskResult
    sheet: Sheet
    number: int


def run_pages(
    folder: RunFolder,
    run: Run,
    besides: Mapping[str, Beside] | None = None,
    *,
    whole: bool = True,
    borders: Borders | None = None,
    why: str = "",
) -> Iterator[tuple[str, str]]:
    """Draw a run's pages, each of less than 2 MB, one at a time.

    The first page has the first docs of every task, each further one docs of one task. Only a doc
    that is larger than a page by itself makes one larger: its texts are shortened before.

    Args:
        folder: where the rows are.
        run: what ``folder`` holds, as read.
        besides: whose answers stand beside its own, by task.
        whole: draw all pages; else the first one only, which says how to draw the others.
        borders: finds where tokens begin.
        why: why it is not there.

    Yields:
        Name and content; the run's first page comes last, when all that it leads to is there.
    """
    besides = besides or {}
    marks, torn = _marks(folder)
    parent = next((clean(beside.parent) for beside in besides.values() if beside.run), "")
    shared = {"run": run, "parent": parent, "torn_marks": torn, "no_tokens": why}
    sections: list[TaskDocs] = []
    number, held, part = 1, None, ""
    with contextlib.ExitStack() as files:
        begun = _first_sheets(folder, run, besides, marks, files, borders)
        for result in run.results.values():
            docs, sheet, notes = begun[result.task]
            pages = [Page("", sheet.contents)]
            if docs and docs.more and not whole:
                part = PART
                notes = (_first_docs_only(sheet.contents, result, run), *notes)
            while docs and docs.more and whole:
                if held is not None:
                    yield _further(run, held, shared, last=False)
                number += 1
                held = _Further(result, docs.sheet(SHEET_BYTES), number)
                pages.append(Page(_href(run, number), held.sheet.contents))
            if docs and docs.torn:
                notes = (f"The docs end early: {clean(docs.torn)}.", *notes)
            sections.append(TaskDocs(result, sheet, tuple(pages), notes))
    if held is not None:
        yield _further(run, held, shared, last=True)
    pages_said = {**shared, "pages": f"{number}{part}{TOKENS if borders else ''}"}
    yield run_page(run.id), _first(folder, run, sections, besides, marks, pages_said)


_Begun = tuple[DrawnDocs | None, Sheet, tuple[str, ...]]
"""A task's docs, those of them on the first page, and what is to be said of them."""


def _first_sheets(
    folder: RunFolder,
    run: Run,
    besides: Mapping[str, Beside],
    marks: Sequence[Mark],
    files: contextlib.ExitStack,
    borders: Borders | None,
) -> dict[str, _Begun]:
    """Draw what each task has on the first page. The small ones come first: what they leave of
    their shares is for the large ones.
    """
    begun: dict[str, _Begun] = {}
    room = FIRST_BYTES
    by_size = sorted(run.results.values(), key=lambda each: _size(folder, each.task))
    for done, result in enumerate(by_size):
        beside = besides.get(result.task, Beside("", None))
        notes = [beside.why] if beside.why else []
        try:
            rows = files.enter_context(OrderedRows(folder, result.task))
        except RecordError as error:
            # A run may come without its texts (committed baselines): the figures still stand.
            why = f"The docs of this task cannot be shown: {clean(str(error))}."
            begun[result.task] = (None, Sheet(), (why,))
            continue
        if len(rows.places) != result.docs:
            notes.insert(0, _other_docs(len(rows.places), result))
        answer = files.enter_context(answers_beside(beside, result, rows))
        names = (clean(run.model.name), clean(beside.parent))
        docs = DrawnDocs(rows, result, answer, by_doc(marks, result.task), names, borders)
        sheet = docs.sheet(room // (len(by_size) - done))
        room -= sheet.size
        begun[result.task] = (docs, sheet, tuple(notes))
    return begun


def _other_docs(here: int, result: TaskResult) -> str:
    return (
        f"{here:,} of {counted(result.docs, 'doc')} are here: the file of rows is not whole, or "
        "names a doc twice. The estimates are of all."
    )


def _size(folder: RunFolder, task: str) -> int:
    try:
        return folder.rows_path(task).stat().st_size
    except OSError:
        return 0


def _first_docs_only(shown: Contents, result: TaskResult, run: Run) -> str:
    docs = counted(result.docs, "doc")
    return (
        f"This page shows the first {shown.docs:,} of {docs}, and lists and search see those only. "
        f"`harness report --pages {clean(shlex.quote(run.id))}` draws pages for all."
    )


def _further(
    run: Run, page: _Further, shared: Mapping[str, object], *, last: bool
) -> tuple[str, str]:
    context = {
        **shared,
        "result": page.result,
        "sheet": page.sheet,
        "number": page.number,
        "up": _href(run, 1),
        "previous": _href(run, page.number - 1),
        "next": "" if last else _href(run, page.number + 1),
    }
    return run_page(run.id, page.number), render("run_more.html.j2", context, scripts=SCRIPTS)


def _href(run: Run, number: int) -> str:
    """Address of one of the run's pages on another: quoted, for its name may hold percent signs."""
    return urllib.parse.quote(run_page(run.id, number))


def _first(
    folder: RunFolder,
    run: Run,
    tasks: Sequence[TaskDocs],
    besides: Mapping[str, Beside],
    marks: Sequence[Mark],
    shared: Mapping[str, object],
) -> str:
    context = {
        **shared,
        "beside": drawn_beside(besides),
        "parents_docs": any(task.sheet.contents.beside for task in tasks),
        "many_pages": any(len(task.pages) > 1 for task in tasks),
        "marks": marks,
        "model_facts": [*model_facts(run), *card_facts(folder, run)],
        "run_facts": run_facts(run),
        "data_facts": data_facts(run),
        "sampled": [clean(name) for name, each in run.results.items() if each.on_samples],
        "missing": [clean(task) for task in run.unfinished],
        "methods": methods(run),
        "noises": noises(run),
        "metrics_of": metrics_of,
        "groups_of": groups_of,
        "tasks": tasks,
        "any_docs": any(task.sheet.contents.docs for task in tasks),
    }
    return render("run.html.j2", context, scripts=SCRIPTS)


def drawn_beside(besides: Mapping[str, Beside]) -> str:
    """Name what stands beside a page's docs: a page with something else there is out of date."""
    told = {
        task: beside.run.run.id if beside.run else beside.why for task, beside in besides.items()
    }
    return hashlib.sha256(repr(sorted(told.items())).encode("utf-8", "replace")).hexdigest()[:16]


def _marks(folder: RunFolder) -> tuple[list[Mark], str]:
    """The reviewers' marks, and why there are none if they cannot be read."""
    try:
        return read_marks(folder), ""
    except RecordError as error:
        return [], f"The marks of this run cannot be shown: {clean(str(error))}."
