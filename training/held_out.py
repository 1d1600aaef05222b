"""Which rows are held out, and in which order the others are learned from."""

from __future__ import annotations

import math
import random
from collections.abc import Hashable, Sequence

from harness.errors import TrainingError

POOL_BATCHES = 16
"""Batches that are drawn at random together before their rows are sorted by length."""


def hold_out(
    prompts: Sequence[Hashable], share: float, seed: int, name: str
) -> tuple[list[int], list[int]]:
    """Split rows at random; the answers to one prompt stay on one side.

    Args:
        prompts: of each row.
        share: of the rows to hold out; prompts are added until it is reached, so that at least one
            is held out unless the share is 0.
        seed: of the choice.
        name: of the model that is made, for errors.

    Returns:
        Indices of the rows to learn from and of those held out, both in the rows' order.

    Raises:
        TrainingError: there are no rows, or none is left to learn from.
    """
    if not prompts:
        raise TrainingError(f"{name}: the data holds no row to learn from")
    counts: dict[Hashable, int] = {}
    for prompt in prompts:
        counts[prompt] = counts.get(prompt, 0) + 1
    shuffled = list(counts)
    random.Random(seed).shuffle(shuffled)
    wanted, held, rows = share * len(prompts), set(), 0
    for prompt in shuffled:
        if rows >= wanted:
            break
        held.add(prompt)
        rows += counts[prompt]
    if rows == len(prompts):
        raise TrainingError(
            f"{name}: validation_share is {share}, which leaves none of {len(prompts)} rows "
            f"({len(counts)} prompts) to learn from; hold out less, or give it more data"
        )
    return (
        [row for row, prompt in enumerate(prompts) if prompt not in held],
        [row for row, prompt in enumerate(prompts) if prompt in held],
    )


def lay_out(
    rows: int, epochs: float, batch_size: int, seed: int, lengths: Sequence[int] | None = None
) -> list[int]:
    """The order in which rows are learned from, laid out once for all epochs.

    It depends on nothing but its arguments, so that a training that was interrupted goes on with
    the rows that it would have seen. Each epoch is shuffled anew. With ``lengths``, batches
    are made of rows of like length, which spares padding: rows are sorted within pools of some
    batches of one epoch, and the pool's batches are shuffled again. The rows that fill no batch at
    an epoch's end, fewer than ``batch_size``, go into the next epoch's first pool: only those may
    stand in a batch more than once.

    Args:
        rows: how many there are.
        epochs: passes over them; a part of an epoch is its first rows.
        batch_size: rows that are learned from together.
        seed: of the shuffles.
        lengths: tokens of each row, or ``None`` to leave the order as shuffled.
    """
    draw = random.Random(seed)
    order: list[int] = []
    for _ in range(math.ceil(epochs)):
        order += draw.sample(range(rows), rows)
    order = order[: max(1, round(epochs * rows))]
    if lengths is None:
        return order
    laid: list[int] = []
    carried: list[int] = []
    for begin in range(0, len(order), rows):
        # Sorted by length, a row's places in several epochs would fall into one batch.
        todo = carried + order[begin : begin + rows]
        last = begin + rows >= len(order)
        end = len(todo) if last else len(todo) - len(todo) % batch_size
        carried = todo[end:]
        for start in range(0, end, batch_size * POOL_BATCHES):
            pool = todo[start : min(end, start + batch_size * POOL_BATCHES)]
            pool.sort(key=lengths.__getitem__)
            batches = [pool[at : at + batch_size] for at in range(0, len(pool), batch_size)]
            whole = [batch for batch in batches if len(batch) == batch_size]
            draw.shuffle(whole)
            laid += [row for batch in whole for row in batch]
            laid += [row for batch in batches if len(batch) < batch_size for row in batch]
    return laid


def optimizer_steps(laid: int, batch_size: int, accumulation: int) -> int:
    """Optimizer steps that so many rows, laid out, take."""
    return math.ceil(math.ceil(laid / batch_size) / accumulation)
