"""Where tokens begin, worked out by hand for tokenizers of a few words and of bytes."""

import json
import re
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from harness.cli import main
from harness.report.html import run_page
from harness.report.token_borders import Borders, NoBorders, borders_of, written
from harness.zoo import load_zoo
from tests.report.fixtures.runs import choice_row, proportion, result, run, stored


def words(bos: bool = True) -> Tokenizer:
    """A token a word, ``<s>`` in front; it leaves out the blanks."""
    made = Tokenizer(models.WordLevel({"<s>": 0, "?": 1}, unk_token="?"))
    made.add_special_tokens(["<s>"])
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if bos:
        made.post_processor = processors.TemplateProcessing("<s> $A", None, [("<s>", 0)])
    return made


def byte_by_byte() -> Tokenizer:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE({letter: at for at, letter in enumerate(alphabet)}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return made


def test_a_token_begins_where_the_one_before_ends() -> None:
    cut = Borders(words(), "<s>", True).of_text("a bc  d")
    assert (cut.begins, cut.before) == ((0, 1, 4), ("<s>",))
    assert written(cut.begins) == "0 1 3"
    assert written(()) == ""


def test_tokens_of_one_character_begin_in_one_place() -> None:
    """A letter of two bytes, then an emoji of four."""
    cut = Borders(byte_by_byte(), "", True).of_text("é\U0001f9eab")
    assert (cut.begins, cut.before) == ((0, 0, 1, 1, 1, 1, 2), ())
    assert written(cut.begins) == "0 0 1 0 0 0 1"


@pytest.mark.parametrize(
    ("text", "special", "before"), [("<s> a", True, ()), ("a", True, ("<s>",)), ("a", False, ())]
)
def test_bos_is_put_before_what_has_none(text: str, special: bool, before: tuple[str, ...]) -> None:
    assert Borders(words(), "<s>", special).of_text(text).before == before


def test_blanks_at_the_end_belong_to_what_continues() -> None:
    borders = Borders(byte_by_byte(), "", True)
    row = choice_row(0, True, prompt="ab ")
    assert borders.of(row).begins == (0, 1)
    assert borders.of(replace(row, continuations=())).begins == (0, 1, 2)


@pytest.fixture
def zoo(tmp_path: Path) -> Path:
    """A registry with the model ``smol`` in a folder with a tokenizer."""
    folder = tmp_path / "smol"
    folder.mkdir()
    words().save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"bos_token": {"content": "<s>"}}))
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"")
    path = tmp_path / "zoo.yaml"
    path.write_text(
        "models:\n  smol:\n    family: smollm2\n    stage: base\n    source: {path: smol}\n"
    )
    return path


def made(zoo: Path, **changes: Any) -> Any:
    digest = sha256((zoo.parent / "smol" / "tokenizer.json").read_bytes()).hexdigest()
    fields: dict[str, Any] = {"files": {"tokenizer.json": digest}, **changes}
    return run("smol", [result("mmlu", proportion(0.5, 20))], **fields)


def test_the_tokenizer_of_the_runs_model_is_found(zoo: Path) -> None:
    assert borders_of(made(zoo), load_zoo(zoo)).of_text("<s> a").before == ()


def test_another_tokenizer_is_not_used(zoo: Path) -> None:
    known, folder = made(zoo), zoo.parent / "smol"
    for asked, why in (
        (replace(known, model=replace(known.model, name="gone")), "has no model gone any more"),
        (made(zoo, files={"tokenizer.json": "ab" * 32}), "another one than the run had"),
    ):
        with pytest.raises(NoBorders, match=why):
            borders_of(asked, load_zoo(zoo))
    (folder / "tokenizer_config.json").write_text("[]")
    with pytest.raises(NoBorders, match=r"cannot be read: .*holds no object"):
        borders_of(known, load_zoo(zoo))
    (folder / "tokenizer.json").unlink()
    with pytest.raises(NoBorders, match=r"cannot be read: .*No such file"):
        borders_of(known, load_zoo(zoo))
    (folder / "model.safetensors").unlink()
    with pytest.raises(NoBorders, match="the model is not here: no checkpoint in"):
        borders_of(known, load_zoo(zoo))


def test_a_bos_that_the_tokenizer_would_not_add_is_not_passed_over(zoo: Path) -> None:
    words(bos=False).save(str(zoo.parent / "smol" / "tokenizer.json"))
    asked = made(zoo)
    bos = replace(asked, model=replace(asked.model, add_bos=True))
    with pytest.raises(NoBorders, match="asked for a BOS"):
        borders_of(bos, load_zoo(zoo))


def test_pages_have_tokens_when_asked_and_say_why_not(
    zoo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begin = "Example one.\n\n" * 20
    rows = [choice_row(at, True, prompt=f"{begin}What is {at}?") for at in range(19)]
    rows.append(choice_row(19, True, prompt="x " * 10_000))
    asked = made(zoo)
    stored(zoo.parent / "reports" / "runs" / "r", asked, {"mmlu": rows})
    where = ["--reports", str(zoo.parent / "reports"), "--zoo", str(zoo)]
    page = zoo.parent / "reports" / "html" / run_page(asked.id)
    assert main(["report", *where]) == 0
    assert 'data-tokens="' not in page.read_text("utf-8")
    assert main(["report", "--tokens", *where]) == 2
    assert "--tokens goes with --pages RUN" in capsys.readouterr().err
    assert main(["report", "--pages", "r", "--tokens", *where]) == 0
    drawn = page.read_text("utf-8")
    # Of 40 words of examples; the question's three, of which the first begins at its border less
    # the two line ends that its tokenizer leaves out: these count as the token's own.
    assert drawn.count("43 tokens, after <code>&lt;s&gt;</code>") == 19
    assert len(re.findall(r' data-tokens="[^"]*"', drawn)) == 20, "19 docs and the examples"
    assert main(["report", "--pages", "r", *where]) == 0
    assert 'data-tokens="' in page.read_text("utf-8"), "a page that has more is kept"
    (zoo.parent / "smol" / "tokenizer.json").write_text("{}")
    assert main(["report", "--pages", "r", "--tokens", *where]) == 0
    assert "token borders are not shown: the tokenizer.json" in capsys.readouterr().err
    why = "Token borders are not shown: the tokenizer.json that is here is another one"
    assert why in page.read_text("utf-8")
