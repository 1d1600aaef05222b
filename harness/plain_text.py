"""Texts of strangers that are printed: what a terminal, or a CI system, would obey is taken out."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import unicodedata
from collections.abc import Iterator, Mapping
from typing import TextIO

INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Categories of Unicode: controls, formats (the direction of writing among them), half pairs."""
TURNING = frozenset(map(chr, (*range(0x202A, 0x202F), *range(0x2066, 0x206A))))
"""What turns the direction of a whole stretch of text, whatever letters it has."""


def printable(text: str) -> str:
    r"""The text without escape sequences' beginnings and other invisible characters; line breaks
    and tabs stay.

    >>> printable("a\x1b[2Jb\nc")
    'a[2Jb\nc'
    """
    if text.isprintable():
        return text
    return "".join(c for c in text if c in "\n\t" or unicodedata.category(c) not in INVISIBLE)


def commanding(text: str) -> str | None:
    r"""The first character that a terminal obeys or that turns a text round; ``None`` without one.

    >>> commanding("a\nb"), commanding("a\x1b[2J")
    (None, '\x1b')
    """
    if text.isprintable():
        return None
    odd = (c for c in text if c not in "\n\t" and (c in TURNING or unicodedata.category(c) == "Cc"))
    return next(odd, None)


def defused(line: str) -> str:
    r"""A line that GitHub's runner does not take for a workflow command.

    It obeys ``::name::`` at the beginning, blanks before it or not, and ``##[name]`` anywhere.

    >>> defused(" ::stop-commands::x"), defused("a ##[error]b"), defused("a::b")
    (' \\::stop-commands::x', 'a ##\\[error]b', 'a::b')
    """
    told = line.replace("##[", "##\\[")
    bare = told.lstrip()
    return told[: len(told) - len(bare)] + "\\" + bare if bare.startswith("::") else told


def half_pair(text: str) -> str | None:
    r"""The first half of a UTF-16 pair, ``None`` without one: JSON can spell it, Python makes it of
    a command's bytes that are not UTF-8, and no file can hold it.

    >>> half_pair("\U0001d11e"), half_pair("a\ud800b")
    (None, '\ud800')
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return text[error.start]
    return None


class _Defusing(io.TextIOBase):
    """Writes whole lines to another stream, defused.

    Attributes:
        trusted: that stream, for this program's own commands.
    """

    def __init__(self, trusted: TextIO) -> None:
        self.trusted, self._begun = trusted, ""

    def write(self, text: str) -> int:
        """Write; what is not yet a line waits."""
        # The runner takes a carriage return for the end of a line, too.
        *lines, self._begun = (self._begun + text).replace("\r", "\n").split("\n")
        for line in lines:
            self.trusted.write(defused(line) + "\n")
        return len(text)

    def flush(self) -> None:
        """Let whole lines through; one that has only begun could still become a command."""
        self.trusted.flush()

    def finish(self) -> None:
        """Write what is left."""
        self.trusted.write(defused(self._begun))
        self._begun = ""
        self.trusted.flush()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """Of the stream behind it."""
        return self.trusted.encoding

    def fileno(self) -> int:
        """Of the stream behind it."""
        return self.trusted.fileno()

    def writable(self) -> bool:
        """Always."""
        return True


@contextlib.contextmanager
def defused_output(environment: Mapping[str, str] = os.environ) -> Iterator[None]:
    """On GitHub's runner, let nothing that is printed become a workflow command; elsewhere nothing
    is changed.
    """
    if environment.get("GITHUB_ACTIONS") != "true":
        yield
        return
    out, err = _Defusing(sys.stdout), _Defusing(sys.stderr)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            yield
        finally:
            out.finish()
            err.finish()


def trusted(stream: TextIO) -> TextIO:
    """The stream on which this program's own workflow commands are printed."""
    return stream.trusted if isinstance(stream, _Defusing) else stream
