"""A judge that ranks by a word in the answers, and files of answers for it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.openai_api.local_server import Payload

Write = Callable[[Sequence[dict[str, Any]]], Path]


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("HARNESS_DATA", raising=False)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write rows to a file of answers."""

    def write(rows: Sequence[dict[str, Any]]) -> Path:
        path = tmp_path / "answers.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
        return path

    return write


def row(number: int, qualities: Sequence[int] = (1, 2, 3), **more: Any) -> dict[str, Any]:
    """A question whose answers say how good they are."""
    return {
        "instruction": f"Question {number}?",
        "input": "",
        "output": f"Solution {number}.",
        "group": "topic",
        "answers": [{"text": f"Answer of quality {quality}."} for quality in qualities],
        **more,
    }


def shown(payload: Payload) -> list[int]:
    """The qualities of the answers that a judge is shown, in their order."""
    text = payload["messages"][-1]["content"]
    return [
        int(found)
        for found in re.findall(r"=== answer \d+ \(\w+\) ===\nAnswer of quality (\d+)", text)
    ]


def ranking(payload: Payload) -> str:
    """What a judge says that knows which answer is better."""
    qualities = shown(payload)
    places = sorted(range(len(qualities)), key=lambda place: -qualities[place])
    return json.dumps([place + 1 for place in places])


def question(payload: Payload) -> int:
    """The number of the question that a judge is asked about."""
    found = re.search(r"Question (\d+)\?", payload["messages"][-1]["content"])
    assert found is not None
    return int(found.group(1))
