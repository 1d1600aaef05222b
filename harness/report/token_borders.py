"""Where the tokens of a run's prompts begin, by the tokenizer that the run's model had."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from harness.presence import presence
from harness.records import Row, Run
from harness.zoo import Zoo

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_FILE, _CONFIG = "tokenizer.json", "tokenizer_config.json"


class NoBorders(Exception):
    """Why a run's tokens cannot be shown, in words."""


@dataclass(frozen=True)
class PromptTokens:
    """The tokens of a prompt.

    Attributes:
        begins: where each begins, in characters; several at one place share a character.
        before: tokens without a text that were put before it (BOS), by name.
    """

    begins: tuple[int, ...]
    before: tuple[str, ...]


class Borders:
    """A run's tokenizer.

    Args:
        tokenizer: the model's.
        first: text of the token that prompts begin with; one that begins with it gets no second.
        special: whether the tokenizer adds its special tokens to others.
    """

    def __init__(self, tokenizer: Tokenizer, first: str, special: bool) -> None:
        self._tokenizer, self._first, self._special = tokenizer, first, special

    def of(self, row: Row) -> PromptTokens:
        """Cut a row's prompt as the model was given it.

        Blanks at the end of a prompt belong to what continues it, where that was given too.
        """
        return self.of_text(row.prompt.rstrip() if row.continuations else row.prompt)

    def of_text(self, text: str) -> PromptTokens:
        """Cut a text."""
        begun = bool(self._first) and text.startswith(self._first)
        cut = self._tokenizer.encode(text, add_special_tokens=self._special and not begun)
        begins: list[int] = []
        before: list[str] = []
        end = 0
        for name, (low, high), special in zip(
            cut.tokens, cut.offsets, cut.special_tokens_mask, strict=True
        ):
            if special and low == high:
                before.append(name)
                continue
            # Some tokenizers leave out the blank that a token begins with.
            begins.append(min(low, end))
            end = high
        return PromptTokens(tuple(begins), tuple(before))


def borders_of(run: Run, zoo: Zoo, models_dir: Path | None = None) -> Borders:
    """Load the tokenizer that a run's model had, if it is on this machine; torch is not loaded.

    Raises:
        NoBorders: it is not here, or another one is.
    """
    spec = zoo.models.get(run.model.name)
    if spec is None:
        raise NoBorders(f"the registry has no model {run.model.name} any more")
    if spec.tokenizer:
        folder, name = zoo.tokenizer_folder(spec), f"tokenizer/{_FILE}"
        where = f"its tokenizer {spec.tokenizer} is not in a folder"
    else:
        found = presence(spec, zoo, models_dir)
        folder, name, where = found.path, _FILE, f"the model is not here: {found.detail}"
    if folder is None:
        raise NoBorders(where)
    try:
        text, config = (folder / _FILE).read_bytes(), _config(folder / _CONFIG)
    except (OSError, ValueError) as error:
        raise NoBorders(f"its tokenizer cannot be read: {error}") from None
    if sha256(text).hexdigest() != run.model.files.get(name):
        raise NoBorders(f"the {_FILE} that is here is another one than the run had")
    from tokenizers import Tokenizer

    borders = Borders(
        Tokenizer.from_buffer(text),
        _text(config, "bos_token") or _text(config, "eos_token"),
        run.model.add_bos is not False,
    )
    if run.model.add_bos and not borders.of_text("a").before:
        raise NoBorders("the registry asked for a BOS that its tokenizer does not add by itself")
    return borders


def _config(path: Path) -> Mapping[str, object]:
    config = json.loads(path.read_bytes()) if path.exists() else {}
    if not isinstance(config, dict):
        raise ValueError(f"{path} holds no object")
    return config


def _text(config: Mapping[str, object], key: str) -> str:
    """A special token's text, which some configurations wrap."""
    told = config.get(key)
    told = told.get("content") if isinstance(told, dict) else told
    return told if isinstance(told, str) else ""


def written(begins: Sequence[int]) -> str:
    """Write places as the steps between them, for a page: ``0 4 1 3``."""
    return " ".join(str(at - before) for before, at in zip((0, *begins), begins, strict=False))
