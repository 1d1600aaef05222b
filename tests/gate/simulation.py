"""How often the gate's rule says what: simulated pairs of models on four tasks of the real sizes.

    python -m tests.gate.simulation [REPETITIONS]

prints the table of docs/gate.md: ARC-Challenge, GSM8K, HellaSwag and MMLU, doc-weighted, under the
profile ``release``; beside it the plain rule "any task drops by more than one point",
and the same rule in several looks, which stop when the verdict is sure.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from harness.gate.policy import load_policy
from harness.gate.rule import Counts, Floats, levels, levels_of_looks, rule
from harness.gate.sequential import SHARES

DOCS = np.array([1172.0, 1319.0, 10042.0, 14042.0])
TASKS = ("ARC-Challenge", "GSM8K", "HellaSwag", "MMLU")
DISCORDANCES = (0.05, 0.10, 0.15, 0.20)
SEED = 1234
REPETITIONS = 20_000


@dataclass(frozen=True)
class Scene:
    """What is true of a pair of models: the share of docs that change, and each task's drop."""

    name: str
    discordance: float
    drops: tuple[float, ...]


@dataclass(frozen=True)
class Shares:
    """How often each verdict falls."""

    fails: float
    passes: float
    plain: float

    @property
    def underpowered(self) -> float:
        """Neither."""
        return 1 - self.fails - self.passes


def scenes() -> Iterator[Scene]:
    """Equal answers; then no drop, one everywhere, and one in a single task."""
    yield Scene("0 everywhere", 0.0, (0.0,) * len(TASKS))
    for discordance in DISCORDANCES:
        for points in (0.0, 0.5, 1.0, 2.0, 3.0):
            yield Scene(f"{points:g} everywhere", discordance, (points / 100,) * len(TASKS))
        for points in (3.0, 5.0):
            for place, task in enumerate(TASKS):
                drops = tuple(points / 100 * (place == other) for other in range(len(TASKS)))
                yield Scene(f"{points:g} in {task}", discordance, drops)


def drawn(scene: Scene, repetitions: int, sizes: Floats, generator: np.random.Generator) -> Counts:
    """Counts of that many runs over docs of those sizes: shape (repetitions, tasks).

    A drop brings its own changes where fewer docs change than it takes.
    """
    drops = np.array(scene.drops)
    changed = np.maximum(scene.discordance, drops)
    shares = np.stack([(changed - drops) / 2, (changed + drops) / 2, 1 - changed], axis=-1)
    counts = [
        generator.multinomial(int(docs), share, size=repetitions)[:, :2]
        for docs, share in zip(sizes, shares, strict=True)
    ]
    both = np.stack(counts, axis=1).astype(np.float64)
    return Counts(both[..., 0], both[..., 1], np.broadcast_to(sizes, both.shape[:2]))


def shares_of(scene: Scene, repetitions: int) -> Shares:
    """Simulate a scene."""
    policy = load_policy(profile="release")
    counts = drawn(scene, repetitions, DOCS, np.random.default_rng(SEED))
    margins = np.full(len(TASKS), policy.task.value)
    level = levels(policy.alpha, len(TASKS))
    ruling = rule(counts, policy.pooled.value, margins, level)
    plain = ((counts.lost - counts.gained) / counts.docs > 0.01).any(axis=-1)
    return Shares(float(ruling.fails.mean()), float(ruling.passes.mean()), float(plain.mean()))


@dataclass(frozen=True)
class Looked:
    """In several looks: how often it fails and passes, and the mean share of docs asked."""

    fails: float
    passes: float
    asked: float


def looked_at(scene: Scene, repetitions: int, seed: int = SEED) -> Looked:
    """Simulate a scene in the looks of `harness.gate.sequential`: the first sure verdict counts."""
    policy = load_policy(profile="release")
    margins = np.full(len(TASKS), policy.task.value)
    fails, passes = (np.zeros(repetitions, dtype=bool) for _ in range(2))
    asked = np.ones(repetitions)
    gained, lost, docs = (np.zeros((repetitions, len(TASKS))) for _ in range(3))
    generator = np.random.default_rng(seed)
    for share, level in zip(SHARES, levels_of_looks(policy.alpha, len(TASKS), SHARES), strict=True):
        new = np.ceil(share * DOCS) - docs[0]
        counts = drawn(scene, repetitions, new, generator)
        gained, lost, docs = gained + counts.gained, lost + counts.lost, docs + new
        ruling = rule(Counts(gained, lost, docs), policy.pooled.value, margins, level)
        undecided = ~fails & ~passes
        fails |= undecided & ruling.fails
        passes |= undecided & ruling.passes
        asked[undecided & (ruling.fails | ruling.passes)] = docs[0].sum() / DOCS.sum()
    return Looked(float(fails.mean()), float(passes.mean()), float(asked.mean()))


def main(repetitions: int) -> None:
    """Print the table as Markdown."""
    print(f"{repetitions:,} pairs of models a row, seed {SEED}; shares in %.\n")
    heads = ("docs changed", "true drop, points", "fail", "pass", "underpowered")
    more = ("plain rule fails", "in looks: fail", "pass", "docs asked")
    print(f"| {' | '.join((*heads, *more))} |")
    print("| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for scene in scenes():
        shares = shares_of(scene, repetitions)
        looked = looked_at(scene, repetitions)
        single = (shares.fails, shares.passes, shares.underpowered, shares.plain)
        cells = (*single, looked.fails, looked.passes, looked.asked)
        figures = " | ".join(f"{abs(100 * share):.1f}" for share in cells)
        print(f"| {100 * scene.discordance:g}% | {scene.name} | {figures} |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else REPETITIONS)
