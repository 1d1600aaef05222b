"""``harness-train MODEL``: builds a model of the registry and the ancestors that are missing.

This version says what would be done; building arrives in a later one.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from harness.errors import HarnessError
from harness.sources import presence
from harness.step_options import options_class
from harness.zoo import ModelSpec, load_zoo


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code: 0 nothing to build, 1 failed, 2 wrong use."""
    parser = argparse.ArgumentParser(prog="harness-train", description=__doc__)
    parser.add_argument("model", metavar="MODEL", help="a name in model_zoo.yaml")
    parser.add_argument("--zoo", type=Path, metavar="FILE", help="the registry to read")
    parser.add_argument("--models", type=Path, metavar="DIR", help="holds org/name/ of hub models")
    arguments = parser.parse_args(argv)
    try:
        zoo = load_zoo(arguments.zoo)
        walk = zoo.lineage(arguments.model)
        found = [presence(spec, zoo, arguments.models) for spec in walk]
        print(" -> ".join(spec.name for spec in walk))
        for spec, here in zip(walk, found, strict=True):
            print(f"\n{spec.name}: {here.state}, {here.detail}")
            print("\n".join(f"    {line}" for line in _describe(spec)))
        if found[-1].state == "present":
            print(f"\n{walk[-1].name} is present: nothing to build.")
            return 0
        if walk[-1].step is None:
            print(
                f"\n{walk[-1].name} is not made by a step: `make eval MODEL={walk[-1].name}` "
                "fetches it.",
                file=sys.stderr,
            )
            return 1
        print(
            f"\nThis version cannot build {walk[-1].name} yet: the steps above are checked, but "
            "running them arrives in a later version. Until then only models whose weights exist "
            "can be scored (`harness list models`).",
            file=sys.stderr,
        )
        return 1
    except HarnessError as error:
        print(f"harness-train: {error}", file=sys.stderr)
        return error.exit_code


def _describe(spec: ModelSpec) -> list[str]:
    if spec.step is None:
        return [f"source: {spec.source}"]
    return [f"step: {spec.step.kind}", *_options(spec.step.kind, spec.step.options)]


def _options(kind: str, written: Mapping[str, Any]) -> list[str]:
    checked = options_class(kind)(**written)
    return [
        f"  {field.name}: {getattr(checked, field.name)}"
        + ("" if field.name in written else " (default)")
        for field in fields(checked)
    ]


if __name__ == "__main__":
    sys.exit(main())
