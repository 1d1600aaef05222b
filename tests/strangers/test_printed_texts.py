"""Names and generated texts as a terminal, a CI system, XML and Markdown read them."""

from __future__ import annotations

import io
import sys
import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest
from rich.console import Console

from harness.cli import main
from harness.errors import WeightsError
from harness.gate.decide import Outcome
from harness.gate.drops import Drop
from harness.gate.limits import Limit
from harness.plain_text import defused, defused_output, printable, trusted
from harness.progress import note
from harness.report.docs import shown_doc
from harness.report.gate_ci import junit_xml, workflow_commands
from harness.report.leaderboard import build_leaderboard
from harness.report.terminal import print_leaderboard, print_run
from harness.report.terminal_doc import print_doc
from tests.report.fixtures.runs import generated_row, proportion, result, run

COMMANDS = (
    "::stop-commands::x",
    "::error file=a::b",
    "  ::add-mask::x",
    "a ##[error]b",
    "\t::x::y",
)
HOSTILE = "\x1b[2J\x9b2J\u202e\u2066\x00\n::error::owned\r::warning::owned##[error]x"
TURNING = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def printed(draw: Any, what: object, **options: Any) -> str:
    stream = io.StringIO()
    draw(what, Console(file=stream, color_system=None, **options))
    return stream.getvalue()


@pytest.mark.parametrize("terminal", [True, False])
def test_a_doc_turns_no_terminal_round_and_clears_none(terminal: bool) -> None:
    row = generated_row(0, f"said {HOSTILE}{TURNING}", prompt=HOSTILE, note=HOSTILE, target=HOSTILE)
    made = run("smol", [result("gsm8k", proportion(0.5, 2))])
    doc = shown_doc(row, made.results["gsm8k"])
    text = printed(print_doc, doc, force_terminal=terminal, width=200)
    assert "said" in text
    assert not set(text) & {"\x1b", "\x9b", "\x00", *TURNING}


def obeyed(text: str) -> list[str]:
    """The lines that GitHub's runner would take for commands: it cuts blanks at the beginning."""
    lines = text.replace("\r", "\n").split("\n")
    return [line for line in lines if line.lstrip().startswith("::") or "##[" in line]


@pytest.mark.parametrize("line", COMMANDS)
def test_a_line_is_no_command(line: str) -> None:
    assert obeyed(line) and not obeyed(defused(line))
    assert defused(line).replace("\\", "") == line


@pytest.mark.parametrize("width", [40, 200])
def test_no_text_becomes_a_command_of_the_runner(
    width: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Tables and docs as they are printed, cut into whatever pieces."""
    made = run("::error::x", [result("::warning::y", proportion(0.5, 2))])
    with defused_output({"GITHUB_ACTIONS": "true"}):
        console = Console(width=width)
        print_leaderboard(build_leaderboard([made]), console)
        print_run(made, console)
        for line in COMMANDS:
            console.print(line, markup=False)
            note(line)
        for letter in "\n::error::x\n##[error]y\r::a::b":
            sys.stdout.write(letter)
        sys.stdout.write("::the end, without a line break")
        print("::notice::our own", file=trusted(sys.stdout))
    out, err = capsys.readouterr()
    assert "error" in out and "stop-commands" in err
    assert obeyed(out) == ["::notice::our own"] and not obeyed(err)


def test_elsewhere_nothing_is_changed(capsys: pytest.CaptureFixture[str]) -> None:
    with defused_output({}):
        print("::error::x")
    assert capsys.readouterr().out == "::error::x\n"


def test_an_error_on_the_runner_is_no_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_: object) -> int:
        raise WeightsError("two\n  ::stop-commands::y\n##[error]z")

    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setattr("harness.commands.list_command.run", fail)
    assert main(["list", "models"]) == 1
    err = capsys.readouterr().err
    assert "stop-commands" in err and not obeyed(err)


def outcome(name: str) -> Outcome:
    fallen = Drop(name, "acc", "proportion", 0.5, 0.4, 0.1, 0.05, 0.15, 0.01, "fails", 9, 1, None)
    limit = Limit(name, "bytes", 2.0, 1.0, False)
    return Outcome("fail", name, name, "b", "m", name, 0.05, True, tasks=(fallen,), limits=(limit,))


def test_junit_holds_whatever_a_name_holds() -> None:
    name = f"<b>&\"']]>{HOSTILE}{TURNING}\ud800\uffff\x7f"
    suite = ElementTree.fromstring(junit_xml(outcome(name)))
    assert [case.tag for case in suite] == ["testcase"] * 3
    texts = [value for each in suite.iter() for value in each.attrib.values()]
    assert any("<b>&\"']]>" in text for text in texts)
    assert all(text.isprintable() for text in texts)


def test_an_annotation_is_one_command() -> None:
    (line,) = workflow_commands(outcome(f"a%0A::error::x{HOSTILE}"))
    assert line.startswith("::error title=gate::fail: ")
    assert not set(line) & set("\r\n\x1b") and "%250A" in line


def test_an_error_clears_no_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_: object) -> int:
        raise WeightsError(f"two\nlines\x1b[2J\u202e\x00{HOSTILE}")

    monkeypatch.setattr("harness.commands.list_command.run", fail)
    assert main(["list", "models"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("harness: two\nlines[2J") and not set(err) & set("\x1b\u202e\x00\x9b")
    note(f"name\x1b[2J{TURNING}")
    assert capsys.readouterr().err == "name[2J\n"


def test_what_is_printable_stays() -> None:
    text = "שלום é \U0001f9ea\t∑ a\nb"
    assert printable(text) == text
