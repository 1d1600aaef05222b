"""A kind of step that takes no time, for tests of the builder; steps are found by path, so it is a
file of a folder that is put in the place of `training/steps`.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STEP = r"""
from __future__ import annotations

import json, os, shutil, time, uuid
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal


@dataclass(frozen=True)
class Options:
    stage: ClassVar[str] = "sft"
    needs: ClassVar[tuple[str, ...]] = ("numpy",)

    data: str = "default"
    mark: int = 0
    how: Literal["well", "hang", "slow", "raise", "refuse", "full", "full_torch", "memory",
                 "no_weights", "no_tokenizer", "undefined", "random", "no_package"] = "well"
    epochs: float = 1.0
    seed: int = 7


def run(options, work):
    from harness.errors import TrainingError
    from training.step import Made

    with open(os.environ["STEP_LOG"], "a") as log:
        log.write(f"{work.name} {sorted(p.name for p in work.scratch.iterdir())}\n")
    for path in work.parent.iterdir():
        if path.is_file() and path.name != "lineage.json":
            shutil.copy(path, work.out)
    if options.how == "hang" and not (work.scratch / "checkpoint").exists():
        (work.scratch / "checkpoint").write_text("half way")
        print("hanging", flush=True)
        time.sleep(600)
    if options.how == "slow":
        time.sleep(2)
    if options.how == "raise":
        raise RuntimeError("a bug")
    if options.how == "refuse":
        raise TrainingError("the loss is NaN at step 3")
    if options.how == "full":
        with open("/dev/full", "w") as file:
            file.write("x")
    if options.how == "full_torch":
        import torch
        torch.save({"a": torch.zeros(100_000), "b": torch.zeros(100_000)}, "/dev/full")
    if options.how == "memory":
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
    if options.how == "no_package":
        import no_such_package
    if options.how == "no_weights":
        for path in work.out.glob("*.safetensors"):
            path.unlink()
    if options.how == "no_tokenizer":
        for path in work.out.glob("tokenizer*"):
            path.unlink()
    config = json.loads((work.out / "config.json").read_text())
    config[f"mark_{work.name}"] = uuid.uuid4().hex if options.how == "random" else options.mark
    (work.out / "config.json").write_text(json.dumps(config))
    loss = float("nan") if options.how == "undefined" else 0.5
    return Made(data={"default": "d" * 64}, figures={"loss": loss}, chosen={"group_size": 64})
"""

DRIVER = """
import sys
from pathlib import Path
from tests.training.steps_for_tests import steps_at
with steps_at(Path({steps!r})):
    from {module} import main
    code = main(sys.argv[1:])
sys.exit(code)
"""
"""A program that runs a command line with the steps of a folder; to be killed, and for `make`."""


def write_steps(folder: Path) -> Path:
    """Write the step ``mark`` into a new folder."""
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("", "utf-8")
    (folder / "mark.py").write_text(STEP, "utf-8")
    return folder


@contextmanager
def steps_at(folder: Path) -> Iterator[None]:
    """Let the registry and the builder find their steps in this folder alone."""
    from harness import step_options

    steps = importlib.import_module("training.steps")
    before, path = step_options.STEPS, list(steps.__path__)
    step_options.STEPS, steps.__path__[:] = folder, [str(folder)]
    step_options.options_class.cache_clear()
    try:
        yield
    finally:
        step_options.STEPS, steps.__path__[:] = before, path
        step_options.options_class.cache_clear()
        for step in folder.glob("[a-z]*.py"):
            sys.modules.pop(f"training.steps.{step.stem}", None)


def driver(folder: Path, module: str = "training.cli") -> list[str]:
    """The words that run a command line in a process of its own with these steps."""
    return [sys.executable, "-c", DRIVER.format(steps=str(folder), module=module)]


def environment(repository: Path) -> dict[str, str]:
    """What such a process needs to find the packages."""
    return {**os.environ, "PYTHONPATH": str(repository)}
