"""What identifies a model that a step makes: its recipe, from the root's source to its own options.

Two entries with one recipe are made in the same way; a changed option, here or in an ancestor, is
another recipe, and what was built by the former is not taken for it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Any

from harness.step_options import options_class
from harness.zoo import ModelSpec, Step, Zoo

SHORT = 16
"""Digits of a recipe's id in folder names and in print."""


def all_options(step: Step) -> dict[str, Any]:
    """Every option of a step by name: those that the registry writes, and the others' defaults."""
    return dataclasses.asdict(options_class(step.kind)(**step.options))


def recipe_id(spec: ModelSpec, zoo: Zoo) -> str:
    """The sha256 over a model's recipe: the root's source, then each step's kind and all options.

    Names of models do not count, nor does what only says how a model is asked (dtype, BOS). A
    tokenizer that an entry takes from elsewhere counts: the model is trained with it.
    """
    walk = [_station(station) for station in zoo.lineage(spec.name)]
    return hashlib.sha256(json.dumps(walk, sort_keys=True).encode()).hexdigest()


def _station(spec: ModelSpec) -> dict[str, Any]:
    if spec.step is not None:
        made: dict[str, Any] = {"kind": spec.step.kind, "options": all_options(spec.step)}
    elif spec.source is not None:
        made = {"source": dataclasses.asdict(spec.source)}
    else:
        raise ValueError(f"{spec.name} has neither a source nor a step")  # zoo.py refuses it
    return made | ({"tokenizer": spec.tokenizer} if spec.tokenizer else {})
