"""How far two rankings of the same answers agree."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations


def agreed_pairs(first: Sequence[int], second: Sequence[int]) -> list[tuple[int, int]]:
    """The pairs (better, worse) that both rankings have in that order.

    Args:
        first: the answers from best to worst.
        second: the same answers, by the other ranking.

    >>> agreed_pairs([0, 1, 2], [0, 2, 1])  # 0 above both; 1 and 2 change places
    [(0, 1), (0, 2)]
    >>> agreed_pairs([0, 1], [1, 0])
    []
    """
    place = {answer: rank for rank, answer in enumerate(second)}
    return [
        (better, worse) for better, worse in combinations(first, 2) if place[better] < place[worse]
    ]


def kendall_tau(first: Sequence[int], second: Sequence[int]) -> float:
    """Kendall's tau of two rankings without ties: pairs that agree less pairs that do not, of all.

    >>> kendall_tau([0, 1, 2, 3], [0, 1, 2, 3]), kendall_tau([0, 1, 2, 3], [3, 2, 1, 0])
    (1.0, -1.0)
    >>> kendall_tau([0, 1, 2, 3], [1, 0, 2, 3])  # one of six pairs turned: (5 - 1) / 6
    0.6666666666666666

    Raises:
        ValueError: they are not of the same answers, or of fewer than two.
    """
    if sorted(first) != sorted(second) or len(set(first)) != len(first) or len(first) < 2:
        raise ValueError(f"no two rankings of the same answers: {first!r}, {second!r}")
    pairs = len(first) * (len(first) - 1) // 2
    agreed = len(agreed_pairs(first, second))
    return (agreed - (pairs - agreed)) / pairs
