"""Puts questions into batches for workers: what shares a beginning stays together.

Where shared tokens run once, a batch ends only where one process would begin a new pass with a new
beginning. A worker then makes of its batch the very passes that one process makes of all questions,
however many workers there are. Where that would leave workers without work, a batch ends between
two beginnings, and where a single one is shared by too much, between two contexts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from harness.backends.backend import BackendFacts
from harness.types import GenerateUntil, Question, Tokens

SHARES = 12
"""Batches that a worker gets of a task, where the task is large enough: a few, so that none waits
long for the last one, and not many, so that what each costs by itself does not show."""
PASSES = 32
"""Of a batch, at most: what is lost when its worker dies is a minute or so."""
ROWS = (32, 256)
"""Generations of a batch: fewer would leave the engine's slots empty, unless there are no more."""
WRITTEN = 10
"""Tokens that are read in the time in which one is written, roughly: for the order of batches."""
PASS = 2048
"""Tokens of the smallest batch, for backends that name no budget."""


@dataclass(frozen=True)
class Batch:
    """Questions that one worker answers in one go.

    Attributes:
        places: of the questions, in the order in which they are sent.
        cost: tokens that are run for them, roughly: an order, not a time.
    """

    places: tuple[int, ...]
    cost: int


def make_batches(questions: Sequence[Question], facts: BackendFacts, workers: int) -> list[Batch]:
    """Divide questions among workers, the costliest batches first.

    Args:
        questions: none refused.
        facts: of the model that answers them.
        workers: how many there are, roughly.
    """
    generated = [i for i, q in enumerate(questions) if isinstance(q.request, GenerateUntil)]
    scored = [i for i, q in enumerate(questions) if not isinstance(q.request, GenerateUntil)]
    batches = list(_of_rows(questions, generated, workers))
    pieces = _pieces(questions, scored, facts) if scored else []
    budget = facts.budget or PASS
    share = max(budget, sum(map(_cost, pieces)) // (workers * SHARES))
    enough = min(PASSES * budget, share)
    parts = [part for piece in pieces for part in _divided(questions, piece, enough)]
    batches += _joined(parts, enough)
    return sorted(batches, key=lambda batch: -batch.cost)


def _of_rows(questions: Sequence[Question], places: Sequence[int], workers: int) -> Iterator[Batch]:
    """Generations, neighbours by their prompts."""
    if not places:
        return
    ordered = sorted(places, key=lambda place: _begins(questions[place]))
    least = min(ROWS[0], -(-len(ordered) // workers))
    rows = min(ROWS[1], max(least, len(ordered) // (workers * SHARES)))
    for start in range(0, len(ordered), rows):
        batch = ordered[start : start + rows]
        yield Batch(tuple(batch), sum(_generation_cost(questions[place]) for place in batch))


def _pieces(
    questions: Sequence[Question], places: Sequence[int], facts: BackendFacts
) -> list[list[Batch]]:
    """What is best not divided, in the order in which one process would run it; of each, what
    shares a beginning.
    """
    if facts.packed and all(questions[place].tokens for place in places):
        pieces = _passes(questions, places, facts)
        if pieces is not None:
            return pieces
    groups: dict[object, list[int]] = {}
    for place in places:
        question = questions[place]
        # Of a question with one part, that is all of it.
        key = question.tokens[0].tobytes() if question.tokens else _begins(question)
        groups.setdefault(key, []).append(place)
    alike = [Batch(tuple(group), _plain_cost(questions, group)) for group in groups.values()]
    alike.sort(key=lambda batch: -_longest(questions, batch.places))
    return [[batch] for batch in alike]


def _passes(
    questions: Sequence[Question], places: Sequence[int], facts: BackendFacts
) -> list[list[Batch]] | None:
    """Runs of whole passes after which another beginning follows; ``None`` where questions are
    texts longer than a context, whose windows lie in several passes.
    """
    from harness.engine.passes import make_passes
    from harness.engine.spans import spans_of
    from harness.engine.trie import Node, build_trie, walk

    by_sequence: dict[bytes, list[int]] = {}
    sequences: dict[bytes, Tokens] = {}
    for place in places:
        spans = spans_of(questions[place], facts.max_length)
        if len(spans) != 1:
            return None
        key = spans[0].sequence.tobytes()
        sequences[key] = spans[0].sequence
        by_sequence.setdefault(key, []).append(place)
    roots, ends = build_trie(list(sequences.values()))
    under: dict[Node, list[int]] = {}
    for key, end in zip(sequences, ends, strict=True):
        under.setdefault(end.path[0], []).extend(by_sequence[key])
    pieces: list[list[Batch]] = []
    for now in make_passes(list(walk(roots)), facts.budget):
        if not pieces or now.nodes[0].parent is None:
            pieces.append([])
        for node in now.nodes:
            if node.parent is None:
                pieces[-1].append(Batch(tuple(under[node]), 0))
            last = pieces[-1][-1]
            pieces[-1][-1] = replace(last, cost=last.cost + len(node.tokens))
    return pieces


def _divided(questions: Sequence[Question], piece: Sequence[Batch], enough: int) -> Iterator[Batch]:
    """A piece, or what it consists of where it is of several workers' shares."""
    if _cost(piece) < 2 * enough:
        yield Batch(tuple(place for each in piece for place in each.places), _cost(piece))
        return
    for each in piece:
        yield from _by_context(questions, each, each.cost // enough)


def _by_context(questions: Sequence[Question], batch: Batch, count: int) -> list[Batch]:
    """A batch in so many parts, none of which divides a context; each runs the beginning anew."""
    if count < 2:
        return [batch]
    contexts: dict[object, list[int]] = {}
    for place in sorted(batch.places, key=lambda place: _begins(questions[place])):
        contexts.setdefault(_begins(questions[place]), []).append(place)
    groups = list(contexts.values())
    size = -(-len(groups) // count)
    parts = [
        tuple(place for group in groups[start : start + size] for place in group)
        for start in range(0, len(groups), size)
    ]
    return [Batch(part, batch.cost * len(part) // len(batch.places)) for part in parts]


def _joined(pieces: Sequence[Batch], enough: int) -> Iterator[Batch]:
    """Neighbouring pieces together, up to a worker's share."""
    places: list[int] = []
    cost = 0
    for piece in pieces:
        if places and cost + piece.cost > enough:
            yield Batch(tuple(places), cost)
            places, cost = [], 0
        places += piece.places
        cost += piece.cost
    if places:
        yield Batch(tuple(places), cost)


def _cost(batches: Iterable[Batch]) -> int:
    return sum(batch.cost for batch in batches)


def _begins(question: Question) -> tuple[object, ...]:
    """What sorts questions by what they begin with."""
    if question.tokens:
        return (0, tuple(question.tokens[0]))
    request = question.request
    return (1, str(getattr(request, "context", None) or repr(request)))


def _longest(questions: Sequence[Question], places: Iterable[int]) -> int:
    return max(_length(questions[place]) for place in places)


def _length(question: Question) -> int:
    """In tokens, or what a text of that length has about."""
    return sum(map(len, question.tokens)) or len(repr(question.request)) // 4


def _plain_cost(questions: Sequence[Question], places: Sequence[int]) -> int:
    """Their common part once, of the rest all."""
    lengths = [_length(questions[place]) for place in places]
    tokens = questions[places[0]].tokens
    common = len(tokens[0]) if len(tokens) == 2 else 0
    return sum(lengths) - common * (len(lengths) - 1)


def _generation_cost(question: Question) -> int:
    request = question.request
    assert isinstance(request, GenerateUntil)
    return _length(question) + WRITTEN * request.max_new_tokens
