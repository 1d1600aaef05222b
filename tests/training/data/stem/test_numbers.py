"""Where a template's numbers come from."""

from __future__ import annotations

import pytest

from training.data.stem.numbers import Numbers


def test_equal_seeds_draw_alike_and_others_do_not() -> None:
    def drawn(seed: str) -> list[int]:
        numbers = Numbers(seed)
        return [numbers.whole(0, 1000) for _ in range(20)]

    assert drawn("a") == drawn("a") != drawn("b")


@pytest.mark.parametrize("beyond", [False, True])
def test_the_stream_decides_on_the_range(beyond: bool) -> None:
    drawn = {Numbers(str(seed), beyond=beyond).ranged((2, 5), (8, 9)) for seed in range(200)}
    assert drawn == ({8, 9} if beyond else {2, 3, 4, 5})


def test_ranges_that_overlap_hold_nothing_out() -> None:
    with pytest.raises(ValueError, match="begins within"):
        Numbers("a").ranged((2, 9), (9, 14))
