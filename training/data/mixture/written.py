"""Rows as LLaMA-Factory's two JSON layouts have them, one a line."""

from __future__ import annotations

import json
from typing import Any

from training.data.mixture.layouts import Row
from training.data.rows import Example


def line(row: Row) -> str:
    """A row of its alpaca or of its preference layout; ``group`` is the source.

    A conversation's earlier turns are its ``history``, a system message its ``system``: both are
    left out where there are none.
    """
    turns = list(row.prompt)
    content: dict[str, Any] = {"instruction": turns.pop().content, "input": ""}
    if isinstance(row, Example):
        content["output"] = row.answer
    else:
        content |= {"chosen": row.chosen, "rejected": row.rejected}
    if turns and turns[0].role == "system":
        content["system"] = turns.pop(0).content
    if turns:
        said = [turn.content for turn in turns]
        content["history"] = [list(pair) for pair in zip(said[::2], said[1::2], strict=True)]
    return json.dumps({**content, "group": row.group}, ensure_ascii=False) + "\n"
