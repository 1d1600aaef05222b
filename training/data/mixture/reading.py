"""Reads a source's file row by row: no file and no very large row is ever held whole.

What cannot be read is not decided here: a row says what is wrong with it, and the mixture says
whether that stops it or is dropped and counted.
"""

from __future__ import annotations

import codecs
import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

from harness.errors import DataError
from training.data.mixture.parquet import NOT_HELD, parquet_rows

SUFFIXES = (".jsonl", ".jsonl.gz", ".json", ".json.gz", ".parquet")
MAX_ROW_BYTES = 16 * 2**20
"""A longer row is no text to learn from; it is passed over without being held."""
MOST_UNPACKED = 200
"""Times its size that a packed file may unpack to."""
_UNPACKED_BYTES = 2**28
"""Below which that is not looked at."""
_CHUNK = 2**20
_PACKED = {
    b"PK\x03\x04": "a zip archive: unpack it",
    b"\x1f\x8b": "packed with gzip: its name has to end in .gz",
    b"PAR1": "Parquet: its name has to end in .parquet",
    b"BZh": "packed with bzip2: unpack it",
    b"\xfd7zXZ": "packed with xz: unpack it",
    b"\x28\xb5\x2f\xfd": "packed with Zstandard: unpack it",
}
"""How files begin that are not what their names say."""
_OTHER_ENCODINGS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)


class Unreadable(Exception):
    """A row that is no row.

    Attributes:
        rule: ``too large``, ``encoding`` or ``not JSON``, which what stands for no JSON is, too.
    """

    def __init__(self, rule: str, why: str) -> None:
        self.rule = rule
        super().__init__(why)


@dataclass(frozen=True, slots=True)
class RawRow:
    """A row as it stands in its file.

    Attributes:
        number: from 1: the line of a .jsonl file, the place in a .json list or a .parquet file.
        content: its bytes; the beginning only where it is ``too_large``.
        ended: whether a line feed follows: the last line of a file that was cut off has none.
    """

    number: int
    content: bytes
    too_large: bool = False
    ended: bool = True

    def columns(self) -> dict[str, Any]:
        """The row as an object.

        Raises:
            Unreadable: it is none.
        """
        if self.too_large:
            raise Unreadable("too large", f"is larger than {MAX_ROW_BYTES // 2**20} MiB")
        if self.content == NOT_HELD:
            raise Unreadable("not JSON", "holds a value that cannot be read")
        try:
            row = json.loads(self.content.decode("utf-8"))
        except UnicodeDecodeError as error:
            byte = self.content[error.start]
            raise Unreadable(
                "encoding", f"is not UTF-8 (byte 0x{byte:02x}); save the file as UTF-8"
            ) from None
        except (ValueError, RecursionError) as error:
            if not self.ended:
                raise Unreadable(
                    "not JSON", "is the last and ends in its middle: the file was cut off"
                ) from None
            raise Unreadable("not JSON", f"is not JSON ({error})") from None
        if not isinstance(row, dict):
            raise Unreadable("not JSON", "is no object with columns")
        return row


def raw_rows(path: Path, advance: Callable[[int], None] = lambda _: None) -> Iterator[RawRow]:
    """The rows of a file; blank lines are passed over.

    Args:
        path: ends in one of `SUFFIXES`.
        advance: told of bytes of the file that were read.

    Raises:
        DataError: the file is missing, cannot be unpacked, unpacks to much more than rows of text
            do, is UTF-16, or is a .json file that holds no list.
    """
    if not path.name.endswith(SUFFIXES):
        raise DataError(f"{path}: a source is a file that ends in {', '.join(SUFFIXES)}")
    try:
        if path.suffix == ".parquet":
            for number, content in enumerate(parquet_rows(path, advance), 1):
                yield _whole(number, content)
            return
        with path.open("rb") as packed:
            file = gzip.GzipFile(fileobj=packed) if path.suffix == ".gz" else packed
            counted = _Counted(file, packed, advance, path)
            read = _lines if ".jsonl" in path.name else _listed
            yield from read(counted, path)
            counted.tell()
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path} is cut off or damaged ({error}); fetch it again") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from None


def _whole(number: int, content: bytes) -> RawRow:
    too_large = len(content) > MAX_ROW_BYTES
    return RawRow(number, content[:1000] if too_large else content, too_large)


class _Readable(Protocol):
    def readline(self, size: int, /) -> bytes: ...
    def read(self, size: int, /) -> bytes: ...


class _Counted:
    """A file that tells how far it was read: a packed one in packed bytes. One that unpacks to more
    than any rows of text is given up.
    """

    def __init__(
        self, file: _Readable, packed: IO[bytes], advance: Callable[[int], None], path: Path
    ) -> None:
        self._file, self._packed, self._advance, self._path = file, packed, advance, path
        self._told = self._reads = self._unpacked = 0

    def readline(self, size: int) -> bytes:
        self._reads += 1
        if self._reads % 1000 == 0:
            self.tell()
        line = self._file.readline(size)
        self._unpacked += len(line)
        return line

    def read(self, size: int) -> bytes:
        self.tell()
        content = self._file.read(size)
        self._unpacked += len(content)
        return content

    def tell(self) -> None:
        now = self._packed.tell()
        self._advance(now - self._told)
        self._told = now
        if self._unpacked > max(_UNPACKED_BYTES, now * MOST_UNPACKED):
            raise DataError(
                f"{self._path} unpacks to more than {MOST_UNPACKED} times its size, which no rows "
                "of text do: unpack it yourself if that is what it is to hold"
            )


def _lines(file: _Counted, path: Path) -> Iterator[RawRow]:
    number = 0
    while line := file.readline(MAX_ROW_BYTES + 1):
        number += 1
        if number == 1:
            line = _without_mark(line, path)
        too_large = len(line) > MAX_ROW_BYTES
        ended = line.endswith(b"\n")
        if too_large:
            line, rest = line[:1000], line
            while rest and not rest.endswith(b"\n"):
                rest = file.readline(_CHUNK)
                file.tell()
            ended = bool(rest)
        if content := line.strip():
            yield RawRow(number, content, too_large, ended)


def _listed(file: _Counted, path: Path) -> Iterator[RawRow]:
    """The elements of one JSON list, one after the other."""
    text = _Growing(file, path)
    if text.next_sign() != "[":
        raise DataError(f"{path}: a .json file is a list of objects; one object a line is .jsonl")
    text.step()
    number = 0
    while (sign := text.next_sign()) != "]":
        if number and sign != ",":
            raise DataError(f"{path}, row {number}: no comma and no ] follows it")
        if number:
            text.step()
        number += 1
        yield RawRow(number, text.element(number))


class _Growing:
    """The part of a JSON file that is looked at."""

    def __init__(self, file: _Counted, path: Path) -> None:
        self._file, self._path = file, path
        self._decode = codecs.getincrementaldecoder("utf-8")()
        self._parse = json.JSONDecoder()
        self._text, self._place, self._first = "", 0, True

    def next_sign(self) -> str:
        """The next character that is no space."""
        while True:
            while self._place < len(self._text):
                if not (sign := self._text[self._place]).isspace():
                    return sign
                self._place += 1
            if not self._more():
                raise DataError(f"{self._path} ends in its middle: the file was cut off")

    def step(self) -> None:
        self._place += 1

    def element(self, number: int) -> bytes:
        """The JSON value that begins here, as it is written."""
        self.next_sign()
        while True:
            try:
                _, end = self._parse.raw_decode(self._text, self._place)
            except (ValueError, RecursionError) as error:
                if len(self._text) - self._place > MAX_ROW_BYTES or not self._more():
                    raise DataError(
                        f"{self._path}, row {number}: not JSON, or longer than "
                        f"{MAX_ROW_BYTES // 2**20} MiB ({error}); write one row a line, as .jsonl, "
                        "where such a row is to be passed over"
                    ) from None
                continue
            written, self._place = self._text[self._place : end], end
            return written.encode()

    def _more(self) -> bool:
        # As much again as there is: a row of several chunks is not parsed once for each of them.
        content = self._file.read(max(_CHUNK, len(self._text) - self._place))
        if self._first:
            content, self._first = _without_mark(content, self._path), False
        try:
            more = self._decode.decode(content, final=not content)
        except UnicodeDecodeError as error:
            raise DataError(f"{self._path}: not UTF-8 ({error.reason}); save it as UTF-8") from None
        self._text, self._place = self._text[self._place :] + more, 0
        return bool(content)


def _without_mark(content: bytes, path: Path) -> bytes:
    for begin, what in _PACKED.items():
        if content.startswith(begin):
            raise DataError(f"{path} is {what}")
    if content.startswith(_OTHER_ENCODINGS):
        raise DataError(f"{path} is UTF-16 or UTF-32; save it as UTF-8")
    return content.removeprefix(codecs.BOM_UTF8)
