"""What a run's page says of the run beside its docs."""

import re
from dataclasses import replace
from pathlib import Path

from harness.records import Cost
from harness.run_folder import RunFolder
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


def test_what_was_not_asked_is_said_beside_the_time(tmp_path: Path) -> None:
    """400 answers are from the journal: 0.6 s are not what the model takes."""
    stored_cost = Cost(0.6, 0, 0, None, stored=400)
    made = run("smol", [result("arc_easy", proportion(0.5, 100), cost=stored_cost)], id="again")
    made = replace(made, rescored_from="20260301-120000-first")
    page = first_page(RunFolder(tmp_path), made)
    assert "<dt>Scored again from</dt><dd><code>20260301-120000-first</code></dd>" in page
    assert "0.6 s for 1 task, – tokens/s, 1.4 s to load, 400 answers from the journal</dd>" in page
    assert '100<span class="sub">400 answers from the journal</span></td>' in page
    asked = run("smol", [result("arc_easy", proportion(0.5, 100))])
    page = first_page(RunFolder(tmp_path), asked)
    assert "from the journal" not in page and "Scored again" not in page
