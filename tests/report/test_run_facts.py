"""What a run's page says of the run beside its docs."""

import re
from pathlib import Path

from tests.report.fixtures.pages import first_page
from tests.report.fixtures.runs import choice_row, ends, proportion, result, run, stored


def test_all_groups_of_a_task_are_in_its_unit(tmp_path: Path) -> None:
    """The docs of one group happen to be 0 or 1, so that its F1 was recorded as a proportion."""
    groups = {
        "dates": {"f1": proportion(0.5, 2)},
        "names": {"f1": ends(0.25, 0.2, 0.3, unit="score", n=2)},
    }
    of_task = result("drop", ends(0.375, 0.3, 0.4, unit="score", n=4), "f1", groups=groups)
    made = run("smol", [of_task])
    rows = {"drop": [choice_row(place, True, scores={"f1": 1.0}) for place in range(4)]}
    page = first_page(stored(tmp_path / "run", made, rows), made)
    table = page[page.index("Groups of drop") :]
    assert '<span class="label">f1</span>' in table
    figures = re.findall(r'<td data-value="[\d.]+">([^<]+)</td><td>([^<]+)', table)
    assert figures == [("0.500", "0.000 to 1.000"), ("0.250", "0.200 to 0.300")]
