"""``python -m training.data.stem DIR``: writes the evaluation set that the tasks ship.

``stem.jsonl`` holds the held-out questions with their worked answers, ``stem_pairs.jsonl`` the
preference pairs made of them. Both come out the same every time.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from harness.errors import HarnessError
from harness.storage import write_atomic
from training.data.stem.generate import HELD_OUT_ROWS, held_out_items, pairs


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m training.data.stem", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="DIR", help="usually tasks/samples")
    folder = parser.parse_args(argv).folder
    try:
        for name, rows in files().items():
            lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            write_atomic(folder / name, "".join(lines))
            print(f"{folder / name}: {len(rows)} rows")
    except HarnessError as error:
        print(f"python -m training.data.stem: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def files() -> dict[str, list[dict[str, str]]]:
    """File name to rows. ``held_out`` says from what they are held out: template or numbers."""
    questions: list[dict[str, str]] = []
    preferences: list[dict[str, str]] = []
    for held_out in HELD_OUT_ROWS:
        items = held_out_items(held_out)
        questions += [
            {
                "question": item.problem.question,
                "answer": item.problem.answer,
                "group": item.topic,
                "held_out": held_out,
                "template": item.template,
            }
            for item in items
        ]
        preferences += [
            {
                "instruction": pair.prompt[0].content,
                "input": "",
                "chosen": pair.chosen,
                "rejected": pair.rejected,
                "group": pair.group,
                "held_out": held_out,
            }
            for pair in pairs(items)
        ]
    return {"stem.jsonl": questions, "stem_pairs.jsonl": preferences}


if __name__ == "__main__":
    sys.exit(main())
