"""Published figures: the files as shipped, and that every mistake in one is named with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.catalog import Catalog
from harness.errors import HarnessError, RegistryError
from harness.published import Published, load_published, published_names, read_published
from harness.zoo import load_zoo
from tests.conftest import REPOSITORY

FOLDER = REPOSITORY / "tasks" / "published"
TASKS = {
    "zephyr-proposal": ("arc_challenge", "mmlu", "gsm8k"),
    "zephyr-report": ("hellaswag", "gsm8k_overlap", "reward_accuracy", "wikitext2"),
    "stem-assistant": ("stem_assistant_course", "stem_assistant_exchange"),
}
GOOD = """\
source: a report
unstated: the dtype
notes:
  shots: none said
tables:
  Table 1:
    columns:
      ARC: {task: arc_challenge, metric: acc_norm, unit: percent, ours: share, notes: [shots]}
      reward acc.: {task: gsm8k, metric: acc, otherwise: free, unit: share, comparable: no}
    rows:
      M0:
        model: qwen
        figures: {ARC: 16.30, reward acc.: .5}
      M1: {model: qwen-sft, figures: {ARC: 7}, notes: [shots]}
"""


def read(folder: Path, text: str) -> Published:
    path = folder / "some-suite.yaml"
    path.write_text(text, "utf-8")
    return read_published(path, ["arc_challenge", "gsm8k"])


def test_figures_keep_their_digits(tmp_path: Path) -> None:
    """As printed, but that `.5` reads 0.5; comparisons show the digits of the longest figure."""
    found = read(tmp_path, GOOD)
    assert found.suite == "some-suite" and found.notes == {"shots": "none said"}
    (table,) = found.tables
    arc, reward = table.measures
    assert [row.figures[arc.label].text for row in table.models] == ["16.30", "7"]
    assert (arc.decimals, arc.factor, arc.notes) == (2, 100.0, ("shots",))
    (first, second) = table.models
    assert (first.figures[reward.label].text, first.figures[reward.label].value) == ("0.5", 0.5)
    assert reward.label not in second.figures, "what was not published is not 0"
    assert (reward.ours, reward.factor) == ("share", 1.0)
    assert (arc.otherwise, reward.otherwise) == (None, "free")
    assert (arc.comparable, reward.comparable) == (True, False)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("source: a report\n", "", "the key 'source' is missing"),
        ("unstated:", "unstatd:", "1.yaml:2: unknown key 'unstatd' in the file: did you mean 'un"),
        ("tables:", "tabels:", "'tabels' in the file: did you mean 'tables'"),
        ("metric: acc_norm", "metrik: acc_norm", "yaml:8: unknown key 'metrik' in column 'ARC'"),
        ("arc_challenge", "arc_chalenge", "yaml:8: column 'ARC': task: unknown value"),
        ("unit: percent", "unit: per cent", "did you mean 'percent'"),
        ("unit: percent", "unit: score", "'share' cannot be turned into 'score'"),
        ("[shots]}\n      rew", "[shot]}\n      rew", "there is no note 'shot': did you mean"),
        ("{ARC: 16.30", "{ARK: 16.30", "yaml:13: unknown key 'ARK' in the figures of row 'M0'"),
        ("16.30", "16.3.0", "'16.3.0' is not a figure"),
        ("16.30", "'-'", "leave out what was not published"),
        ("16.30", "1e3", "'1e3' is not a figure"),
        ("16.30", ".nan", "'.nan' is not a figure"),
        ("16.30", "[1]", "a list or mapping is not a figure"),
        ("comparable: no", "comparable: never", "'never' is neither true nor false"),
        ("model: qwen\n", "", "row 'M0': the key 'model' is missing"),
        ("M1:", "M0:", "'M0' is written twice"),
    ],
)
def test_mistakes_are_named_with_their_line(tmp_path: Path, old: str, new: str, says: str) -> None:
    assert old in GOOD
    path = tmp_path / "1.yaml"
    path.write_text(GOOD.replace(old, new, 1), "utf-8")
    with pytest.raises(RegistryError) as caught:
        read_published(path, ["arc_challenge", "gsm8k"])
    assert says in str(caught.value)


def test_a_suite_without_figures_is_refused(tmp_path: Path, catalog: Catalog) -> None:
    suites = {"quick": ["arc_easy"], "zephyr-proposal": TASKS["zephyr-proposal"]}
    with pytest.raises(HarnessError, match="unknown suite 'zephyr-proposl': did you mean"):
        load_published(catalog.folder, suites, "zephyr-proposl")
    with pytest.raises(HarnessError, match="no published figures are known for the suite 'quick'"):
        load_published(catalog.folder, suites, "quick")
    assert load_published(catalog.folder, suites, "zephyr-proposal").suite == "zephyr-proposal"


@pytest.mark.parametrize("name", TASKS)
def test_every_model_named_is_in_the_registry(name: str) -> None:
    registry = load_zoo(REPOSITORY / "model_zoo.yaml")
    found = read_published(FOLDER / f"{name}.yaml", TASKS[name])
    models = {row.model for table in found.tables for row in table.models}
    assert models <= set(registry.models)


@pytest.mark.parametrize("name", TASKS)
def test_every_note_is_used(name: str) -> None:
    found = read_published(FOLDER / f"{name}.yaml", TASKS[name])
    used: set[str] = set()
    for table in found.tables:
        for measure in table.measures:
            used |= set(measure.notes)
        for row in table.models:
            used |= set(row.notes)
    assert used == set(found.notes)


def test_every_suite_with_figures_has_the_tasks_that_they_name(catalog: Catalog) -> None:
    assert published_names(catalog.folder) == sorted(TASKS)
    for name in TASKS:
        asked = [choice.task for choice in catalog.suites[name].tasks]
        found = read_published(FOLDER / f"{name}.yaml", asked)
        named = {measure.task for table in found.tables for measure in table.measures}
        assert named == set(asked), name


def test_the_figures_are_those_of_the_reports() -> None:
    """Typed a second time, from the reports' tables: sums of the columns, and some figures.

    zephyr-proposal, ARC: 33.53 + 31.48 + 41.55 + 52.90 + 43.52 + 37.88 = 240.86. MMLU: 25.41 +
    39.35 + 25.65 + 43.89 + 41.47 + 46.71 = 222.48. GSM8K: 16.3 + 12.43 + 38.82 + 33.59 = 101.14.
    zephyr-report, HellaSwag: 44.98 + 36.84 + 42.15 + 45.33 + 36.00 + 36.13 + 45.01 + 45.40 =
    331.84. BLEU-4: 28.43 + 7.12 + 30.64 + 34.50 + 5.40 + 6.04 + 19.40 + 22.91 = 154.44. ROUGE-1:
    46.91 + 20.55 + 50.43 + 52.15 + 23.03 + 31.04 + 42.26 + 45.14 = 311.51. ROUGE-2: 17.02 + 4.30 +
    20.20 + 20.91 + 4.88 + 7.42 + 13.06 + 15.55 = 103.34. ROUGE-L: 25.17 + 6.58 + 29.01 + 30.21 +
    7.33 + 8.46 + 19.38 + 22.50 = 148.64. Reward accuracy: 0.57 + 0.52 + 0.50 = 1.59.
    stem-assistant, course: .0024 + .0029 = .0053, .0115 + .0150 = .0265, .0023 + .0034 = .0057,
    .0077 + .0099 = .0176, .4169 + 1.0271 = 1.4440; Stack Exchange: .0004 + .0006 = .0010, .0135 +
    .0169 = .0304, .0016 + .0022 = .0038, .0077 + .0100 = .0177, .5164 + .7674 = 1.2838.
    """
    expected: dict[str, list[list[float]]] = {
        "zephyr-proposal": [[240.86, 222.48, 101.14]],
        "zephyr-report": [[331.84, 154.44, 311.51, 103.34, 148.64, 1.59], [0]],
        "stem-assistant": [
            [0.0053, 0.0265, 0.0057, 0.0176, 1.4440],
            [0.0010, 0.0304, 0.0038, 0.0177, 1.2838],
        ],
    }
    for name, tables in expected.items():
        found = read_published(FOLDER / f"{name}.yaml", TASKS[name])
        for table, sums in zip(found.tables, tables, strict=True):
            for measure, total in zip(table.measures, sums, strict=True):
                figures = [row.figures.get(measure.label) for row in table.models]
                values = [figure.value for figure in figures if figure]
                assert sum(values) == pytest.approx(total, abs=1e-9), (name, measure.label)
    report = read_published(FOLDER / "zephyr-report.yaml", TASKS["zephyr-report"])
    by_model = {row.model: row for row in report.tables[0].models}
    assert by_model["qwen-sft"].figures["BLEU-4"].text == "34.50"
    assert by_model["qwen-base-dpo"].figures["reward acc."].text == "0.50"
    assert by_model["bloom-560m-sft-b"].figures["ROUGE-1"].text == "23.03"
