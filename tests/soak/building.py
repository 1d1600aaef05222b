"""Kills of `harness-train` while it writes a model: what is there is whole, or is not there."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.lineage import built_folder
from harness.presence import presence
from harness.sources import resolve
from harness.zoo import Zoo, load_zoo
from tests.soak.ground import Ground, ended_with, survived_so_far
from tests.soak.operations import Moment, Operations
from tests.soak.processes import Ended, start
from tests.tiny_checkpoint import checkpoint
from tests.training.steps_for_tests import steps_at, write_steps
from training.cli import main

KILLED = "SIGKILL while a model is built"
_ZOO = """models:
  root: {family: f, stage: base, source: {hub: org/name}}
  a: {parent: root, step: {kind: mark, mark: 1}}
  b: {parent: a, step: {kind: mark, mark: 2}}
"""
_LONGEST = 400
"""More operations than a build has."""


@dataclass(frozen=True)
class _Site:
    folder: Path
    ground: Ground

    def zoo(self) -> Zoo:
        return load_zoo(self.folder / "zoo.yaml")

    def build(self, moment: Moment, *options: str) -> Ended:
        """Build the registry's ``b``, killed at a moment of what is done in the cache."""
        words = ["b", *options, "--zoo", str(self.folder / "zoo.yaml")]
        words += ["--models", str(self.folder / "models")]
        install = Operations((self.folder / "cache",), moment, self.ground.log).install
        return start(main, words, self.folder / "said.txt", install).wait()

    def check(self, *, built: bool) -> None:
        """Whatever counts as built is what was built."""
        zoo = self.zoo()
        for name, marks in (("a", {"mark_a": 1}), ("b", {"mark_a": 1, "mark_b": 2})):
            spec = zoo.get(name)
            found = presence(spec, zoo, self.folder / "models")
            assert found.state == "present" or not built, f"{name}: {found.detail}"
            if found.state != "present":
                continue
            files = resolve(spec, zoo, self.folder / "models").path
            config = json.loads((files / "config.json").read_text("utf-8"))
            assert {key: config.get(key) for key in marks} == marks, f"{name}: {config}"
            lie = [path.name for path in built_folder(spec, zoo).parent.iterdir()]
            left = [each for each in lie if each != files.name and not each.endswith(".lock")]
            assert not (built and left), f"left behind: {left}"
        assert not (built and list((self.folder / "cache").rglob("*.part"))), "parts left behind"


def killed_building(ground: Ground, chance: random.Random) -> Counter[str]:
    """Kill a build of two models twice, and finish it; then the same of a build that is forced."""
    faults = Counter[str]()
    with _site(ground) as site:
        for options in ((), ("--force",)):
            total = _operations(site, options) if options else _LONGEST // 4
            for _ in range(3):
                moment = Moment(chance.randint(1, total), chance.random() < 0.5)
                ended = site.build(moment, *options)
                survived_so_far(ended, 0)
                faults[KILLED] += ended.code is None
                site.check(built=False)
            ended_with(site.build(Moment(None), *options), 0)
            site.check(built=True)
    return faults


def _operations(site: _Site, options: tuple[str, ...]) -> int:
    ended_with(site.build(Moment(None), *options), 0)
    return len(site.ground.log.read_text("utf-8").splitlines())


@contextmanager
def _site(ground: Ground) -> Iterator[_Site]:
    folder = ground.fresh()
    checkpoint(folder / "models" / "org" / "name")
    steps = write_steps(folder / "steps")
    (folder / "zoo.yaml").write_text(_ZOO, "utf-8")
    (folder / "lock.yaml").write_text("schema: 1\n", "utf-8")
    changed = {
        "HARNESS_CACHE": str(folder / "cache"),
        "HARNESS_LOCK": str(folder / "lock.yaml"),
        "STEP_LOG": str(folder / "steps.log"),
    }
    before = {name: os.environ.get(name) for name in changed}
    os.environ.update(changed)
    try:
        with steps_at(steps):
            yield _Site(folder, ground)
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value
    shutil.rmtree(folder)
