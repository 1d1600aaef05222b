"""The tokenizer by which the length of a row is limited."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from harness.errors import UsageError
from harness.storage import expanded

Count = Callable[[str], int]


@dataclass(frozen=True)
class Tokens:
    """A tokenizer that was read.

    Attributes:
        name: of its file or folder, without the path.
        sha256: of its file.
        count: how many tokens a text has, special ones aside.
    """

    name: str
    sha256: str
    count: Count


def load_tokens(tokenizer: str) -> Tokens:
    """Read a ``tokenizer.json``.

    Args:
        tokenizer: the file, or its folder.

    Raises:
        UsageError: there is no such file, or it is no tokenizer.
    """
    from tokenizers import Tokenizer

    named = expanded(tokenizer)
    path = named / "tokenizer.json" if named.is_dir() else named
    try:
        content = path.read_bytes()
        found = Tokenizer.from_buffer(content)
    except Exception as error:  # tokenizers raises plain Exceptions
        raise UsageError(
            f"tokenizer: {path} cannot be read ({error}); name a tokenizer.json or its folder"
        ) from None
    return Tokens(
        name=named.name,
        sha256=hashlib.sha256(content).hexdigest(),
        count=lambda text: len(found.encode(text, add_special_tokens=False).ids),
    )
