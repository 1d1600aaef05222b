"""A mixture that is interrupted goes on, and is the same as one that never was."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.errors import DataError, Interrupted
from tests.conftest import REPOSITORY
from tests.training.data.mixture.rows import Silent, alpaca, made, mixture, source, write
from training.data.mixture import shards, working
from training.data.mixture.declared import Taken
from training.data.mixture.making import Place, make
from training.data.mixture.surveying import Drawn

DRIVER = """
import sys, time
from pathlib import Path
from tests.training.data.mixture.rows import Silent, mixture, source
from training.data.mixture import shards
from training.data.mixture.declared import Taken
from training.data.mixture.making import Place, make

shards.SHARD_ROWS = 100
class Slow(Silent):
    def advance(self, count):
        time.sleep(0.002 if self.parts[-1][0] == "reading and cleaning" else 0)
a, b, out = map(Path, sys.argv[1:])
declared = mixture(Taken(source(a, "a"), 300), source(b, "b"), short="take", ngram=13)
make(declared, Place(None, out, None, print), Slow())
"""


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_killed_process_is_taken_up_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "SHARD_ROWS", 100)
    a = write(tmp_path / "a.jsonl", alpaca(700, "a"))
    b = write(tmp_path / "b.jsonl", alpaca(500, "b"))
    declared = mixture(Taken(source(a, "a"), 300), source(b, "b"), short="take", ngram=13)
    made(declared, tmp_path / "whole")

    out, work = tmp_path / "out", tmp_path / ".out.work"
    process = subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(a), str(b), str(out)],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while len(list(work.glob("*.json"))) < 3 and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not out.exists()
    kept = {path.name: path.stat().st_mtime_ns for path in work.glob("*.json")}
    assert len(kept) >= 3

    told: list[str] = []
    meter = Silent()
    done: dict[str, int] = {}
    begun = shards._Begun.take

    def counted(self: shards._Begun, drawn: Drawn) -> None:
        done["rows"] = done.get("rows", 0) + 1
        begun(self, drawn)

    monkeypatch.setattr(shards._Begun, "take", counted)
    make(declared, Place(None, out, None, told.append), meter)
    assert "going on where an earlier call was interrupted" in told
    # Drawn are 375 rows of the first and all 500 of the second.
    assert done["rows"] == 875 - sum(100 if place != "000-01-00003.json" else 75 for place in kept)
    assert files(out) == files(tmp_path / "whole")
    assert not work.exists()


def test_what_was_begun_for_other_rows_is_begun_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.jsonl", alpaca(50))

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(working, "choose", stop)
        with pytest.raises(Interrupted, match="the same command goes on"):
            made(mixture(source(path)), tmp_path / "out")
    assert list((tmp_path / ".out.work").glob("*.json"))
    write(path, alpaca(50, "others"))
    made(mixture(source(path)), tmp_path / "out")
    rows = (tmp_path / "out" / "train.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(row)["output"] for row in rows] == [
        row["output"] for row in alpaca(50, "others")
    ]


def test_a_source_that_changes_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.jsonl", alpaca(5))
    take = shards._Begun.take

    def changing(self: shards._Begun, drawn: Drawn) -> None:
        take(self, drawn)
        write(path, alpaca(6, "other"))

    monkeypatch.setattr(shards._Begun, "take", changing)
    with pytest.raises(DataError, match=r"a: .*a\.jsonl changed while it was read; run the same"):
        made(mixture(source(path)), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    monkeypatch.undo()
    assert made(mixture(source(path)), tmp_path / "out").rows == 6
