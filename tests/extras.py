"""`make extras`: which extras can be installed together, asked of a resolver, as a Markdown table.

Run by an interpreter beside which `uv` is installed; needs a package index, installs nothing. That
versions can be found says nothing of whether the packages work together: only tests say that.
"""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
UV = Path(sys.executable).with_name("uv")
PINS = "constraints.txt"
QUANT_PINS = "constraints-quant.txt"
BOUNDS = "bounds"


@dataclass(frozen=True)
class Resolved:
    """Whether versions were found for some extras.

    Attributes:
        extras: the extras.
        under: the file of pins that they fit, `BOUNDS` where only the bounds of pyproject.toml
            hold, or ``None`` where nothing was found.
        numpy: the version that was chosen, on which they mostly part.
        reason: the resolver's, why they fit no narrower pins.
    """

    extras: tuple[str, ...]
    under: str | None
    numpy: str = ""
    reason: str = ""

    def __str__(self) -> str:
        if self.under is None:
            return "**no**"
        pinned = {PINS: "pinned", QUANT_PINS: "quant's pins", BOUNDS: "bounds only"}[self.under]
        return f"{pinned}, numpy {self.numpy}"


def combinations(extras: Sequence[str]) -> list[tuple[str, ...]]:
    """Each extra alone, every pair, and all of them."""
    alone = [(extra,) for extra in extras]
    return [*alone, *itertools.combinations(extras, 2), tuple(extras)]


def resolve(extras: tuple[str, ...], pins: dict[str, list[str]]) -> Resolved:
    """Look for versions under the pins of a set-up, then under those of quant, then under none."""
    reason = ""
    for under, lines in pins.items():
        found, said = _compile(extras, lines)
        if found:
            (numpy,) = re.findall(r"^numpy==(\S+)", said, re.MULTILINE)
            return Resolved(extras, under, numpy, reason)
        reason = reason or said
    return Resolved(extras, None, "", said)


def read_pins() -> dict[str, list[str]]:
    """The three sets of constraints, as `make` combines the files."""
    plain = (REPOSITORY / PINS).read_text("utf-8").splitlines()
    quant = (REPOSITORY / QUANT_PINS).read_text("utf-8").splitlines()
    rest = [line for line in plain if not line.startswith("numpy==")]
    return {PINS: plain, QUANT_PINS: rest + quant, BOUNDS: []}


def table(extras: Sequence[str], found: Sequence[Resolved]) -> str:
    """The pairs as a matrix with each alone on its diagonal, all together below it."""
    by_extras = {each.extras: each for each in found}
    lines = ["| | " + " | ".join(f"`{extra}`" for extra in extras) + " |"]
    lines.append("| --- |" + " --- |" * len(extras))
    for row in extras:
        cells = []
        for column in extras:
            pair = (row,) if row == column else tuple(sorted((row, column), key=extras.index))
            cells.append(str(by_extras[pair]) if extras.index(column) <= extras.index(row) else "")
        lines.append(f"| `{row}` | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", f"All of them: {by_extras[tuple(extras)]}."])


def _compile(extras: tuple[str, ...], lines: list[str]) -> tuple[bool, str]:
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
        file.flush()
        command = [str(UV), "pip", "compile", "pyproject.toml", "--quiet", "--no-header"]
        command += ["--no-annotate", "--python-version=3.11", "--python-platform=linux"]
        command += ["--constraint", file.name, *(f"--extra={extra}" for extra in extras)]
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    return done.returncode == 0, done.stdout if done.returncode == 0 else done.stderr


def main() -> int:
    """Print the table, then why what is not pinned is not; 1 if some extras exclude each other."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]
    extras, pins = list(project["optional-dependencies"]), read_pins()
    found = [resolve(each, pins) for each in combinations(extras)]
    print(table(extras, found))
    for each in found:
        if len(each.extras) == 1 and each.reason:
            print(f"\n{each.extras[0]} does not fit {PINS}:\n{each.reason.strip()}")
    return 1 if any(each.under is None for each in found) else 0


if __name__ == "__main__":
    sys.exit(main())
