"""Mixtures in YAML: what is shipped, and what is refused with its line."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from harness.errors import RegistryError, UnknownName
from harness.report.card_words import RULES as WORDS
from training.data.mixture.declared import WORDED
from training.data.mixture.layouts import PROMPT_COLUMN
from training.data.mixture.licences import FORBIDDEN
from training.data.mixture.mixtures_file import SHIPPED, find_mixture, load_mixtures
from training.data.mixture.refused import DECIDED, RULES

SOURCES = """sources:
  a: {path: a.jsonl, licence: mit, format: alpaca}
  p: {path: p.jsonl, licence: mit, format: preference}
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "mixtures.yaml"
    path.write_text(text, "utf-8")
    return path


def test_the_mixtures_of_the_progress_report_are_declared() -> None:
    """zephyr-report: 12,000 from each of ten; all of five; 12,500 pairs; 103,212 questions."""
    small, large, pairs, questions = (
        find_mixture(name) for name in ("sft-small", "sft-large", "dpo-mix", "mcqa")
    )
    assert [taken.at_most for taken in small.sources] == [12_000] * 10
    assert {taken.at_most for taken in large.sources} == {None} and len(large.sources) == 5
    assert sum(taken.at_most or 0 for taken in pairs.sources) == 12_500
    assert [taken.source.split for taken in questions.sources] == [
        "auxiliary_train",
        "train",
        "train",
    ]
    earlier = find_mixture("stem-assistant")
    assert dict(earlier.splits) == {"reward": 30, "sft": 30, "rl": 30, "test": 10}
    assert {taken.source.share for taken in earlier.sources} == {"exchange"}


def test_folders_that_their_hub_page_does_not_call_configurations_are_named() -> None:
    sources = yaml.safe_load(SHIPPED.read_text("utf-8"))["sources"]
    for name in ("hh-harmless", "shp-physics", "exchange-math"):
        assert sources[name]["hub_folder"].endswith(sources[name]["config"])


def test_no_shipped_source_reads_a_test_split() -> None:
    for mixture in load_mixtures().values():
        for taken in mixture.sources:
            assert taken.source.split in ("train", "auxiliary_train")
            assert taken.source.licence in FORBIDDEN


def test_all_that_can_be_said_of_a_mixture(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        """sources:
  s:
    dataset: org/name
    config: c
    split: validation
    licence: cc-by-sa-4.0
    format: stack_exchange
    columns: {question: body}
    where: {site: math, old: false}
    template: "{title}: {body}"
    personal: {ip: keep}
    votes: {bonus: 2.5, gap: 3, pairs: 4}
    share: sites
mixtures:
  m:
    about: everything
    kind: pairs
    sources: {s: 10}
    use: commercial
    seed: 7
    max_chars: 100
    max_tokens: 50
    tokenizer: tokenizer.json
    personal: {email: drop}
    near: none
    ngram: 8
    unreadable: drop
    short: take
    splits: {a: 90, b: 10}
""",
    )
    found = find_mixture("m", path)
    (taken,) = found.sources
    source = taken.source
    assert source.place == "org/name/c/validation"
    assert (source.where, source.columns) == ({"site": "math", "old": False}, {"question": "body"})
    assert (source.votes.bonus, source.votes.gap, source.votes.pairs) == (2.5, 3.0, 4)
    assert (source.template, source.share, source.personal) == (
        "{title}: {body}",
        "sites",
        {"ip": "keep"},
    )
    assert dict(found.personal) == {"email": "drop", "phone": "mask", "card": "mask", "ip": "mask"}
    assert (found.near, found.ngram, found.max_tokens, found.seed) == (None, 8, 50, 7)
    assert (found.use, found.unreadable, found.short) == ("commercial", "drop", "take")
    assert dict(found.splits) == {"a": 90, "b": 10}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("mixtures: {}", "'sources' and 'mixtures'"),
        (SOURCES + "mixtures:\n  m: {kind: examples, sources: {a: all}}", "'about' is missing"),
        (SOURCES + "mixtures:\n  M: {}", "yaml:5: the name 'M' is not valid"),
        (SOURCES + "mixtures:\n  m: {about: x, kind: pair}", "yaml:5"),
        (SOURCES + "mixtures:\n  m: {about: x, kind: pairs}", "'sources' is missing"),
        (SOURCES + "mixtures:\n  m: {about: x, kind: pairs, sources: {}}", "names no source"),
        (SOURCES + "mixtures:\n  m: {about: x, kind: pairs, sources: {q: 1}}", "no such source"),
        (SOURCES + "mixtures:\n  m: {about: x, kind: pairs, sources: {a: 1}}", "not pairs"),
        (SOURCES + "mixtures:\n  m: {about: x, kind: pairs, sources: {p: 0}}", "0 is not valid"),
        (SOURCES + "mixtures:\n  m: {about: x, kind: pairs, sources: {p: 1}, sedd: 3}", "'sedd'"),
        (
            SOURCES + "mixtures:\n  m: {about: x, kind: pairs, sources: {p: 1}, splits: {a: 40}}",
            "add up to 40",
        ),
        (
            SOURCES + "mixtures:\n  m: {about: x, kind: pairs, sources: {p: 1}, near: 2}",
            "0.3 to 1",
        ),
        (
            SOURCES + "mixtures:\n  m: {about: x, kind: pairs, sources: {p: 1}, max_tokens: 9}",
            "given together",
        ),
        (
            SOURCES
            + "mixtures:\n  m: {about: x, kind: pairs, sources: {p: 1}, personal: {name: mask}}",
            "'name'",
        ),
        ("sources:\n  a: {licence: mit, format: alpaca}\nmixtures: {}", "'dataset' or a 'path'"),
        ("sources:\n  a: {path: x, licence: gpl, format: alpaca}\nmixtures: {}", "'gpl'"),
        ("sources:\n  a: {path: x, licence: mit, format: csv}\nmixtures: {}", "'csv'"),
        (
            "sources:\n  a: {path: x, licence: mit, format: alpaca, votes: {gap: 1}}\nmixtures: {}",
            "only the format stack_exchange",
        ),
        (
            "sources:\n  a: {path: x, licence: mit, format: chat, template: x}\nmixtures: {}",
            "template",
        ),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(RegistryError) as refused:
        load_mixtures(written(tmp_path, text))
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("default", "a set that ships"),
        ("default-b", "a set that ships"),
        ("gsm8k", "a set that ships"),
        ("x.jsonl", "is a path"),
        ("x.json", "is a path"),
        ("a-first-7", "those of trials"),
    ],
)
def test_names_that_mean_something_else_in_a_recipe(tmp_path: Path, name: str, why: str) -> None:
    mixture = "{about: x, kind: pairs, sources: {p: 1}}"
    with pytest.raises(RegistryError) as refused:
        load_mixtures(written(tmp_path, f"{SOURCES}mixtures:\n  {name}: {mixture}"))
    assert f"yaml:5: the name {name!r} is not valid" in str(refused.value)
    assert why in str(refused.value)


def test_a_split_is_no_path(tmp_path: Path) -> None:
    mixture = "{about: x, kind: pairs, sources: {p: 1}, splits: {a.json: 100}}"
    with pytest.raises(RegistryError, match="is a path"):
        load_mixtures(written(tmp_path, f"{SOURCES}mixtures:\n  m: {mixture}"))


def test_paths_are_from_the_folder_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    mixture = "{about: x, kind: pairs, sources: {p: 1}, max_tokens: 9, tokenizer: ../tok}"
    written(folder, f"{SOURCES}mixtures:\n  m: {mixture}")
    monkeypatch.chdir(tmp_path)
    found = find_mixture("m", Path("mine/mixtures.yaml"))
    assert found.sources[0].source.path == str(folder / "p.jsonl")
    assert found.tokenizer == str(folder / "../tok")
    absolute = SOURCES.replace("p.jsonl", "/data/p.jsonl") + f"mixtures:\n  m: {mixture}"
    found = find_mixture("m", written(tmp_path, absolute))
    assert found.sources[0].source.path == "/data/p.jsonl"


def test_an_unknown_mixture_suggests_one() -> None:
    with pytest.raises(UnknownName, match="did you mean 'dpo-mix'"):
        find_mixture("dpo-mixx")


def test_rules_and_words_belong_together() -> None:
    assert tuple(WORDS) == RULES
    assert set(DECIDED) < set(RULES)
    assert set(PROMPT_COLUMN) == set(WORDED)
