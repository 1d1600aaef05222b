"""A data card in words: a sentence and tables, which a page and its Markdown twin draw alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise

from harness.data_card import DataCard, Lengths, SourceCard, Stage, Tested
from harness.report.method_tables import Cell, Table
from harness.report.wording import clean, counted, listed, short_digest

RULES: Mapping[str, str] = {
    "not wanted": "of a kind that the mixture does not take",
    "encoding": "not UTF-8",
    "not JSON": "not JSON, cut off, or with a value that cannot be read",
    "too large": "more than 16 MiB: passed over unread",
    "malformed": "not in the layout of its source",
    "empty": "an empty question or answer",
    "identical": "chosen and rejected say the same",
    "tie": "neither answer is the better one",
    "too close": "no two answers whose scores are far enough apart",
    "sides diverge": "the transcripts differ before their last answers",
    "too long": "longer than the mixture allows",
    "personal data": "personal data of a kind that is not kept",
    "contaminated": "shares words with a test doc",
    "duplicate": "the same text as a row that was taken",
    "near-duplicate": "nearly the text of a row that was taken",
    "equal share": "more than the source of its share that has fewest",
    "spare": "drawn to stand in for dropped rows, and not needed",
}
"""Every rule by which something is left out, in words."""


def title(card: DataCard) -> str:
    """What the page is called."""
    return f"Training data: {clean(card.mixture)}"


def headline(card: DataCard) -> str:
    """What there is, of how much, and whether it is clean, in one or two sentences."""
    found = card.drops.get("contaminated", 0)
    held = f"{sum(source.rows for source in card.sources):,} rows"
    said = f"{card.rows:,} {card.kind} from {counted(len(card.sources), 'source')}, " + (
        f"which hold {held}." if card.limit is None else f"of which {held} were looked at."
    )
    if card.decontamination is None:
        return f"{said} They were not held against any test docs."
    tests = card.decontamination.tests
    docs = sum(test.docs for test in tests)
    return (
        f"{said} None shares {card.decontamination.ngram} words in a row with any of {docs:,} test "
        f"docs of {counted(len(tests), 'task')}: {found:,} that did "
        f"{'was' if found == 1 else 'were'} dropped."
    )


def cautions(card: DataCard) -> list[str]:
    """What a reader must not overlook."""
    found = []
    if card.limit is not None:
        found.append(
            f"A trial: only the first {counted(card.limit, 'row')} of each source were read."
        )
    if card.decontamination is not None:
        found += [
            f"Not held against {clean(task)}: {clean(why)}."
            for task, why in card.decontamination.unchecked.items()
        ]
        parts = [test.task for test in card.decontamination.tests if "samples" in test.origin]
        if parts:
            found.append(
                f"Of {listed([clean(task) for task in parts])}, only the shipped samples were "
                "at hand: the other test docs were not looked for."
            )
        found += [line for test in card.decontamination.tests if (line := _short(test))]
    unknown = [source.name for source in card.sources if source.licence == "unknown"]
    if unknown:
        found.append(
            f"Licence not known: {listed([clean(name) for name in unknown])}. Nobody has permitted "
            "any use of these rows."
        )
    return [*found, *map(clean, card.notes)]


def _short(test: Tested) -> str:
    """What of a task's docs is looked for less than thoroughly; empty for nothing."""
    found = []
    if test.as_sentence:
        found.append(f"{test.as_sentence:,} only where the question is a sentence of its own")
    if test.with_choices:
        found.append(f"{test.with_choices:,} at most where its choices follow it in their order")
    if not found:
        return ""
    return (
        f"Of {test.docs:,} test docs of {clean(test.task)}, some have a question of few words: "
        f"{', '.join(found)}."
    )


def card_tables(card: DataCard) -> list[Table]:
    """The tables with anything in them, in the order of the page."""
    found = [
        _splits(card),
        _sources(card),
        _stages(card),
        _drops(card),
        _tests(card),
        _masked(card),
        _settings(card),
        _files(card),
        _examples(card),
    ]
    return [table for table in found if table.rows]


def length_lines(lengths: Lengths) -> list[tuple[str, int]]:
    """Each bin in words, with its count; empty bins at the ends are left out."""
    labels = [f"{begin:,} to {end - 1:,}" for begin, end in pairwise(lengths.edges)]
    labels.append(f"{lengths.edges[-1]:,} or more")
    filled = [place for place, count in enumerate(lengths.counts) if count]
    if not filled:
        return []
    part = slice(filled[0], filled[-1] + 1)
    return list(zip(labels[part], lengths.counts[part], strict=True))


def _splits(card: DataCard) -> Table:
    return Table(
        "splits",
        "Splits",
        "By question: a question is in one split only, whatever its answers are.",
        "split",
        ("Split", "Share", "Rows", "Questions", "sha256"),
        tuple(
            (
                Cell(split.name),
                Cell(f"{split.percent} %"),
                Cell(f"{split.rows:,}"),
                Cell(f"{split.questions:,}"),
                Cell(short_digest(split.sha256), code=True),
            )
            for split in card.splits
        ),
    )


def _sources(card: DataCard) -> Table:
    return Table(
        "sources",
        "Sources",
        f"Taken counts {card.kind}; one row of a source can give several.",
        "source",
        ("Source", "Where", "Licence", "Rows there", "Asked for", "Drawn", "Dropped", "Taken"),
        tuple(
            (
                Cell(source.name),
                Cell(_where(source)),
                Cell(source.licence),
                Cell(f"{source.rows:,}"),
                Cell("all" if source.at_most is None else f"{source.at_most:,}"),
                Cell(f"{source.drawn:,}"),
                Cell(f"{_dropped(source):,}"),
                Cell(f"{source.taken:,}"),
            )
            for source in card.sources
        ),
    )


def _where(source: SourceCard) -> str:
    return source.place + (f" at {source.commit[:8]}" if source.commit else "")


def _dropped(source: SourceCard) -> int:
    """What was left out for a reason of its own."""
    return sum(count for rule, count in source.dropped.items() if rule != "spare")


def _stages(card: DataCard) -> Table:
    return Table(
        "stages",
        "Stages",
        "What goes into each stage and comes out of it.",
        "stage",
        ("Stage", "In", "Out", "Left out"),
        tuple(
            (
                Cell(stage.name),
                Cell(f"{stage.went_in:,} {stage.unit_in}"),
                Cell(f"{stage.came_out:,} {stage.unit_out}"),
                Cell(_left_out(stage)),
            )
            for stage in card.stages
        ),
    )


def _left_out(stage: Stage) -> str:
    said = [f"{count:,} {rule}" for rule, count in stage.dropped.items()]
    return "; ".join([*said, *([stage.note] if stage.note else [])]) or "none"


def _drops(card: DataCard) -> Table:
    sources = [source for source in card.sources if source.dropped]
    return Table(
        "drops",
        "Left out, by rule",
        "",
        "rule",
        ("Rule", "What it means", "Count", "By source"),
        tuple(
            (
                Cell(rule),
                Cell(RULES.get(rule, "")),
                Cell(f"{count:,}"),
                Cell(
                    ", ".join(
                        f"{source.name} {source.dropped[rule]:,}"
                        for source in sources
                        if rule in source.dropped
                    )
                ),
            )
            for rule, count in card.drops.items()
        ),
    )


def _tests(card: DataCard) -> Table:
    tests = card.decontamination.tests if card.decontamination else ()
    return Table(
        "tests",
        "Test docs",
        f"What no row may share {card.decontamination.ngram} words in a row with; a shorter "
        "question is looked for whole."
        if card.decontamination
        else "",
        "task",
        ("Task", "Docs", "Read from", "Rows dropped"),
        tuple(
            (Cell(test.task), Cell(f"{test.docs:,}"), Cell(test.origin), Cell(f"{test.found:,}"))
            for test in tests
        ),
    )


def _masked(card: DataCard) -> Table:
    return Table(
        "masked",
        "Personal data masked",
        "In the drawn rows; a mask names the kind, such as [email].",
        "kind",
        ("Kind", "Masked"),
        tuple((Cell(kind), Cell(f"{count:,}")) for kind, count in card.masked.items()),
    )


def _settings(card: DataCard) -> Table:
    pairs = {"use": card.use, **card.settings, **card.versions}
    return Table(
        "settings",
        "Declared",
        "",
        "setting",
        ("Setting", "Value"),
        _lines(pairs.items()),
    )


def _files(card: DataCard) -> Table:
    tests = card.decontamination.tests if card.decontamination else ()
    files = [
        (f"{source.place} ({name})", digest)
        for source in card.sources
        for name, digest in source.files.items()
    ]
    files += [
        (f"{test.task}: {name}", digest) for test in tests for name, digest in test.files.items()
    ]
    return Table(
        "files",
        "Files",
        "Sources and test docs, with the sha256 of each file.",
        "file",
        ("File", "sha256"),
        tuple((Cell(name), Cell(digest, code=True)) for name, digest in files),
    )


def _examples(card: DataCard) -> Table:
    return Table(
        "examples",
        "Examples of what was left out",
        "The first few of each rule, shortened, with personal data masked.",
        "example",
        ("Rule", "Where", "Why", "Text"),
        tuple(
            (Cell(each.rule), Cell(each.where), Cell(each.why), Cell(each.text))
            for each in card.dropped
        ),
    )


def _lines(pairs: Iterable[tuple[str, str]]) -> tuple[tuple[Cell, ...], ...]:
    return tuple((Cell(name), Cell(value)) for name, value in pairs)
