"""The gate's table: a drop is read beside its margin."""

import pytest

from harness.gate.decide import Outcome
from harness.gate.drops import Drop
from harness.report.gate import HEAD, rows


def row_of(unit: str, drop: float, low: float, high: float, margin: float) -> dict[str, str]:
    """The table's only row, by its heading."""
    made = Drop(
        task="drop",
        metric="f1",
        unit=unit,
        base=0.5,
        model=0.5 - drop,
        drop=drop,
        low=low,
        high=high,
        margin=margin,
        state="fails",
        docs=60,
        changed=9,
        docs_needed=None,
    )
    outcome = Outcome(
        verdict="fail",
        base="base",
        model="tuned",
        base_run="run-1",
        model_run="run-2",
        profile="default",
        alpha=0.05,
        blocks=True,
        tasks=(made,),
    )
    (cells,) = rows(outcome)
    return dict(zip(HEAD, cells, strict=True))


@pytest.mark.parametrize(
    ("unit", "ends", "margin", "drop", "allowed"),
    [
        ("score", (0.004, 0.0035, 0.0045), 0.003, "+0.0040 (+0.0035 to +0.0045)", "0.0030"),
        ("score", (-0.001, -0.002, 0.0), 0.003, "−0.0010 (−0.0020 to 0.0000)", "0.0030"),
        ("proportion", (0.0351, 0.03, 0.04), 0.03, "+3.51 (+3.00 to +4.00)", "3.00"),
        ("bits/byte", (0.004, 0.0035, 0.0045), 0.003, "+0.0040 (+0.0035 to +0.0045)", "0.0030"),
    ],
)
def test_a_drop_and_its_margin_are_written_as_fine_as_their_unit_needs(
    unit: str, ends: tuple[float, float, float], margin: float, drop: str, allowed: str
) -> None:
    cells = row_of(unit, *ends, margin)
    assert (cells["drop"], cells["margin"]) == (drop, allowed)
