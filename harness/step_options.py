"""What a step's recipe may say: the ``Options`` dataclass of ``training/steps/<kind>.py``.

The registry has to check recipes, but `harness` does not import `training` (imports go down
only, and a step's ``run`` needs the training extra). So the file is found by path beside this
package and executed alone; its top level imports the standard library only.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import math
import sys
import types
import typing
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from harness.errors import RegistryError, UnknownName, closest
from harness.strict_yaml import Scalar, Table

STEPS = Path(__file__).resolve().parent.parent / "training" / "steps"


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A checked recipe.

    Attributes:
        kind: the kind of step.
        options: what the registry writes, typed; what it leaves out has the step's default.
        stage: the training stage that the step leads to, ``None`` for one that does not train.
        quantization: the quantization that the step leads to, ``none`` for one that trains.
    """

    kind: str
    options: Mapping[str, Any]
    stage: str | None
    quantization: str


def kinds() -> list[str]:
    """Names of all kinds of step: one per file."""
    return sorted(path.stem for path in STEPS.glob("[a-z]*.py"))


@cache
def options_class(kind: str) -> type[Any]:
    """The ``Options`` dataclass of a kind of step.

    Raises:
        UnknownName: there is no such kind.
        RegistryError: its file cannot be executed or defines no such dataclass.
    """
    if kind not in kinds():
        raise UnknownName("step", kind, kinds(), str(STEPS))
    path = STEPS / f"{kind}.py"
    # A private name: the step is not importable as `training`, nor shadows what is.
    name = f"_lineup_step_options_{kind}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise RegistryError(f"{path} is not a Python file that can be executed")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their own module up while they are made
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise RegistryError(f"{path}: {type(error).__name__}: {error}") from error
    options = getattr(module, "Options", None)
    if not (isinstance(options, type) and dataclasses.is_dataclass(options)):
        raise RegistryError(f"{path}: a step defines a dataclass named Options; this one does not")
    return options


def read_recipe(table: Table) -> Recipe:
    """Check a ``step:`` mapping of the registry against its step's options.

    Raises:
        RegistryError: unknown kind, unknown or missing option, a value of the wrong type or
            outside its range; names file and line.
    """
    kind = table.text("kind")
    if kind not in kinds():
        raise RegistryError(
            f"{table.at('kind')}: {table.what}: unknown step {kind!r}{closest(kind, kinds())} "
            f"(looked in {STEPS})"
        )
    schema = options_class(kind)
    hints = typing.get_type_hints(schema)
    fields = {field.name: field for field in dataclasses.fields(schema) if field.init}
    table.only(["kind", *fields])
    options = {name: _typed(table, name, hints[name]) for name in table.nodes if name in fields}
    for name, field in fields.items():
        if name not in options and field.default is field.default_factory is dataclasses.MISSING:
            raise table.error(None, f"the option {name!r} of step {kind} is missing")
    try:
        checked = schema(**options)
    except ValueError as error:
        # The message of an Options begins with the option's name: that is the line to show.
        option = str(error).split(" ", 1)[0]
        at = table.at(option if option in options else None)
        raise RegistryError(f"{at}: {table.what}: {error}") from None
    return Recipe(
        kind,
        options,
        getattr(checked, "stage", None),
        getattr(checked, "quantization", "none"),
    )


def _typed(table: Table, name: str, hint: Any) -> Any:
    if typing.get_origin(hint) is tuple:
        item = typing.get_args(hint)[0]
        return tuple(_convert(table, name, value, item) for value in table.scalars(name))
    return _convert(table, name, table.scalar(name), hint)


def _convert(table: Table, name: str, value: Scalar, hint: Any) -> Any:
    for wanted in _alternatives(hint):
        if typing.get_origin(wanted) is typing.Literal:
            # bool is an int in Python: compare types too, or `true` would pass for 1.
            for choice in typing.get_args(wanted):
                if value == choice and type(value) is type(choice):
                    return value
        elif wanted is float and type(value) in (int, float):
            if math.isfinite(number := float(typing.cast(float, value))):
                return number
        elif type(value) is wanted:
            return value
    shown = "nothing" if value is None else repr(value)
    raise table.error(name, f"{shown} is not valid: {_wanted(hint)} is needed")


def _alternatives(hint: Any) -> tuple[Any, ...]:
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return typing.get_args(hint)
    return (hint,)


def _wanted(hint: Any) -> str:
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
    words: list[str] = []
    for wanted in _alternatives(hint):
        if typing.get_origin(wanted) is typing.Literal:
            words += [str(choice) for choice in typing.get_args(wanted)]
        else:
            words.append(names.get(wanted, "nothing (null)"))
    return " or ".join(words)
