"""``harness-train data``: what it prints, and how recipes, lineages and reports use its rows."""

from __future__ import annotations

import hashlib
import html
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.data_card import FILE, card_digest, read_card
from harness.errors import DataError, UnknownName, UsageError
from harness.learned import keep_cards, kept_card, learned_from
from harness.lineage import Lineage, built_folder, write_lineage
from harness.report import write_leaderboard
from harness.report.card_words import cautions, headline
from harness.report.html import run_page
from harness.report.index import pages_in
from harness.zoo import load_zoo
from tests.report.fixtures.runs import proportion, result, run, stored
from tests.training.data.mixture.rows import alpaca, read, words, write
from training.cli import main
from training.data.mixture.built import mixture_folder
from training.data.sets import check_name, examples, pairs
from training.lineage import changed_files, data_cards, data_files
from training.ranking.questions import read_questions

MIXTURES = """sources:
  a: {dataset: org/a, licence: mit, format: alpaca}
  bound: {dataset: org/a, licence: cc-by-nc-4.0, format: alpaca}
mixtures:
  own-rows:
    about: rows of our own
    kind: examples
    sources: {a: all}
  parts:
    about: in two splits
    kind: examples
    sources: {a: 20}
    splits: {sft: 50, test: 50}
  sold:
    about: for sale
    kind: examples
    use: commercial
    sources: {bound: all}
"""


class Place:
    """A data folder, mixtures, a cache and reports."""

    def __init__(self, folder: Path) -> None:
        self.data, self.reports = folder / "data", folder / "reports"
        self.mixtures = folder / "mixtures.yaml"
        self.mixtures.write_text(MIXTURES, "utf-8")
        self.rows = write(self.data / "org/a/default/train.jsonl", alpaca(30))

    def make(self, *arguments: str) -> int:
        given = ["--data", str(self.data), "--mixtures", str(self.mixtures)]
        return main(["data", *arguments, *given, "--reports", str(self.reports)])


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HARNESS_DATA", raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return Place(tmp_path)


def test_it_says_what_it_reads_and_what_came_of_it(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    assert place.make("parts") == 0
    out, err = capsys.readouterr()
    folder = mixture_folder("parts")
    assert out.startswith(
        f"parts: in two splits\n  a: at most 20 of org/a/default/train (mit)\ninto {folder}\n"
    )
    assert "  draw: 30 rows in, 30 rows out\n" in out
    assert "  take: 30 examples in, 20 examples out (10 spare)\n" in out
    assert out.endswith(
        f"rows and data_card.json: {folder}\npage: {place.reports}/data/parts.html\n"
    )
    assert "reading and cleaning: 30 rows" in err and "not held against bbq" in err
    assert sorted(path.name for path in folder.iterdir()) == [FILE, "sft.jsonl", "test.jsonl"]


def test_a_trial_has_its_own_place_and_says_so(place: Place) -> None:
    assert place.make("own-rows", "--limit", "7") == 0
    card = read_card(mixture_folder("own-rows", 7))
    assert card is not None and (card.rows, card.limit) == (7, 7)
    page = (place.reports / "data" / "own-rows-first-7.html").read_text("utf-8")
    assert "A trial: only the first 7 rows of each source were read." in page
    assert read_card(mixture_folder("own-rows")) is None


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["part"], 2, "did you mean 'parts'"),
        (["sold"], 2, "bound (cc-by-nc-4.0)"),
        (["parts", "--limit", "0"], 2, "at least 1"),
        (["parts", "--data", "nowhere"], 2, "does not exist"),
        (["parts", "--mixtures", "nowhere"], 2, "cannot read nowhere"),
    ],
)
def test_wrong_use_is_refused(
    place: Place, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, said: str
) -> None:
    base = ["data", "--data", str(place.data), "--mixtures", str(place.mixtures)]
    assert main([*base, *arguments]) == code
    assert said in capsys.readouterr().err


def test_a_shipped_mixture_is_not_replaced_by_another_of_its_name(
    place: Place, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    place.mixtures.write_text(MIXTURES.replace("own-rows", "gsm8k-arc"), "utf-8")
    assert place.make("gsm8k-arc") == 2
    assert "gsm8k-arc is the name of a shipped mixture" in capsys.readouterr().err
    assert place.make("gsm8k-arc", "--out", str(tmp_path / "elsewhere")) == 0
    assert not mixture_folder("gsm8k-arc").exists()


def test_rows_that_are_not_those_of_the_card_are_not_learned(place: Place) -> None:
    place.make("own-rows")
    rows = mixture_folder("own-rows") / "train.jsonl"
    content = rows.read_bytes()
    assert len(examples("own-rows", None).rows) == 30
    rows.write_bytes(content.replace(b"a", b"b"))
    with pytest.raises(DataError, match=r"not the file that the card of own-rows describes: `make"):
        examples("own-rows", None)
    rows.unlink()
    with pytest.raises(DataError, match="is missing, or not the file"):
        check_name("own-rows", None)
    place.make("own-rows")
    assert rows.read_bytes() == content


def test_sources_that_are_missing_are_all_named(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    place.rows.unlink()
    assert place.make("parts") == 1
    err = capsys.readouterr().err
    assert "1 source of 1 cannot be read" in err and "org/a/default/train.jsonl is not in" in err


def test_a_recipe_may_name_a_mixture(place: Place) -> None:
    with pytest.raises(DataError, match=r"`make data MIXTURE=gsm8k-arc DATA=dir` makes it"):
        check_name("gsm8k-arc", None)
    place.make("own-rows")
    place.make("parts")
    check_name("own-rows", None)
    check_name("parts/sft", None)
    found = examples("own-rows", None)
    assert (len(found.rows), found.name) == (30, "own-rows")
    whole = {example.answer for example in found.rows}
    halves = [{e.answer for e in examples(f"parts/{name}", None).rows} for name in ("sft", "test")]
    assert len(halves[0]) + len(halves[1]) == 20 and halves[0] | halves[1] < whole
    assert not halves[0] & halves[1]
    with pytest.raises(UsageError, match="has the splits sft, test; name one, as parts/sft"):
        check_name("parts", None)
    with pytest.raises(UnknownName, match=r"split 'tset'.*did you mean 'test'"):
        check_name("parts/tset", None)
    with pytest.raises(UnknownName, match="did you mean 'sft-small'"):
        check_name("sft-smal", None)
    with pytest.raises(DataError, match="preference"):
        pairs("own-rows", None)


def test_the_questions_of_a_mixture_can_be_asked(place: Place) -> None:
    place.make("own-rows")
    place.make("parts")
    solved = {question.reference for question in read_questions("own-rows/train", None)}
    assert solved == {example.answer for example in examples("own-rows", None).rows}
    assert len(read_questions("parts/sft", None)) == len(examples("parts/sft", None).rows)
    with pytest.raises(UsageError, match="name one, as parts/sft"):
        read_questions("parts", None)


def test_a_lineage_keeps_the_card_and_notices_other_rows(place: Place) -> None:
    place.make("own-rows")
    options = {"data": "own-rows", "seed": 1}
    cards, files = data_cards(options), data_files(options)
    assert cards == {"own-rows": read_card(mixture_folder("own-rows"))}
    rows = mixture_folder("own-rows") / "train.jsonl"
    assert files == {"own-rows": hashlib.sha256(rows.read_bytes()).hexdigest()}
    assert data_cards({"data": "default"}) == data_cards({"data": "own.jsonl"}) == {}
    lineage = _lineage("m", "x" * 64, options, cards=cards, data_files=files)
    assert changed_files(lineage) == []
    write(place.rows, alpaca(31))
    place.make("own-rows")
    assert changed_files(lineage) == ["own-rows"]


def _lineage(model: str, recipe: str, options: dict[str, Any], **more: Any) -> Lineage:
    return Lineage(
        model=model,
        recipe_id=recipe,
        kind="sft",
        options=options,
        parent="root",
        parent_weights_id="sha256:0",
        parent_bytes=1,
        files={},
        packages={},
        seed=1,
        seconds=1.0,
        when="2026-01-01T00:00:00+00:00",
        machine="m",
        harness="0",
        **more,
    )


def test_what_a_model_learned_from_is_found_along_its_lineage(place: Place, tmp_path: Path) -> None:
    place.make("own-rows")
    (tmp_path / "zoo.yaml").write_text(
        "models:\n"
        "  root: {family: f, stage: base, source: {hub: org/name}}\n"
        "  a: {parent: root, step: {kind: sft, data: own-rows}}\n"
        "  b: {parent: a, step: {kind: dpo}}\n"
    )
    zoo = load_zoo(tmp_path / "zoo.yaml")
    assert learned_from(zoo.get("b"), zoo) == {}
    cards = data_cards({"data": "own-rows"})
    for name, kept in (("a", cards), ("b", {})):
        folder = built_folder(zoo.get(name), zoo)
        folder.mkdir(parents=True)
        write_lineage(folder, _lineage(name, folder.name, {}, cards=kept))
    assert learned_from(zoo.get("b"), zoo) == cards
    assert learned_from(zoo.get("root"), zoo) == {}
    (built_folder(zoo.get("a"), zoo) / "lineage.json").write_text("{")
    assert learned_from(zoo.get("b"), zoo) == {}


def test_a_report_leads_from_model_to_card(place: Place, tmp_path: Path) -> None:
    place.make("own-rows")
    card = read_card(mixture_folder("own-rows"))
    assert card is not None
    digest = card_digest(card)
    found = run("tuned", [result("arc_easy", proportion(0.5, 10))])
    found = replace(found, model=replace(found.model, data_cards={"own-rows": digest}))
    folder = stored(tmp_path / "runs" / found.id, found, {})
    other = run("plain", [result("arc_easy", proportion(0.4, 10))])
    keep_cards(folder.path, {"own-rows": card})
    assert kept_card(folder.path, digest) == card
    reports = tmp_path / "report"
    written = write_leaderboard([folder, stored(tmp_path / "runs" / other.id, other, {})], reports)
    name = f"data/own-rows-{digest[:8]}.html"
    assert written[name] == reports / name
    assert (reports / name).read_text("utf-8").count("<h1>Training data: own-rows</h1>") == 1
    page = (reports / "html" / run_page(found.id)).read_text("utf-8")
    assert f'<a href="../{name}">own-rows, data card {digest[:8]}</a>' in page
    board = (reports / "leaderboard.html").read_text("utf-8")
    assert board.count(f'learned from <a href="{name}">own-rows</a>') == 1
    assert f'href="{name}"' in (reports / "index.html").read_text("utf-8")
    # A run that came without its card still says what was learned from, and leads nowhere.
    kept = folder.path / "cards" / f"{digest[:16]}.json"
    shutil.copy(kept, tmp_path / "runs/x.json")
    assert kept_card(folder.path, "../../x") is None
    assert kept_card(folder.path, "\0") is None
    kept.write_text(kept.read_text("utf-8").replace("own-rows", "others"), "utf-8")
    assert kept_card(folder.path, digest) is None
    (reports / name).unlink()
    write_leaderboard([folder], reports)
    assert not (reports / name).exists()
    assert "learned from own-rows" in (reports / "leaderboard.html").read_text("utf-8")


def test_the_page_says_what_the_card_says_and_nothing_can_break_out(place: Place) -> None:
    hostile = "<script>alert(1)</script> | `x` </td>"
    rows = [*alpaca(3), {"instruction": hostile, "output": ""}]
    rows.append({"instruction": words(9, "x") + hostile, "output": "x" * 30_000})
    write(place.rows, rows)
    assert place.make("own-rows") == 0
    page = (place.reports / "data" / "own-rows.html").read_text("utf-8")
    text = (place.reports / "data" / "own-rows.md").read_text("utf-8")
    card = read_card(mixture_folder("own-rows"))
    assert card is not None
    assert "<script>alert" not in page and "<script>" not in text
    for said in (headline(card), "too long", "empty", "an empty question or answer"):
        assert html.escape(said) in page and said in text
    for caution in cautions(card):
        assert html.escape(caution, quote=False) in html.unescape(page)
    assert not re.search(r'\sstyle="', page)
    (entry,) = pages_in(place.reports).data
    assert (entry.path, entry.title) == ("data/own-rows.html", "Training data: own-rows")
    assert json.loads((mixture_folder("own-rows") / FILE).read_text())["mixture"] == "own-rows"
    assert len(read(mixture_folder("own-rows") / "train.jsonl")) == 3


@pytest.mark.slow
def test_a_model_learns_from_a_mixture_and_its_report_shows_the_card(
    place: Place, tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole way: sources, mixture, training, scoring, report."""
    from harness.cli import main as harness

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    zoo = tmp_path / "zoo.yaml"
    zoo.write_text(
        f"""models:
  tiny: {{family: tiny, stage: base, source: {{path: {tiny_model}}}}}
  tiny-sft:
    parent: tiny
    step: {{kind: sft, data: parts/sft, template: plain, precision: float32, batch_size: 4,
           accumulation: 1, warmup_steps: 1, epochs: 1, max_length: 512}}
"""
    )
    assert main(["tiny-sft", "--zoo", str(zoo)]) == 1  # the mixture is not made yet
    assert place.make("parts") == 0
    assert main(["tiny-sft", "--zoo", str(zoo)]) == 0
    reports = ["--reports", str(place.reports)]
    given = ["--zoo", str(zoo), "--model", "tiny-sft", "--tasks", "stem", "--limit", "2"]
    assert harness(["eval", *given, *reports]) == 0
    card = read_card(mixture_folder("parts"))
    assert card is not None
    page = f"data/parts-{card_digest(card)[:8]}.html"
    assert (place.reports / page).exists()
    board = (place.reports / "leaderboard.html").read_text("utf-8")
    assert f'learned from <a href="{page}">parts/sft</a>' in board
    (found,) = (place.reports / "html").glob("*.html")
    assert f'<a href="../{page}">parts/sft, data card' in found.read_text("utf-8")
