"""The run that `harness eval --resume` goes on with, and what has to be said of it again."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path

from harness.errors import UsageError
from harness.openai_api.server import make_server
from harness.records import Run, Settings
from harness.run_folder import RunFolder

SETTINGS_OF_A_RUN = (
    "model",
    "models",
    "tasks",
    "suite",
    "limit",
    "num_fewshot",
    "data",
    "samples",
    "dataset_config",
    "dtype",
    "head",
    "backend",
    "noise_floor",
    "reference",
    "base_url",
    "served_model",
    "lm_eval_model",
    "lm_eval_args",
)
MAY_HOLD_AN_ADDRESS = ("base_url", "lm_eval_args")
"""Of these, what has to be said again."""


def earlier_run(options: argparse.Namespace, runs: Path) -> Run:
    """The run of ``--resume``, whose settings hold: any other option would contradict them.

    Args:
        options: of the command.
        runs: the folder of all runs.

    Raises:
        UsageError: an option contradicts it, an address was not said again, or there is nothing
            to go on with.
        RecordError: it cannot be read.
    """
    values = {name: getattr(options, name) for name in SETTINGS_OF_A_RUN}
    # 0 examples are a setting, and 0 == False: what was not given is told by what it is.
    given = [
        name
        for name, value in values.items()
        if value is not None and value is not False and value != []
    ]
    if set(given) - set(MAY_HOLD_AN_ADDRESS):
        raise _own_settings(given)
    earlier = RunFolder(runs / Path(options.resume).name).read()
    address = _address(earlier.settings)
    if others := [name for name in given if address is None or name != address[0]]:
        raise _own_settings(others)
    if address is not None:
        _check_said_again(*address, options, earlier.id)
    if earlier.status == "complete":
        raise UsageError(f"run {earlier.id} is complete; `harness show {earlier.id}` prints it")
    if earlier.rescored_from:
        raise UsageError(
            f"run {earlier.id} asks no model; begin it again: "
            f"`harness rescore {earlier.rescored_from}`"
        )
    return earlier


def _own_settings(given: Sequence[str]) -> UsageError:
    flags = ", ".join(f"--{name.replace('_', '-')}" for name in given)
    return UsageError(f"--resume takes the run's own settings; leave out {flags}")


def _address(how: Settings) -> tuple[str, str] | None:
    """The option that may hold an address, and what the run had for it; ``None`` without one."""
    if how.backend == "api" and how.base_url is not None:
        return "base_url", how.base_url
    if how.backend == "lm_eval" and how.lm_eval_args:
        return "lm_eval_args", how.lm_eval_args
    return None


def _check_said_again(name: str, asked: str, options: argparse.Namespace, run: str) -> None:
    """A key goes to no address that a record alone names: a record may come from anybody."""
    said, flag = getattr(options, name) or "", f"--{name.replace('_', '-')}"
    if said and name == "base_url":
        said = make_server(said, "m", None).url
    if said != asked:
        raise UsageError(
            f"run {run} was begun with {flag} {shlex.quote(asked)}, and no address is taken from "
            f"a record alone: {f'{flag} says {said}' if said else 'say so again'}"
        )
