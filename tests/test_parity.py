"""`make parity` notices a planted difference of every kind, and excuses only what is a tie."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.errors import WeightsError
from harness.records import Row
from tests.conftest import arc_row
from tests.parity import run
from tests.parity.compare import Parity, Tie, compare
from tests.parity.reference import ReferenceDoc

ROW = Row(
    doc_id="d",
    index=0,
    group=None,
    prompt="Q:",
    contexts=(),
    continuations=(),
    logprobs=(),
    greedy=(),
    text=None,
    target="b",
    scores={},
    unscored=None,
    truncated=False,
    request_digest="0",
)
FAR, NEAR = 0.5, 5e-4


def choice(*logprobs: float, **scores: float) -> tuple[Row, ReferenceDoc]:
    """Give a doc with the choices "b", "cc", "ddd", ..., answered alike by both sides."""
    texts = tuple(" " + letter * (i + 1) for i, letter in enumerate("bcde"[: len(logprobs)]))
    row = replace(
        ROW,
        continuations=texts,
        logprobs=logprobs,
        greedy=(False,) * len(logprobs),
        scores=scores or {"acc": 1.0, "acc_norm": 1.0},
    )
    arguments = tuple(("Q:", text) for text in texts)
    return row, ReferenceDoc(arguments, tuple((p, False) for p in logprobs), dict(row.scores))


def generation() -> tuple[Row, ReferenceDoc]:
    row = replace(ROW, text=" 4", scores={"exact_match,strict-match": 1.0})
    return row, ReferenceDoc((("Q:", {"until": ["\n"]}),), (" 4",), dict(row.scores))


def page() -> tuple[Row, ReferenceDoc]:
    scores = {
        "word_perplexity": (-400.0, 100),
        "byte_perplexity": (-400.0, 500),
        "bits_per_byte": (-400.0, 500),
    }
    return replace(ROW, scores=scores), ReferenceDoc((("Q:",),), (-400.0,), dict(scores))


def parity(row: Row, doc: ReferenceDoc, gap: float = FAR) -> Parity:
    return compare("task", [row], [doc], lambda *_: gap)


def flip(doc: ReferenceDoc, *metrics: str) -> ReferenceDoc:
    """Let lm-eval score a doc otherwise."""
    changed = {name: 1.0 - float(doc.metrics[name]) for name in metrics}
    return replace(doc, metrics={**doc.metrics, **changed})


@pytest.mark.parametrize("pair", [choice(-1.0, -2.0), generation(), page()])
def test_equal_data_holds(pair: tuple[Row, ReferenceDoc]) -> None:
    found = parity(*pair)
    assert found.holds
    assert found.ties == []
    assert found.as_dict()["holds"] is True


@pytest.mark.parametrize("gap", [FAR, NEAR])
def test_another_prompt_is_never_excused(gap: float) -> None:
    row, doc = choice(-1.0, -1.0 - gap)
    changed = replace(doc, arguments=(("Q: ", " b"), ("Q: ", " cc")))
    # Where the scores differ too, and those by a tie, the prompt still counts.
    for other in (changed, flip(changed, "acc")):
        assert parity(row, other).different_prompts == [0]
        assert not parity(row, other).holds
    text, doc = generation()
    changed = replace(doc, arguments=(("Q: ", {}),), responses=(" 5",))
    assert parity(text, changed, gap).different_prompts == [0]
    assert not parity(text, changed, gap).holds
    rolling, doc = page()
    assert not parity(rolling, replace(doc, arguments=(("Q",),))).holds


def test_another_continuation_is_another_prompt() -> None:
    row, doc = choice(-1.0, -2.0)
    assert not parity(row, replace(doc, arguments=(("Q:", " b"), ("Q:", " c")))).holds


@pytest.mark.parametrize("theirs", [-2.002, math.nan, -math.inf])
def test_a_logprob_beyond_the_tolerance_fails(theirs: float) -> None:
    row, doc = choice(-1.0, -2.0)
    found = parity(row, replace(doc, responses=((-1.0, False), (theirs, False))))
    assert not found.holds
    assert found.different_logprobs == [0]
    assert parity(row, replace(doc, responses=((-1.0, False), (-2.0009, False)))).holds


def test_a_tie_or_a_perplexity_does_not_lift_the_logprob_tolerance() -> None:
    row, doc = choice(-1.0, -1.0 - NEAR)
    shifted = replace(doc, responses=((-1.5, False), (-1.5, False)))
    assert not parity(row, flip(shifted, "acc")).holds
    row, doc = choice(-1.0, word_perplexity=1.0)
    row = replace(row, scores={"word_perplexity": (-1.0, 1)})
    doc = replace(doc, metrics=row.scores, responses=((-1.5, False),))
    assert not parity(row, doc).holds


def test_a_score_fails_and_is_named() -> None:
    row, doc = choice(-1.0, -20.0)
    found = parity(row, flip(doc, "acc_norm"))
    assert found.different_scores == [(0, "acc_norm")]
    assert not found.holds


def test_a_score_of_equal_texts_has_no_tie() -> None:
    row, doc = generation()
    found = parity(row, flip(doc, "exact_match,strict-match"), NEAR)
    assert found.different_scores == [(0, "exact_match,strict-match")]


def test_an_unscored_doc_or_a_metric_of_one_side_fails() -> None:
    row, doc = choice(-1.0, -2.0)
    unscored = replace(row, scores={}, unscored="too long", logprobs=(-1.0,))
    assert parity(unscored, doc).different_scores == [(0, "unscored")]
    fewer = replace(row, scores={"acc": 1.0})
    assert parity(fewer, doc).different_scores == [(0, "acc_norm")]
    assert parity(row, replace(doc, metrics={"acc": 1.0})).different_scores == [(0, "acc_norm")]


RAW_TIE = (-2.0, -2.0 - NEAR)  # per character: -2.0 and -1.0
PER_CHARACTER_TIE = (-2.0, -4.0 - NEAR)  # per character: -2.0 and -2.00025


@pytest.mark.parametrize(
    ("logprobs", "tied", "other"),
    [(RAW_TIE, "acc", "acc_norm"), (PER_CHARACTER_TIE, "acc_norm", "acc")],
)
def test_a_tie_excuses_its_own_metric_and_no_other(
    logprobs: Sequence[float], tied: str, other: str
) -> None:
    row, doc = choice(*logprobs)
    found = parity(row, flip(doc, tied))
    assert found.holds
    assert [(tie.doc, tie.what) for tie in found.ties] == [(0, tied)]
    assert 0 < found.ties[0].gap <= NEAR + 1e-12
    assert not parity(row, flip(doc, other)).holds
    both = parity(row, flip(doc, tied, other))
    assert both.different_scores == [(0, other)]
    assert not both.holds


def test_only_the_two_best_choices_tie() -> None:
    row, doc = choice(-1.0, -2.0, -2.0)
    assert not parity(row, flip(doc, "acc")).holds


def test_a_text_fails_unless_the_two_best_logits_tie() -> None:
    row, doc = generation()
    other = replace(doc, responses=(" 5",))
    assert parity(row, other, FAR).different_texts == [0]
    assert not parity(row, other, FAR).holds
    assert not parity(row, other, math.nan).holds
    # Another text, another score: that is the same tie.
    for theirs in (other, flip(other, "exact_match,strict-match")):
        found = parity(row, theirs, NEAR)
        assert found.holds
        assert found.ties == [Tie(0, "text", NEAR)]
    assert not parity(row, flip(other, "exact_match,strict-match"), FAR).holds


def with_nats(doc: ReferenceDoc, nats: float) -> ReferenceDoc:
    changed = {name: (nats, size) for name, (_, size) in doc.metrics.items()}
    return replace(doc, metrics=changed, responses=(nats,))


def test_another_perplexity_fails() -> None:
    row, doc = page()
    found = parity(row, with_nats(doc, -410.0))
    assert not found.holds
    assert found.different_scores
    # Within the tolerance of the doc's log-likelihood, beyond that of the perplexity.
    found = parity(row, with_nats(doc, -400.0 * (1 + 9e-5)))
    assert not found.different_scores
    assert found.perplexity is not None and found.perplexity[2] > 1e-4
    assert not found.holds
    assert parity(row, with_nats(doc, -400.0 * (1 + 1e-5))).holds
    words = {**doc.metrics, "word_perplexity": (-400.0, 101)}
    assert not parity(row, replace(doc, metrics=words)).holds


def test_other_numbers_of_docs_and_none_are_refused() -> None:
    row, doc = choice(-1.0, -2.0)
    with pytest.raises(ValueError, match="2 rows against 1 docs"):
        compare("task", [row, row], [doc], lambda *_: FAR)
    with pytest.raises(ValueError, match="0 rows against 0 docs"):
        compare("task", [], [], lambda *_: FAR)


def test_one_doc_that_differs_is_enough() -> None:
    row, doc = choice(-1.0, -20.0)
    pairs = [(replace(row, index=number), doc) for number in range(3)]
    pairs[1] = (pairs[1][0], flip(doc, "acc"))
    found = compare("task", [r for r, _ in pairs], [d for _, d in pairs], lambda *_: FAR)
    assert found.different_scores == [(1, "acc")]
    assert not found.holds
    assert "| 1 | 0 | none |" in run._table([found])


def test_the_gap_is_that_where_the_texts_part_and_on_the_models_device() -> None:
    import torch

    class Body:
        def __call__(self, tokens: torch.Tensor) -> Any:
            assert tokens.device.type == "meta"  # none of the CPU's
            assert tokens.shape == (1, 3)  # "Q:" and the blank that both texts begin with
            return SimpleNamespace(logits=torch.tensor([[[0.0, 0.0, 0.0], [1.0, 3.0, 2.5]]]))

    model = SimpleNamespace(
        model=Body(), device=torch.device("meta"), tok_encode=lambda text: [ord(c) for c in text]
    )
    loaded = SimpleNamespace(get=lambda: model)
    assert run._gap_finder(loaded)("Q:", " 4", " 5") == 0.5


WriteRows = Callable[[Path, Sequence[Mapping[str, Any]]], Path]


def test_the_harness_and_lm_eval_agree_on_a_tiny_model(
    tiny_zoo: Path,
    tmp_path: Path,
    write_rows: WriteRows,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import datasets

    monkeypatch.setenv("HARNESS_ZOO", str(tiny_zoo))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "datasets"))
    mirror = tmp_path / "mirror"
    rows = [arc_row(number) for number in range(4)]
    write_rows(mirror / "allenai/ai2_arc/ARC-Easy/test.jsonl", rows)
    out = tmp_path / "parity.md"
    arguments = ["--model", "tiny", "--tasks", "arc_easy", "--limit", "3", "--dtype", "float32"]
    assert run.main([*arguments, "--data", str(mirror), "--out", str(out)]) == 0
    lines = capsys.readouterr().out.splitlines()
    (found,) = (json.loads(line) for line in lines if line.startswith("{"))
    assert found["holds"] and found["docs"] == 3
    assert found["largest_logprob_difference"] < 1e-4
    assert "| arc_easy | 3 | 0 | 0 | 0 | 0 |" in out.read_text("utf-8")


def test_the_models_folder_is_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zoo = tmp_path / "zoo.yaml"
    zoo.write_text("models: {m: {family: f, stage: base, source: {hub: org/name}}}", "utf-8")
    monkeypatch.setenv("HARNESS_ZOO", str(zoo))
    (tmp_path / "models/org/name").mkdir(parents=True)
    arguments = ["--model", "m", "--data", str(tmp_path)]
    with pytest.raises(WeightsError, match=r"org/name holds no config\.json"):
        run.main([*arguments, "--models-dir", str(tmp_path / "models")])
