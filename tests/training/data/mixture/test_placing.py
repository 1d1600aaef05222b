"""Where a mixture may be made: nothing is lost there, and nothing damaged is taken for whole."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.data_card import FILE, encode_card
from harness.errors import DataError, Interrupted, UsageError
from tests.conftest import REPOSITORY
from tests.training.data.mixture.rows import (
    Silent,
    alpaca,
    made,
    mixture,
    read,
    source,
    words,
    write,
)
from training.data.mixture import choosing, making, placing, shards, working
from training.data.mixture.declared import Mixture, Source, Taken
from training.data.mixture.making import Place, make


def files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def plain(folder: Path, name: str = "rows.jsonl", count: int = 5) -> Mixture:
    return mixture(source(write(folder / name, alpaca(count))), ngram=None)


def test_a_folder_that_is_no_mixture_is_left_alone(tmp_path: Path) -> None:
    declared = plain(tmp_path)
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.tex").write_text("all of it")
    before = files(tmp_path)
    with pytest.raises(UsageError, match=r"not an earlier mixture: it holds thesis\.tex, which"):
        made(declared, mine)
    assert files(tmp_path) == before
    (mine / "thesis.tex").unlink()
    assert made(declared, mine).rows == 5  # an empty one is nobody's


@pytest.mark.parametrize("other", ["notes.txt", "other.jsonl", "train.jsonl/"])
def test_a_mixture_with_something_else_in_it_is_left_alone(tmp_path: Path, other: str) -> None:
    out = tmp_path / "out"
    made(plain(tmp_path), out)
    if other.endswith("/"):
        (out / other).with_suffix(".jsonl").unlink()
        (out / other).mkdir()
        (out / other / "deep").write_text("mine")
    else:
        (out / other).write_text("mine")
    before = files(out)
    with pytest.raises(UsageError, match=other.strip("/")):
        made(plain(tmp_path, count=6), out)
    assert files(out) == before


def test_rows_without_a_card_are_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write(out / "train.jsonl", alpaca(2, "mine"))
    with pytest.raises(UsageError, match=r"it holds train\.jsonl"):
        made(plain(tmp_path), out)
    assert len(read(out / "train.jsonl")) == 2


def test_a_file_stays_a_file(tmp_path: Path) -> None:
    out = tmp_path / "notes"
    out.write_text("mine")
    with pytest.raises(UsageError, match="is a file"):
        made(plain(tmp_path), out)
    assert out.read_text() == "mine"


def test_sources_are_not_deleted(tmp_path: Path) -> None:
    data = tmp_path / "data"
    path = write(data / "org/a/default/train.jsonl", alpaca(5))
    declared = mixture(
        Source(name="a", format="alpaca", licence="own", dataset="org/a"), ngram=None
    )
    for out in (data, tmp_path, data / "org" / ".."):
        with pytest.raises(UsageError, match="holds what the mixture is made of"):
            made(declared, out, data=data)
    # Its own earlier rows, by name of the data set.
    place = path.parent
    made(declared, tmp_path / "first", data=data)
    (tmp_path / "first" / FILE).rename(place / FILE)
    with pytest.raises(UsageError, match="holds what the mixture is made of"):
        made(declared, place, data=data)
    assert len(read(path)) == 5


def test_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    declared = plain(tmp_path / "rows")
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    (here / "mine").write_text("x")
    with pytest.raises(UsageError, match=f"{here} is not empty"):
        made(declared, Path("."))
    (here / "mine").unlink()
    assert made(declared, Path("sub/..")).rows == 5
    assert sorted(path.name for path in (tmp_path / "here").iterdir()) == [FILE, "train.jsonl"]
    with pytest.raises(UsageError, match="no folder that can be made"):
        made(declared, Path("/"))


def test_what_came_meanwhile_is_not_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    choose = choosing.choose

    def late(*given: object) -> object:
        out.mkdir()
        (out / "mine").write_text("x")
        return choose(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(working, "choose", late)
    with pytest.raises(UsageError, match="it holds mine"):
        made(plain(tmp_path), out)
    assert files(out) == {"mine": b"x"}


def told(declared: Mixture, out: Path) -> list[str]:
    lines: list[str] = []
    make(declared, Place(None, out, None, lines.append), Silent())
    return lines


def test_a_damaged_mixture_is_made_anew(tmp_path: Path) -> None:
    declared, out = plain(tmp_path), tmp_path / "out"
    card = made(declared, out)
    whole = files(out)
    rows = out / "train.jsonl"
    rows.unlink()
    assert any("not what its card describes" in line for line in told(declared, out))
    assert files(out) == whole
    rows.write_text("tampered\n")
    told(declared, out)
    assert files(out) == whole
    later = json.loads(encode_card(card)) | {"schema": 99}
    for damaged in ("{", json.dumps(later), "\x00"):
        (out / FILE).write_text(damaged)
        assert any(
            "cannot be read: the mixture is made anew" in said for said in told(declared, out)
        )
        assert files(out) == whole
    assert any("is there" in line for line in told(declared, out))


WAITING = """
import sys
from pathlib import Path
from tests.training.data.mixture.rows import Silent, mixture, source
from training.data.mixture.making import Place, make

rows, out = map(Path, sys.argv[1:])
place = Place(None, out, None, lambda line: print(line, flush=True))
make(mixture(source(rows), ngram=None), place, Silent())
"""


def test_who_waits_and_is_interrupted_deletes_nothing(tmp_path: Path) -> None:
    fcntl = pytest.importorskip("fcntl")
    path = write(tmp_path / "rows.jsonl", alpaca(5))
    partial = tmp_path / ".out.partial"
    partial.mkdir()
    (partial / "train.jsonl").write_text("in progress")
    with (tmp_path / ".out.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        process = subprocess.Popen(
            [sys.executable, "-c", WAITING, str(path), str(tmp_path / "out")],
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"waiting for another process")
        process.send_signal(signal.SIGINT)
        error = process.communicate(timeout=60)[1].decode()
        assert "Interrupted" in error
        assert (partial / "train.jsonl").read_text() == "in progress"


def test_a_work_folder_that_was_half_deleted_is_begun_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared, out, work = plain(tmp_path), tmp_path / "out", tmp_path / ".out.work"
    made(declared, tmp_path / "whole")

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    for gone in ("000-01-00000.rows", "000-01-00000.npz", "000-01-00000.json"):
        with monkeypatch.context() as patched:
            patched.setattr(working, "choose", stop)
            with pytest.raises(Interrupted):
                made(declared, out)
        (work / gone).unlink()
        made(declared, out)
        assert files(out) == files(tmp_path / "whole")
        (out / FILE).unlink()
        (out / "train.jsonl").unlink()


def test_the_note_of_a_work_folder_goes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (work / placing.BEGUN).write_text("x")
    seen: list[list[str]] = []
    monkeypatch.setattr(
        shutil, "rmtree", lambda path, **_: seen.append([p.name for p in path.iterdir()])
    )
    placing.discard(work)
    assert seen == [[]]


def test_no_work_folder_is_left_by_what_failed_or_was_there(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", alpaca(5))
    work = tmp_path / ".out.work"
    with pytest.raises(DataError, match="asks for more"):
        made(mixture(Taken(source(path), 9), ngram=None), tmp_path / "out")
    assert not work.exists()
    made(mixture(source(path), ngram=None), tmp_path / "out")
    work.mkdir()
    made(mixture(source(path), ngram=None), tmp_path / "out")
    assert not work.exists()


def test_shards_end_by_bytes_and_by_what_came_of_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However the work is cut, the same comes of it; and rows are on the disk as it goes on."""
    talks = [
        {"conversations": [words(30, (n, turn)) for turn in range(6)]} for n in range(40)
    ]  # 120 examples of about 250, 750 and 1,200 characters
    declared = mixture(
        source(write(tmp_path / "rows.jsonl", talks), format="turns"), ngram=None, seed=3
    )
    made(declared, tmp_path / "whole")
    finished: list[int] = []
    finish = shards._Begun.finish

    def noted(self: shards._Begun) -> shards.Shard:
        finished.append(self._bytes)
        return finish(self)

    monkeypatch.setattr(shards._Begun, "finish", noted)
    with monkeypatch.context() as patched:
        patched.setattr(shards, "SHARD_BYTES", 10_000)
        patched.setattr(shards, "_BATCH_CHARS", 2_000)
        made(declared, tmp_path / "bytes")
    assert len(finished) > 5 and all(10_000 <= size < 15_000 for size in finished[:-1])
    finished.clear()
    with monkeypatch.context() as patched:
        patched.setattr(shards, "SHARD_ROWS", 30)
        patched.setattr(shards, "_BATCH", 6)
        made(declared, tmp_path / "rows")
    assert len(finished) == 4  # 30 of 120 each
    assert files(tmp_path / "bytes") == files(tmp_path / "whole") == files(tmp_path / "rows")


def test_another_tokenizer_in_the_same_place_is_another_mixture(tmp_path: Path) -> None:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Split, Whitespace

    def save(cut: Whitespace | Split, folder: Path) -> Path:
        folder.mkdir(exist_ok=True)
        tokenizer = Tokenizer(WordLevel({"?": 0}, unk_token="?"))
        tokenizer.pre_tokenizer = cut
        tokenizer.save(str(folder / "tokenizer.json"))
        return folder

    path = write(tmp_path / "rows.jsonl", alpaca(5))
    folder = save(Whitespace(), tmp_path / "tok")
    declared = mixture(source(path), ngram=None, max_tokens=60, tokenizer=str(folder))
    card = made(declared, tmp_path / "out")
    assert card.rows == 5  # of 32 words each
    limit = card.settings["longest row"]
    assert limit.startswith("20,000 characters, 60 tokens of tok (sha256 ")
    assert str(tmp_path) not in encode_card(card).decode()
    # The same file elsewhere is the same tokenizer.
    (tmp_path / "other").mkdir()
    moved = save(Whitespace(), tmp_path / "other" / "tok")
    there = mixture(source(path), ngram=None, max_tokens=60, tokenizer=str(moved))
    assert made(there, tmp_path / "elsewhere") == card
    save(Split("", "isolated"), folder)  # every character is a token
    with pytest.raises(DataError, match="nothing is left"):
        made(declared, tmp_path / "out")


def test_a_tokenizer_that_is_not_there_is_named_before_the_sources_are_read(
    tmp_path: Path,
) -> None:
    declared = mixture(source(tmp_path / "none.jsonl"), max_tokens=9, tokenizer="nowhere")
    with pytest.raises(UsageError, match="tokenizer: nowhere cannot be read"):
        made(declared, tmp_path / "out")


def test_an_error_of_reading_is_none_of_the_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared = plain(tmp_path)

    def broken(*_: object) -> None:
        raise OSError(5, "Input/output error", "rows.jsonl")

    monkeypatch.setattr(making, "survey", broken)
    with pytest.raises(DataError, match=r"rows\.jsonl cannot be read: Input/output error"):
        made(declared, tmp_path / "out")


def test_a_half_character_stops_a_mixture_with_its_row_or_is_counted(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", alpaca(2))
    line = b'{"instruction": "which", "output": "this", "history": [["a \\ud800", "b"]]}\n'
    path.write_bytes(path.read_bytes() + line)
    with pytest.raises(DataError, match=r"row 3: the column 'history\[0\]' holds"):
        made(mixture(source(path), ngram=None), tmp_path / "out")
    card = made(mixture(source(path), ngram=None, unreadable="drop"), tmp_path / "out")
    assert (card.rows, card.drops) == (2, {"malformed": 1})
