"""A task file as its author writes it: the documented example, and slips that are named."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY, Command

Write = Callable[..., Path]
Declare = Callable[[str], Path]

GOOD = 'Dataset("baber/piqa", split="validation")'


@pytest.fixture
def declare(harness: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Declare:
    """Put a file of tasks beside suites of nothing else."""

    def write(text: str) -> Path:
        path = tmp_path / "tasks" / "own.py"
        path.parent.mkdir()
        path.write_text(text, "utf-8")
        monkeypatch.setenv("HARNESS_TASKS", str(path.parent))
        return path

    return write


@pytest.fixture
def piqa(tmp_path: Path, write_rows: Write) -> str:
    """A mirror with the splits that PIQA is published with labels for."""
    row = {"goal": "To open a jar", "sol1": "turn the lid", "sol2": "lick the lid", "label": 0}
    for split in ("train", "validation"):
        write_rows(tmp_path / f"data/baber/piqa/default/{split}.jsonl", [row] * 3)
    return str(tmp_path / "data")


def declared(yaml: str = "piqa/piqa.yaml", datasets: str = GOOD, name: str = "piqa") -> str:
    return (
        "from harness.data import Dataset\nfrom harness.task import lm_eval_task\n\n"
        f"own = lm_eval_task({name!r}, yaml={yaml!r}, primary='acc_norm',\n"
        f"    datasets=[{datasets}], about='physics')\n"
    )


def documented(page: str) -> str:
    """The example of a task file in a page or docstring."""
    text = (REPOSITORY / page).read_text("utf-8")
    if page.endswith(".py"):
        return re.sub(r"(?m)^    ", "", text.partition("one file::\n")[2].partition('"""')[0])
    blocks = re.findall(r"(?s)```python\n(.*?)```", text)
    (block,) = (each for each in blocks if "lm_eval_task(" in each)
    return str(block)


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "harness/task.py"])
def test_the_documented_example_runs(
    harness: Command, declare: Declare, piqa: str, page: str
) -> None:
    declare(documented(page))
    words = ("eval", "--model", "tiny", "--tasks", "piqa", "--data", piqa)
    code, _, told = harness(*words, "--check")
    assert code == 0, told
    if page == "README.md":
        code, out, told = harness(*words)
        assert code == 0 and "acc_norm" in out, told


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (declared(datasets="'baber/piqa'"), "own.py, line 4: the task piqa: 'baber/piqa' stands"),
        (declared(datasets=""), "own.py, line 4: the task piqa: names 0 data sets"),
        (declared(datasets=f"{GOOD}, {GOOD}"), "names 2 data sets; a definition reads one"),
        (declared(name="pi qa"), "own.py, line 4: the task name 'pi qa': letters, digits"),
        (declared(name="../piqa"), "own.py, line 4: the task name '../piqa': letters, digits"),
        (declared(yaml="piqa/pika.yaml"), "'piqa/pika.yaml': did you mean 'piqa/piqa.yaml'?"),
        (declared(yaml="pika/piqa.yaml"), "did you mean 'piqa/piqa.yaml'"),
        (declared(datasets='Dataset("baber/piqa")'), "has the splits train, validation)"),
    ],
)
def test_a_slip_is_named_before_anything_is_fetched(
    harness: Command, declare: Declare, piqa: str, text: str, says: str
) -> None:
    declare(text)
    code, _, told = harness("eval", "--model", "tiny", "--data", piqa, "--tasks", "piqa", "--check")
    assert code == (1 if "splits" in says else 2)
    assert says in told and "Traceback" not in told


def test_the_shipped_definitions_are_lm_evals(harness: Command) -> None:
    from harness.catalog import load_catalog
    from harness.job import check_definitions

    tasks = load_catalog(REPOSITORY / "tasks").tasks
    for task in tasks.values():
        check_definitions(task)
    assert len(tasks["mmlu"].definitions) == 57
    assert tasks["divergence_wikitext2"].definitions == tasks["wikitext2"].definitions
