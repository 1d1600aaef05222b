"""A run's command as a user types it, without the folders of the machine that it ran on."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path, PurePath

_SETTING = re.compile(r"HARNESS_[A-Z_]+=")


def typed(command: str, working: Path) -> str:
    """The command that a record holds, with `harness` for however it was started there, and paths
    below the working folder as they are seen from it. Other paths stay: they were typed.

    Args:
        command: settings of the environment, program and arguments, as a shell reads them.
        working: the folder that commands are given in.
    """
    try:
        words = shlex.split(command)
    except ValueError:  # no command that this program wrote
        return command
    first = next((n for n, word in enumerate(words) if not _SETTING.match(word)), len(words))
    program = _program(words[first:])
    if not program:
        return command
    settings = []
    for word in words[:first]:
        name, _, value = word.partition("=")
        settings.append(f"{name}={shlex.quote(_seen_from(value, working))}")
    arguments = [_argument(word, working) for word in words[first + program :]]
    return " ".join([*settings, shlex.join(["harness", *arguments])])


def _program(words: Sequence[str]) -> int:
    """How many words start the harness; none if these do not."""
    if words and PurePath(words[0]).name == "harness":
        return 1
    if len(words) > 2 and PurePath(words[0]).name.startswith("python"):
        return 3 if list(words[1:3]) == ["-m", "harness"] else 0
    return 0


def _argument(word: str, working: Path) -> str:
    name, equals, value = word.partition("=")
    if equals and name.startswith("--"):
        return f"{name}={_seen_from(value, working)}"
    return _seen_from(word, working)


def _seen_from(text: str, working: Path) -> str:
    path = PurePath(text)
    if path.is_absolute() and path.is_relative_to(working) and working != Path(working.anchor):
        return str(path.relative_to(working))
    return text
