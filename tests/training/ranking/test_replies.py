"""Replies are kept through kills, and nobody else writes among them."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import StorageError, UsageError
from training.ranking.replies import Kept, open_replies, read_replies

ONE = Kept("aa", "[1, 2]", 100, 10, False, 2, "stop", "", "m")
TWO = Kept("bb", "", 5, 0, True, refusal="No.")


def kept(path: Path) -> tuple[dict[str, Kept], list[str]]:
    told: list[str] = []
    with open_replies(path, told.append) as replies:
        return dict(replies.kept), told


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "folder" / "replies.jsonl"
    with open_replies(path, print) as replies:
        replies.add(ONE)
        replies.add(TWO)
    return path


def test_what_is_written_is_read_back(path: Path) -> None:
    found, told = kept(path)
    assert found == {"aa": ONE, "bb": TWO} == read_replies(path)
    assert told == [f"2 replies are kept in {path}"]
    assert (found["aa"].reply.finish, found["bb"].reply.refusal) == ("stop", "No.")


@pytest.mark.parametrize("cut", [1, 20, -1])
def test_a_torn_last_line_costs_that_reply_only(path: Path, cut: int) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1][:cut])
    whole = cut == -1  # only the line end is missing: that reply is whole
    assert set(kept(path)[0]) == ({"aa", "bb"} if whole else {"aa"})
    with open_replies(path, print) as replies:
        replies.add(TWO)
    found, told = kept(path)
    assert found == {"aa": ONE, "bb": TWO}
    assert len(told) == (1 if whole else 2)
    if not whole:
        assert "damaged lines are left out, 1 of them" in told[1]


def test_damage_in_the_middle_costs_that_line_only(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b"\xff\xfe{\n" + b'{"asked": 3}\n' + lines[1])
    found, told = kept(path)
    assert set(found) == {"aa", "bb"}
    assert "2 of them" in told[1]


def test_of_two_replies_to_one_question_the_first_counts(path: Path) -> None:
    with open_replies(path, print) as replies:
        replies.add(Kept("aa", "[2, 1]", 1, 1))
        assert replies.kept["aa"] == ONE
    assert kept(path)[0]["aa"] == ONE


def test_a_request_without_a_reply_is_written_down_and_answers_nothing(path: Path) -> None:
    lost = Kept("cc", "", 37, 100, True, 3, failed="time-out")
    with open_replies(path, print) as replies:
        replies.add(lost)
        replies.add(lost)
        replies.add(Kept("aa", "", 0, 0, failed="status 400"))
    with open_replies(path, print) as replies:
        assert set(replies.kept) == {"aa", "bb"} and replies.kept["aa"] == ONE
        assert [one.failed for one in replies.failed] == ["time-out", "time-out", "status 400"]
        replies.add(Kept("cc", "2", 1, 1))
        assert replies.kept["cc"].text == "2"
    assert set(read_replies(path)) == {"aa", "bb", "cc"}


def test_two_processes_do_not_write_to_one_file(path: Path) -> None:
    with (
        open_replies(path, print),
        pytest.raises(UsageError, match="another process writes"),
        open_replies(path, print),
    ):
        pass


@pytest.mark.usefixtures("no_locks")
def test_a_file_system_without_locks_keeps_replies_too(path: Path) -> None:
    assert set(kept(path)[0]) == {"aa", "bb"}


def test_looking_makes_no_file(tmp_path: Path) -> None:
    assert read_replies(tmp_path / "none.jsonl") == {}
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(StorageError, match=r"cannot write .*choose another folder"),
        open_replies(tmp_path / "file" / "replies.jsonl", print),
    ):
        pass
