"""The command line: parse, call, print. Nothing heavy is imported until a command needs it.

Exit codes: 0 done, 1 failed, 2 wrong use, 3 too few docs for the gate, 130 stopped by the user.
"""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from harness import __version__
from harness.credentials import struck_out
from harness.errors import HarnessError, UsageError, closest
from harness.options import COMMANDS, OPTIONS
from harness.parser import Parser
from harness.plain_text import defused_output, half_pair, printable

_OUTPUT_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF}
"""How writing to an open file without a name fails; our own files are named in the error."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if sys.stderr is None:  # `2>&-`: messages would go to standard output, among the results
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - as long as the process
    if sys.stdout is None:
        print("harness: standard output is closed: nothing could be printed", file=sys.stderr)
        return 1
    try:
        try:
            with defused_output():
                return _run(arguments)
        finally:
            # Here, not when the interpreter ends: then a full disk would be a traceback.
            sys.stdout.flush()
    except BrokenPipeError:
        # The reader went away (`harness list models | head`): not our failure.
        _drop_output()
        return 0
    except SystemExit as error:
        if isinstance(error.__context__, BrokenPipeError):  # rich's answer to the same
            return 0
        raise
    except OSError as error:
        if error.filename is not None or error.errno not in _OUTPUT_ERRORS:
            raise
        _drop_output()
        print(f"harness: cannot write to standard output: {error.strerror}", file=sys.stderr)
        return 1


def _run(arguments: list[str]) -> int:
    try:
        _check_words(arguments)
        options = _parse(arguments)
        command = import_module(f"harness.commands.{options.command}_command")
        code: int = command.run(options)
        return code
    except HarnessError as error:
        print(f"harness: {printable(struck_out(str(error)))}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("harness: stopped", file=sys.stderr)
        return 130


def _check_words(arguments: Sequence[str]) -> None:
    """Refuse what a record could not hold, before anything is done for it."""
    settings = [f"{name}={value}" for name, value in os.environ.items()]
    for word in [*arguments, *(each for each in settings if each.startswith("HARNESS_"))]:
        if half_pair(word) is not None:
            shown = word.encode(errors="backslashreplace").decode()
            raise UsageError(
                f"{shown}: not UTF-8, as every record is: give the file or folder another name"
            )


def _drop_output() -> None:
    """Let what is still buffered go nowhere, or the interpreter complains of it when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = Parser(
        prog="harness",
        description="Is this language model better, worse or the same as the one before it?",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="commands:\n"
        + "\n".join(f"  {name:<8}{about}" for name, about in COMMANDS.items())
        + "\n\n`harness COMMAND --help` lists the options of a command.",
    )
    parser.add_argument("--version", action="version", version=f"harness {__version__}")
    parser.add_argument("command", metavar="COMMAND", help="one of the commands below")
    parser.add_argument("rest", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    if not arguments:
        parser.error(f"a command is missing: {', '.join(COMMANDS)}")
    _check_order(arguments, parser)
    chosen = parser.parse_args(arguments)
    if chosen.command not in COMMANDS:
        raise UsageError(
            f"unknown command {chosen.command!r}{closest(chosen.command, COMMANDS)} "
            "(see `harness --help`)"
        )
    sub = Parser(prog=f"harness {chosen.command}", description=COMMANDS[chosen.command])
    OPTIONS[chosen.command](sub)
    return sub.parse(chosen.rest, argparse.Namespace(command=chosen.command))


def _check_order(arguments: Sequence[str], parser: Parser) -> None:
    """Refuse a command's options where they stand before it."""
    first, *rest = arguments
    command = next((word for word in rest if word in COMMANDS), None)
    if first.startswith("-") and command and first not in ("-h", "--help", "--version"):
        parser.error(
            f"{first} stands before the command: write it behind, `harness {command} ... {first}`"
        )
