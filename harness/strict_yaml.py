"""YAML read strictly: every complaint names the file, the line and the key.

PyYAML's ``safe_load`` forgets where a value stood, lets a second equal key win in silence and
turns ``5e-5`` into a text. This module reads the same files as trees of nodes, which keep their
lines, and hands out values only under the type that is asked for.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import yaml

from harness.errors import RegistryError, closest
from harness.plain_text import commanding
from harness.storage import expanded

MOST_NODES = 100_000
"""Values in a file, each as often as it is repeated by an alias: nine lines of aliases of aliases
can stand for a billion.
"""
DEEPEST = 50
"""Levels of nesting. The reader in C ends the program without a word at tens of thousands."""
LARGEST = 4_000_000
"""Bytes of a file."""

Scalar = str | int | float | bool | None

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_CONSTRUCT = yaml.SafeLoader("")
_REQUIRED = object()
_NAMES = {
    "str": "a text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "null": "empty",
    "timestamp": "a date",
    "map": "a mapping",
    "seq": "a list",
}


def find_file(name: str, variable: str) -> list[Path]:
    """Where a file of the project is looked for, in order: the path in the environment variable
    (alone, if it is set), the working directory, the copy inside the installed package, the
    folder that holds the package (a checkout).
    """
    written = os.environ.get(variable)
    if written:
        return [expanded(written)]
    package = Path(__file__).resolve().parent
    return [Path.cwd() / name, package / "_bundled" / name, package.parent / name]


def parse(path: Path) -> Table:
    """Read a YAML file whose top level is a mapping.

    Raises:
        RegistryError: the file is missing, unreadable, empty, broken or not a mapping.
    """
    text = read_text(path)
    try:
        check_bounds(text, path)
        node = yaml.compose(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = f"{path}:{mark.line + 1}, column {mark.column + 1}" if mark else str(path)
        problem = " ".join(part for part in (error.context, error.problem) if part)
        raise RegistryError(f"{at}: not readable as YAML: {problem}") from None
    except (yaml.YAMLError, RecursionError) as error:
        problem = str(error).splitlines()[0]
        raise RegistryError(f"{path}: not readable as YAML: {problem}") from None
    if node is None:
        raise RegistryError(f"{path} is empty: nothing is written in it")
    if not isinstance(node, yaml.MappingNode):
        line = node.start_mark.line + 1
        raise RegistryError(f"{path}:{line}: {describe(node)} stands where a mapping is needed")
    return Table(node, path, "the file")


def read_text(path: Path) -> str:
    """The text of a YAML file.

    Raises:
        RegistryError: it cannot be read, is not UTF-8 or has more than `LARGEST` bytes.
    """
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise RegistryError(f"{path} has more than {LARGEST:,} bytes: it is no such file")
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RegistryError(
            f"{path} is not UTF-8 text: byte {error.start} is 0x{error.object[error.start]:02x}"
        ) from None
    except OSError as error:
        raise RegistryError(f"cannot read {path}: {error.strerror or error}") from None


def check_bounds(text: str, path: Path) -> None:
    """Refuse YAML that would swallow the memory or the stack, before a tree is made of it.

    Raises:
        RegistryError: it is nested deeper than `DEEPEST`, or holds more than `MOST_NODES` values.
        yaml.YAMLError: it is broken.
    """
    sizes: dict[str, int] = {}
    begun: list[tuple[str | None, int]] = []
    nodes = 0
    for event in yaml.parse(text, Loader=_LOADER):
        at = f"{path}:{event.start_mark.line + 1 if event.start_mark else '?'}"
        if isinstance(event, yaml.AliasEvent):
            if any(event.anchor == anchor for anchor, _ in begun):
                raise RegistryError(f"{at}: *{event.anchor} stands within itself")
            nodes += sizes.get(event.anchor or "", 1)
        elif isinstance(event, yaml.ScalarEvent):
            nodes += 1
            sizes[event.anchor or ""] = 1
        elif isinstance(event, yaml.CollectionStartEvent):
            begun.append((event.anchor, nodes))
            nodes += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = begun.pop()
            sizes[anchor or ""] = nodes - before
        if len(begun) > DEEPEST:
            raise RegistryError(f"{at}: nested deeper than {DEEPEST} levels")
        if nodes > MOST_NODES:
            raise RegistryError(f"{at}: more than {MOST_NODES:,} values, repeated ones counted")


class Table:
    """A YAML mapping whose keys are texts.

    Attributes:
        what: the mapping in words, for messages (``model 'smol'``).
        nodes: key to value, in file order.
        path, line: where it begins.
    """

    def __init__(self, node: yaml.MappingNode, path: Path, what: str) -> None:
        self.path, self.what, self.line = path, what, node.start_mark.line + 1
        self.nodes: dict[str, yaml.Node] = {}
        self._lines: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            name = key.value if isinstance(key, yaml.ScalarNode) else None
            if name is None or key.tag.rpartition(":")[2] != "str":
                shown = f"{name!r} ({describe(key)})" if name is not None else describe(key)
                raise RegistryError(
                    f"{path}:{line}: a key of {what} is {shown}; keys are texts"
                    + (f': write "{name}"' if name else "")
                )
            if name in self.nodes:
                raise RegistryError(
                    f"{path}:{line}: {name!r} is written twice in {what}, first in line "
                    f"{self._lines[name]}; only one can count: delete or rename the other"
                )
            self.nodes[name], self._lines[name] = value, line

    def __contains__(self, key: str) -> bool:
        return key in self.nodes

    def at(self, key: str | None = None) -> str:
        """``file:line`` of a key, or of the mapping."""
        return f"{self.path}:{self._lines.get(key, self.line) if key else self.line}"

    def error(self, key: str | None, message: str) -> RegistryError:
        """An error to raise about a key: ``file:line: <what>: <key> <message>``."""
        return RegistryError(f"{self.at(key)}: {self.what}: {key + ': ' if key else ''}{message}")

    def only(self, known: Iterable[str]) -> None:
        """Refuse keys that are not ``known``."""
        names = list(known)
        for key in self.nodes:
            if key not in names:
                raise RegistryError(
                    f"{self.at(key)}: unknown key {key!r} in {self.what}{closest(key, names)}"
                )

    def table(self, key: str, what: str) -> Table:
        """The mapping under ``key``."""
        node = self.nodes[key]
        if not isinstance(node, yaml.MappingNode):
            raise self.error(key, f"{describe(node)} stands where a mapping is needed")
        return Table(node, self.path, what)

    def entries(self, key: str, short: str, what: str) -> list[Table]:
        """The list under ``key``, whose items are mappings; a plain value is one that has ``short``
        alone.
        """
        if key not in self.nodes:
            raise self.error(None, f"the key {key!r} is missing")
        node = self.nodes[key]
        if not isinstance(node, yaml.SequenceNode):
            raise self.error(key, f"{describe(node)} stands where a list is needed")
        found = []
        for item in node.value:
            if isinstance(item, yaml.ScalarNode):
                name = yaml.ScalarNode("tag:yaml.org,2002:str", short, item.start_mark)
                item = yaml.MappingNode("tag:yaml.org,2002:map", [(name, item)], item.start_mark)
            if not isinstance(item, yaml.MappingNode):
                at = f"{self.path}:{item.start_mark.line + 1}"
                raise RegistryError(f"{at}: {what} is {describe(item)}; a name or a mapping is one")
            found.append(Table(item, self.path, what))
        return found

    def scalar(self, key: str) -> Scalar:
        """The plain value under ``key``, typed as YAML types it."""
        return self._scalar(key, self.nodes[key])

    def scalars(self, key: str) -> tuple[Scalar, ...]:
        """The list of plain values under ``key``."""
        node = self.nodes[key]
        if not isinstance(node, yaml.SequenceNode):
            raise self.error(key, f"{describe(node)} stands where a list is needed")
        return tuple(self._scalar(key, item) for item in node.value)

    def _scalar(self, key: str, node: yaml.Node) -> Scalar:
        if not isinstance(node, yaml.ScalarNode):
            raise self.error(key, f"{describe(node)} stands where a single value is needed")
        if node.tag.rpartition(":")[2] not in ("str", "int", "float", "bool", "null"):
            raise self.error(key, f"{node.value!r} is {describe(node)}: put it in quotes")
        if node.tag.endswith(":str") and not node.style and _is_number(node.value):
            # YAML 1.1 reads 5e-5 as a text because it has no dot; people mean the number.
            return float(node.value)
        try:
            value: Scalar = _CONSTRUCT.construct_object(node)
        except (ValueError, yaml.YAMLError) as error:
            raise self.error(key, f"{_short(node.value)!r} is not readable: {error}") from None
        if isinstance(value, str):
            self._check_printable(key, value)
        return value

    def _check_printable(self, key: str, value: str) -> None:
        if odd := commanding(value):
            raise self.error(key, f"the text holds {odd!a}, which a terminal would obey, or none")

    def text(self, key: str, default: str | object = _REQUIRED) -> str:
        """The non-empty text under ``key``.

        Raises:
            RegistryError: it is missing and has no default, or is not a text.
        """
        if key not in self.nodes:
            if isinstance(default, str):
                return default
            raise self.error(None, f"the key {key!r} is missing")
        node = self.nodes[key]
        if not (isinstance(node, yaml.ScalarNode) and node.tag.endswith(":str")):
            written = _short(node.value) if isinstance(node, yaml.ScalarNode) else ""
            hint = f'; if {written} is meant, write "{written}"' if written else ""
            raise self.error(key, f"{written or 'nothing'} is {describe(node)}, not a text{hint}")
        value = str(node.value).strip()
        if not value:
            raise self.error(key, "the text is empty")
        self._check_printable(key, value)
        return value

    def choice(self, key: str, choices: Sequence[str], default: str | object = _REQUIRED) -> str:
        """The text under ``key``, which is one of ``choices``."""
        if key in self.nodes:
            node = self.nodes[key]
            if isinstance(node, yaml.ScalarNode) and not node.tag.endswith(":str"):
                raise self.error(
                    key, f"{node.value} is {describe(node)}; valid: {', '.join(choices)}"
                )
        value = self.text(key, default)
        if value not in choices and key in self.nodes:
            raise self.error(key, f"unknown value {value!r}{_offer(value, choices)}")
        return value

    def flag(self, key: str, default: bool) -> bool:
        """The truth value under ``key``."""
        if key not in self.nodes:
            return default
        value = self.scalar(key)
        if not isinstance(value, bool):
            raise self.error(key, f"{value!r} is neither true nor false: write true or false")
        return value


def describe(node: yaml.Node) -> str:
    """What a node is, in words: ``a whole number``, ``a list``."""
    return _NAMES.get(node.tag.rpartition(":")[2], f"a value of kind {node.tag}")


def _short(text: str, most: int = 100) -> str:
    return text if len(text) <= most else f"{text[:most]}..."


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    # float() also takes "nan", "infinity" and "1_0"; only exponents without a dot are meant here.
    return text[:1] in "+-0123456789" and "e" in text.lower()


def _offer(value: str, choices: Sequence[str]) -> str:
    offered = closest(value, choices)
    valid = "; valid: " + ", ".join(choices)
    return offered if offered.startswith("; valid") else offered + valid
