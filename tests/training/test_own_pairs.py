"""DPO and KTO on pairs that a tiny parent makes itself, of questions in GSM8K's layout.

The parent has learned to answer everything with ``#### 7``: it is wrong wherever 7 is not right.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.errors import DataError, TrainingError, UsageError
from tests.training.conftest import QUICK
from training import own_pairs
from training.data import sets
from training.data.formats import read_pairs
from training.own_pairs import FILE
from training.step import Work
from training.steps import dpo, kto, sft
from training.tuning import Tuning

SUMS = [(a, b) for a in range(8) for b in range(6)]
ROWS = [
    {
        "question": f"What is {a} plus {b}?",
        "answer": f"{a}+{b} = <<{a}+{b}={a + b}>>{a + b}\n#### {a + b}",
    }
    for a, b in SUMS
]
SEVENS = sum(a + b == 7 for a, b in SUMS)


@pytest.fixture(scope="session")
def sevens(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model after it has learned to say ``#### 7``."""
    base = tmp_path_factory.mktemp("sevens")
    lines = [
        json.dumps({"instruction": r["question"], "output": "So <<7=7>>7.\n#### 7"}) for r in ROWS
    ]
    (base / "sevens.jsonl").write_text("\n".join(lines), "utf-8")
    for name in ("out", "scratch"):
        (base / name).mkdir()
    options = QUICK | {"method": "full", "learning_rate": 3e-3, "epochs": 50.0}
    work = Work(
        "sevens", tiny_model, tiny_model, base / "out", base / "scratch", None, False, print
    )
    sft.run(sft.Options(data=str(base / "sevens.jsonl"), **options), work)
    return work.out


@pytest.fixture
def data(tmp_path: Path, write_rows: Callable[..., Path]) -> Path:
    """A data folder with the questions as GSM8K's training split."""
    write_rows(tmp_path / "data/openai/gsm8k/main/train.jsonl", ROWS)
    return tmp_path / "data"


@pytest.fixture
def asking(work: Work, sevens: Path, data: Path) -> Work:
    """A step whose parent says seven."""
    return dataclasses.replace(work, parent=sevens, tokenizer=sevens, data=data)


def pairs(work: Work, questions: int = 256, **changes: Any) -> sets.Loaded[Any]:
    options = dpo.Options(data="gsm8k", **(QUICK | changes))
    return own_pairs.pairs("gsm8k", questions, Tuning.of(options), work)


def test_the_parent_is_set_against_the_solutions_where_it_is_wrong(
    asking: Work, told: list[str]
) -> None:
    """48 sums, asked once each; 7 is the right answer of six of them (2 + 5 to 7 + 0).

    Both the solutions and the answers hold notes for a calculator, <<2+5=7>>; no pair does.
    """
    assert SEVENS == 6
    found = pairs(asking)
    assert f"tiny-made: 48 of 48 questions asked: {len(found.rows)} wrongly" in told[-1]
    assert len(found.rows) >= 30
    solutions = {f"What is {a} plus {b}?": f"{a}+{b} = {a + b}\n#### {a + b}" for a, b in SUMS}
    for pair in found.rows:
        (question,) = pair.prompt
        assert pair.chosen == solutions[question.content]
        assert pair.rejected.rpartition("#### ")[2] != pair.chosen.rpartition("#### ")[2]
    sevens = [pair for pair in found.rows if pair.rejected == "So 7.\n#### 7"]
    assert len(sevens) >= 30 and not any(p.chosen.endswith("#### 7") for p in sevens)


def test_dpo_learns_from_them_and_says_which_they_were(asking: Work) -> None:
    """The digest is that of the rows in the file that stays beside the weights."""
    made = dpo.run(dpo.Options(data="gsm8k", **QUICK), asking)
    rows = read_pairs(asking.out / FILE)
    assert made.data == {"gsm8k": sets.loaded("gsm8k", rows).sha256}
    assert made.figures["rows"] + made.figures["held_out_rows"] == len(rows)
    assert made.figures["validation_loss"] < made.figures["validation_loss_before"] - 0.1


def test_kto_learns_from_both_sides_of_each(asking: Work) -> None:
    made = kto.run(kto.Options(data="gsm8k", **QUICK), asking)
    both = sets.apart(sets.loaded("gsm8k", read_pairs(asking.out / FILE)))
    assert made.data == {"gsm8k": both.sha256}
    assert made.figures["rows"] + made.figures["held_out_rows"] == len(both.rows)


def test_a_resumed_training_reads_the_same_pairs(
    asking: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped at its first checkpoint; afterwards the parent is not asked again."""
    from training.watch import Watch

    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Watch, "on_save", stop)
        with pytest.raises(KeyboardInterrupt):
            dpo.run(dpo.Options(data="gsm8k", **QUICK), asking)
    kept = (asking.scratch / FILE).read_bytes()

    def ask(*_: Any) -> None:
        raise AssertionError("the parent is asked again")

    monkeypatch.setattr(own_pairs, "load_backend", ask)
    made = dpo.run(dpo.Options(data="gsm8k", **QUICK), asking)
    assert (asking.out / FILE).read_bytes() == kept
    assert made.data == {"gsm8k": sets.loaded("gsm8k", read_pairs(asking.out / FILE)).sha256}


def test_the_seed_decides_what_is_asked(asking: Work, again: Callable[[str], Work]) -> None:
    def asked(name: str, seed: int) -> sets.Loaded[Any]:
        places = again(name)
        work = dataclasses.replace(asking, out=places.out, scratch=places.scratch)
        return pairs(work, 16, seed=seed, batch_size=4)

    first, same, other = asked("a", 1), asked("b", 1), asked("c", 2)
    assert first == same
    assert len(first.rows) <= 16
    assert {pair.prompt for pair in first.rows} != {pair.prompt for pair in other.rows}


def test_a_parent_that_names_no_number_is_taught_to_first(
    work: Work, data: Path, tiny_model: Path
) -> None:
    """Random weights never say ``####``: no pair, and nothing that a later call would take."""
    with pytest.raises(DataError) as caught:
        pairs(dataclasses.replace(work, data=data), 4)
    assert "0 pairs" in str(caught.value) and "8 are needed" in str(caught.value)
    assert "0 rightly, 4 without a number after ####" in str(caught.value)
    assert "train it by sft on solutions that do first" in str(caught.value)
    assert not (work.scratch / FILE).exists() and not (work.out / FILE).exists()


def test_a_question_that_the_parent_cannot_take_is_explained(
    asking: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_pairs, "MAX_NEW_TOKENS", 512)
    with pytest.raises(TrainingError, match="tiny-made: its parent: 512 new tokens leave no room"):
        pairs(asking)


def test_a_solution_without_a_number_is_named(
    asking: Work, data: Path, write_rows: Callable[..., Path]
) -> None:
    rows = [{"question": "What is 2 plus 2?", "answer": "four"}]
    write_rows(data / "openai/gsm8k/main/train.jsonl", rows)
    with pytest.raises(DataError, match=r"does not end in #### <number>.*'What is 2 plus 2"):
        pairs(asking)


def test_steps_that_do_not_ask_say_so() -> None:
    """The registry says it too, of a step's options."""
    with pytest.raises(UsageError, match="dpo and kto ask their parent for some, this one does"):
        sets.pairs("gsm8k", None)


def test_every_real_solution_can_be_checked(real_data: Path) -> None:
    """All 7,473 training rows of GSM8K; more than there are cannot be drawn."""
    rows = sets.examples("gsm8k", real_data).rows
    assert len(own_pairs._drawn(rows, 10_000, seed=1)) == len(rows) == 7473
