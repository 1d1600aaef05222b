"""Puts what was counted into a data card."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from harness.data_card import DataCard, Decontamination, Dropped, SourceCard, Stage
from training.data.mixture.choosing import RULES as CHOSEN
from training.data.mixture.declared import Mixture
from training.data.mixture.finishing import Finished
from training.data.mixture.ranked import ranked_note
from training.data.mixture.refused import RULES
from training.data.mixture.shards import Shard
from training.data.mixture.surveying import Survey
from training.data.mixture.tally import EXAMPLES, Tally
from training.data.mixture.tests_index import TestsIndex
from training.data.mixture.tokenizing import Tokens

_CLEANING = ("too long", "personal data")


@dataclass(frozen=True)
class Held:
    """What the rows were held against, and the tasks whose docs were not at hand, with why."""

    tests: TestsIndex | None
    unchecked: Mapping[str, str]


@dataclass(frozen=True)
class Made:
    """How the mixture was made; see `DataCard`.

    Attributes:
        tokens: what limited the rows, if any did.
    """

    identity: str
    limit: int | None
    versions: Mapping[str, str]
    tokens: Tokens | None = None


def describe(
    mixture: Mixture,
    surveys: Sequence[Survey],
    shards: Sequence[Sequence[Shard]],
    finished: Finished,
    held: Held,
    made: Made,
) -> DataCard:
    """The card of a mixture that was just made."""
    worked = [_added(shard.tally for shard in each) for each in shards]
    total = _added([*worked, *finished.tallies])
    found = None
    if held.tests is not None:
        tests = held.tests.tested(total.tests)
        found = Decontamination(held.tests.ngram, tests, dict(held.unchecked))
    return DataCard(
        mixture=mixture.name,
        about=mixture.about,
        kind=mixture.kind,
        use=mixture.use,
        identity=made.identity,
        settings=_settings(mixture, made.tokens),
        sources=tuple(
            _source(each, tally, finished, place)
            for place, (each, tally) in enumerate(zip(surveys, worked, strict=True))
        ),
        stages=_stages(mixture, surveys, total, sum(finished.taken)),
        masked={kind: count for kind, count in sorted(total.masked.items()) if count},
        dropped=_examples(total),
        decontamination=found,
        lengths=finished.lengths,
        splits=finished.splits,
        versions=made.versions,
        limit=made.limit,
        notes=tuple(f"{name}: {note}." for name, note in _notes(surveys) if note),
    )


def _notes(surveys: Sequence[Survey]) -> Iterable[tuple[str, str]]:
    for survey in surveys:
        yield survey.taken.source.name, survey.torn
        for path in survey.located.files:
            yield survey.taken.source.name, ranked_note(path)


def _added(tallies: Iterable[Tally]) -> Tally:
    total = Tally()
    for tally in tallies:
        total.add(tally)
    return total


def _source(survey: Survey, worked: Tally, finished: Finished, place: int) -> SourceCard:
    source = survey.taken.source
    return SourceCard(
        name=source.name,
        place=source.place,
        format=source.format,
        licence=source.licence,
        files=survey.digests,
        commit=survey.located.commit,
        at_most=survey.taken.at_most,
        rows=survey.rows,
        drawn=survey.drawn,
        dropped=_ordered(worked.counts + finished.tallies[place].counts),
        taken_rows=finished.taken_rows[place],
        taken=finished.taken[place],
    )


def _stages(
    mixture: Mixture, surveys: Sequence[Survey], total: Tally, taken: int
) -> tuple[Stage, ...]:
    counts, unit = total.counts, mixture.kind
    held, drawn = sum(each.rows for each in surveys), sum(each.drawn for each in surveys)
    clean = total.cleaned - counts["contaminated"]
    single = clean - counts["duplicate"] - counts["near-duplicate"]
    cleaning = {rule: counts[rule] for rule in _CLEANING}
    # Masking can leave two answers the same: what reading refused and what cleaning did add up.
    cleaning["identical"] = total.read - total.cleaned - sum(cleaning.values())
    reading = {
        rule: counts[rule]
        for rule in RULES
        if rule not in (*_CLEANING, *CHOSEN.values(), "contaminated")
    }
    reading["identical"] -= cleaning["identical"]
    return (
        Stage("draw", "rows", held, "rows", drawn, {}, "at random, with some in reserve"),
        Stage("read", "rows", drawn, unit, total.read, _some(reading)),
        Stage("clean", unit, total.read, unit, total.cleaned, _some(cleaning)),
        Stage("decontaminate", unit, total.cleaned, unit, clean, _some(counts, "contaminated")),
        Stage(
            "deduplicate", unit, clean, unit, single, _some(counts, "duplicate", "near-duplicate")
        ),
        Stage("take", unit, single, unit, taken, _some(counts, "spare", "equal share")),
    )


def _some(counts: Mapping[str, int], *rules: str) -> dict[str, int]:
    wanted = rules or tuple(counts)
    return {rule: counts[rule] for rule in wanted if counts[rule]}


def _ordered(counts: Counter[str]) -> dict[str, int]:
    return {rule: counts[rule] for rule in RULES if counts[rule]}


def _examples(total: Tally) -> tuple[Dropped, ...]:
    """A few of each rule; what was merely not needed says nothing."""
    return tuple(
        example
        for rule in RULES
        if rule not in ("spare", "equal share", "not wanted")
        for example in total.examples.get(rule, ())[:EXAMPLES]
    )


def _settings(mixture: Mixture, tokens: Tokens | None) -> dict[str, str]:
    personal = {kind: action for kind, action in mixture.personal.items()}
    return {
        "seed": str(mixture.seed),
        "longest row": f"{mixture.max_chars:,} characters"
        + (
            f", {mixture.max_tokens:,} tokens of {tokens.name} (sha256 {tokens.sha256[:16]})"
            if tokens is not None
            else ""
        ),
        "personal data": ", ".join(f"{kind}: {action}" for kind, action in personal.items()),
        "near-duplicates": f"Jaccard {mixture.near:g} of word triples or more, and "
        f"{mixture.near / 2:g} of those that ask and answer"
        if mixture.near is not None
        else "not looked for",
        "test docs": f"{mixture.ngram} words in a row"
        if mixture.ngram is not None
        else "not looked for",
        "rows that cannot be read": mixture.unreadable,
        "too few rows": mixture.short,
    }
