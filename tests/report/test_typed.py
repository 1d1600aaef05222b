"""The command on a page: as it is typed, whatever folder the harness was started from."""

from pathlib import Path

import pytest

from harness.report.typed import typed

WORKING = Path("/home/me/lineup")


@pytest.mark.parametrize(
    "started",
    [
        "harness",
        ".venv/bin/harness",
        "/opt/venv/bin/harness",
        "/opt/venv/bin/python -m harness",
        "'/opt/my venv/bin/python3.11' -m harness",
    ],
)
def test_however_it_was_started_it_is_harness(started: str) -> None:
    assert typed(f"{started} eval --model smol", WORKING) == "harness eval --model smol"


def test_paths_below_the_working_folder_are_relative() -> None:
    command = (
        "HARNESS_CACHE=/home/me/lineup/cache HARNESS_DATA=/data harness eval "
        "--reports=/home/me/lineup/reports --data '/home/me/lineup/my data' --zoo /home/me/lineup2"
    )
    assert typed(command, WORKING) == (
        "HARNESS_CACHE=cache HARNESS_DATA=/data harness eval "
        "--reports=reports --data 'my data' --zoo /home/me/lineup2"
    )
    assert (
        typed("harness report --reports /home/me/lineup", WORKING) == "harness report --reports ."
    )


def test_at_the_top_of_the_file_system_paths_stay() -> None:
    """There everything is below the working folder."""
    assert typed("harness eval --data /data", Path("/")) == "harness eval --data /data"


@pytest.mark.parametrize(
    "command", ["", "make eval", "python -m other", "an 'open quote", "HARNESS_DATA=x", "a | `b`"]
)
def test_what_is_no_command_of_ours_is_left_as_it_is(command: str) -> None:
    assert typed(command, WORKING) == command


def test_what_a_shell_would_read_otherwise_is_quoted() -> None:
    command = "/x/python -m harness eval --model 'a; rm -r b' --tasks '$(x)'"
    assert typed(command, WORKING) == "harness eval --model 'a; rm -r b' --tasks '$(x)'"
