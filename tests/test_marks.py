"""`harness marks`: a file is taken in whole or not at all, and every mistake is named."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.cli import main
from harness.errors import RecordError
from harness.marks import Mark, marks_path, merged, read_marks, write_marks
from harness.report.html import run_page
from harness.run_folder import RunFolder
from tests.report.fixtures.runs import HOSTILE_TEXT, generated_row, proportion, result, run, stored

Command = Callable[..., tuple[int, str, str]]
Reviewed = Callable[..., Path]

RUN = run("smol-dpo", [result("gsm8k", proportion(0.5, 4), "exact_match,strict-match")])
ROWS = [generated_row(index, f" answer {index}") for index in range(4)]
NOON = "2026-03-01T12:00:00Z"


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return stored(tmp_path / "reports" / "runs" / RUN.id, RUN, {"gsm8k": ROWS})


@pytest.fixture
def harness(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    def command(*arguments: str) -> tuple[int, str, str]:
        code = main([*arguments, "--reports", str(tmp_path / "reports")])
        out, err = capsys.readouterr()
        return code, out, err

    return command


def entry(doc: int, mark: str = "bad", note: str = "", at: str = NOON) -> dict[str, Any]:
    return {
        "task": "gsm8k",
        "doc_id": ROWS[doc].doc_id,
        "mark": mark,
        "note": note,
        "at": at,
    }


@pytest.fixture
def reviewed(tmp_path: Path) -> Reviewed:
    """Writes a file as a page writes it; ``changes`` go to its head."""

    def write(*entries: Any, **changes: Any) -> Path:
        head = {
            "kind": "harness marks",
            "schema": 1,
            "run": RUN.id,
            "reviewer": "Ana",
            "saved": NOON,
            "marks": list(entries),
        }
        path = tmp_path / "marks.json"
        path.write_text(json.dumps({**head, **changes}), encoding="utf-8")
        return path

    return write


def test_marks_are_taken_in_and_counted(
    folder: RunFolder, harness: Command, reviewed: Reviewed
) -> None:
    """Two at first. Then one newer (changed), one as it was, one of another doc (new), and later
    one older than what is stored, which changes nothing.
    """
    path = str(reviewed(entry(0, "good"), entry(1, "unsafe", "tells how")))
    code, out, err = harness("marks", "import", path)
    assert code == 0, err
    assert out == f"run {RUN.id}: 2 new, 0 changed, 0 unchanged\n"
    later = "2026-03-01T13:30:00+01:00"  # half past twelve in UTC
    again = reviewed(
        entry(0, "bad", at=later), entry(1, "unsafe", "tells how"), entry(2, "note", "so so")
    )
    _, out, _ = harness("marks", "import", str(again))
    assert out == f"run {RUN.id}: 1 new, 1 changed, 1 unchanged\n"
    _, out, _ = harness("marks", "import", str(reviewed(entry(0, "good"))), "--json")
    counts = {"new": 0, "changed": 0, "unchanged": 0, "older": 1}
    assert json.loads(out) == {"run": RUN.id, "reviewer": "Ana", **counts}
    assert {mark.doc_id: mark.mark for mark in read_marks(folder)} == {
        ROWS[0].doc_id: "bad",
        ROWS[1].doc_id: "unsafe",
        ROWS[2].doc_id: "note",
    }


def test_another_reviewer_has_marks_of_their_own(
    folder: RunFolder, harness: Command, reviewed: Reviewed
) -> None:
    harness("marks", "import", str(reviewed(entry(0, "good"))))
    _, out, _ = harness("marks", "import", str(reviewed(entry(0, "bad"), reviewer=" Ben ")))
    assert "1 new, 0 changed" in out
    assert [(mark.reviewer, mark.mark) for mark in read_marks(folder)] == [
        ("Ana", "good"),
        ("Ben", "bad"),
    ]


def test_marks_are_listed_and_shown_again(
    folder: RunFolder, harness: Command, reviewed: Reviewed, tmp_path: Path
) -> None:
    code, out, _ = harness("marks", "list")
    assert code == 0 and "no run is marked yet" in out
    assert "nobody has marked" in harness("marks", "list", RUN.id)[1]
    path = reviewed(entry(2, "bad", "adds\nup"), entry(0, "note", "fine"))
    _, _, err = harness("marks", "import", str(path))
    page = tmp_path / "reports" / "html" / run_page(RUN.id)
    assert f"report: {page}" in err
    _, out, _ = harness("marks", "list")
    assert out.splitlines() == [
        "run\tmodel\tgood\tbad\tunsafe\tnote\treviewers",
        f"{RUN.id}\tsmol-dpo\t0\t1\t0\t1\tAna",
    ]
    _, out, _ = harness("marks", "list", RUN.id)
    ids = [ROWS[index].doc_id for index in (0, 2)]
    assert out.splitlines()[1:] == [
        f"gsm8k\t0\t{ids[0]}\tnote\tAna\t2026-03-01 12:00 UTC\tfine",
        f"gsm8k\t2\t{ids[1]}\tbad\tAna\t2026-03-01 12:00 UTC\tadds up",
    ]
    _, out, _ = harness("marks", "list", RUN.id, "--json")
    assert [(told["doc"], told["note"]) for told in json.loads(out)] == [
        (0, "fine"),
        (2, "adds\nup"),
    ]
    _, out, _ = harness("show", RUN.id, "--task", "gsm8k")
    assert "marked bad by Ana, 2026-03-01 12:00 UTC: adds\nup" in out
    assert "noted by Ana, 2026-03-01 12:00 UTC: fine" in out
    assert 'data-mark="bad"' in page.read_text("utf-8")
    assert "Ana, 2026-03-01 12:00 UTC" in page.read_text("utf-8")


BAD_ENTRIES: list[tuple[Any, str]] = [
    ({**entry(0), "mark": "godo"}, "unknown mark godo: did you mean 'good'?"),
    (
        {**entry(0), "at": "0001-01-01T00:00:00+14:00"},
        "at: must be a time with its zone, such as 2026-03-01T12:00:00Z",
    ),
    ({**entry(0), "mark": 7}, "unknown mark 7; valid: good, bad, unsafe, note"),
    ({**entry(0), "mark": "note"}, "a mark 'note' without a note"),
    ({**entry(0), "note": None}, "note: must be a text, got None"),
    ({**entry(0), "note": "x" * 10_001}, "note: at most 10,000 characters, got 10,001"),
    ({**entry(0), "at": "yesterday"}, "at: must be a time with its zone"),
    ({**entry(0), "at": "2026-03-01T12:00:00"}, "at: must be a time with its zone"),
    ({**entry(0), "task": ""}, "task: must be a name"),
    ({**entry(0), "notes": ""}, "unknown key 'notes': did you mean 'note'?"),
    ({"task": "gsm8k"}, "doc_id is missing"),
    ("good", "must be an object, got str"),
    ({**entry(0), "task": "gsm8"}, "unknown task 'gsm8': did you mean 'gsm8k'?"),
    ({**entry(0), "doc_id": "00-0"}, f"run {RUN.id} has no such doc in gsm8k"),
    (entry(1), "entry 1 again"),
]


@pytest.mark.parametrize(("wrong", "problem"), BAD_ENTRIES)
def test_a_wrong_entry_is_named_and_nothing_is_stored(
    wrong: Any, problem: str, folder: RunFolder, harness: Command, reviewed: Reviewed
) -> None:
    code, out, err = harness("marks", "import", str(reviewed(entry(1), wrong)))
    assert (code, out) == (1, "")
    assert "cannot be taken in; nothing was stored:\n" in err
    assert "\n  entry 2" in err and problem in err
    assert not marks_path(folder).exists()


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"kind": "marks"}, "it is no file of marks"),
        ({"schema": True}, "schema True: this version of the harness reads 1"),
        ({"schema": 2}, "schema 2: this version of the harness reads 1"),
        ({"reviewer": "  "}, "reviewer: must be a name"),
        ({"reviewer": "x" * 101}, "reviewer: at most 100 characters, got 101"),
        ({"saved": 3}, "saved: must be a time with its zone"),
        ({"marks": {}}, "marks: must be a list, got dict"),
        ({"run": None}, "run: must be a run's id"),
        ({"signature": ""}, "unknown key 'signature'"),
    ],
)
def test_a_wrong_head_is_named(
    changes: Any, problem: str, folder: RunFolder, harness: Command, reviewed: Reviewed
) -> None:
    code, _, err = harness("marks", "import", str(reviewed(entry(0), **changes)))
    assert code == 1 and problem in err, err
    assert not marks_path(folder).exists()


def test_every_mistake_is_named_up_to_twenty(
    folder: RunFolder, harness: Command, reviewed: Reviewed
) -> None:
    path = reviewed(*({**entry(0), "mark": "x"} for _ in range(25)))
    _, _, err = harness("marks", "import", str(path))
    assert "  entry 20 " in err and "  entry 21 " not in err and "  and 5 more" in err


def test_an_unknown_run_is_refused_with_the_nearest(
    folder: RunFolder, harness: Command, reviewed: Reviewed
) -> None:
    code, _, err = harness("marks", "import", str(reviewed(entry(0), run=RUN.id + "0")))
    assert code == 2 and f"unknown run '{RUN.id}0': did you mean '{RUN.id}'?" in err


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 200_000, b"[]", b"3", b"null"])
def test_what_is_no_file_of_marks_is_refused(
    content: bytes, folder: RunFolder, harness: Command, tmp_path: Path
) -> None:
    path = tmp_path / "odd.json"
    path.write_bytes(content)
    code, out, err = harness("marks", "import", str(path))
    assert (code, out) == (1, "") and f"{path}" in err and "Traceback" not in err
    path.unlink()
    assert "there is no file" in harness("marks", "import", str(path))[2]
    path.mkdir()
    assert "cannot be read: Is a directory" in harness("marks", "import", str(path))[2]


def test_names_in_a_file_cannot_steer_a_terminal(
    folder: RunFolder, harness: Command, reviewed: Reviewed
) -> None:
    for wrong in ({**entry(0), "task": "\x1b[2J"}, {**entry(0), "mark": "\x1b[2J"}):
        _, _, err = harness("marks", "import", str(reviewed(wrong)))
        assert "\x1b" not in err and r"\x1b[2J" in err
    harness("marks", "import", str(reviewed(entry(0, "bad", HOSTILE_TEXT), reviewer="\x1b[2JAna")))
    for command in (["marks", "list"], ["marks", "list", RUN.id], ["show", "--task", "gsm8k"]):
        assert "\x1b" not in harness(*command)[1], command


def test_a_name_is_needed(folder: RunFolder, harness: Command) -> None:
    code, _, err = harness("marks", "import")
    assert code == 2 and "harness marks import FILE" in err


def test_damaged_marks_are_said_and_hide_nothing(
    folder: RunFolder, harness: Command, reviewed: Reviewed, tmp_path: Path
) -> None:
    good = Mark("gsm8k", ROWS[0].doc_id, "good", "", "Ana", NOON)
    write_marks(folder, [good])
    with marks_path(folder).open("a") as file:
        file.write('{"task": 3}\n')
    with pytest.raises(RecordError, match=r"marks\.jsonl, line 2"):
        read_marks(folder)
    code, out, err = harness("show", RUN.id, "--task", "gsm8k")
    assert code == 0 and "left out:" in err and out.count("target:") == 3
    assert harness("report")[0] == 0
    page = (tmp_path / "reports" / "html" / run_page(RUN.id)).read_text("utf-8")
    assert "The marks of this run cannot be shown" in page
    assert harness("marks", "import", str(reviewed(entry(0))))[0] == 1
    write_marks(folder, [replace(good, at="2026-03-01")])
    with pytest.raises(RecordError, match="line 1: the time '2026-03-01' has no zone"):
        read_marks(folder)


def test_the_newer_mark_wins_whichever_comes_first() -> None:
    old = Mark("t", "d", "good", "", "Ana", "2026-03-01T12:00:00+00:00")
    new = replace(old, mark="bad", at="2026-03-01T12:00:00.001Z")
    assert merged([old], [new]).marks == merged([new], [old]).marks == (new,)
    assert (merged([old], [new]).changed, merged([new], [old]).older) == (1, 1)
    same_moment = replace(old, mark="bad")
    assert merged([old], [same_moment]).marks == (same_moment,), "what comes in is the later word"
