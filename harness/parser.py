"""argparse as both commands have it: what cannot be is answered with what can, and ends with 2."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import NoReturn

from harness.errors import UsageError, closest

_SHOWN = 4
"""Options that are named to who wrote a value without one."""


class Parser(argparse.ArgumentParser):
    """A mistyped option is answered with the nearest ones, a word too many with what is taken."""

    def parse(
        self, words: Sequence[str], namespace: argparse.Namespace | None = None
    ) -> argparse.Namespace:
        """Read a command's words.

        Raises:
            UsageError: they are not what it takes, or an option has an empty value: a script whose
                variable is unset means no default.
        """
        self._check_options(words)
        return self.parse_args(words, namespace)

    def error(self, message: str) -> NoReturn:
        """Raise `UsageError`; argparse would print its usage and end the process."""
        marker = "unrecognized arguments: "
        if message.startswith(marker):
            words = message.removeprefix(marker).split()
            message = self._not_taken(words[0]) if words else "an empty word is no argument"
        raise UsageError(f"{message} (see `{self.prog} --help`)")

    def _check_options(self, words: Sequence[str]) -> None:
        """Name a mistyped option before argparse complains that the option it stands for is
        missing.
        """
        before = ""
        for word in words:
            if word == "--":
                return
            name, equals, value = word.partition("=")
            if name.startswith("--") and not any(o.startswith(name) for o in self._known()):
                self.error(f"unrecognized arguments: {word}")
            if (name.startswith("--") and equals and not value) or (not word and before):
                self.error(f"{before or name} is empty: a value is missing")
            before = word if word.startswith("--") else ""

    def _known(self) -> list[str]:
        return [option for action in self._actions for option in action.option_strings]

    def _not_taken(self, word: str) -> str:
        if word.startswith("-"):
            word = word.split("=")[0]
            return f"unknown option {word}{closest(word, self._known())}"
        names = self._get_positional_actions()
        if any(action.nargs in ("*", "+") for action in names):
            return f"{word!r} stands apart from the other names: put all of them before the options"
        if names:
            most = "one name" if len(names) == 1 else f"{len(names)} names"
            return f"{word!r} is one too many: {self.prog} takes {most}"
        valued = [
            a.option_strings[0] for a in self._actions if a.option_strings and a.nargs is None
        ]
        return f"{word!r} belongs to no option: write one before it ({', '.join(valued[:_SHOWN])})"
