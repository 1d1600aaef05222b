"""Kills: at random moments, and at each thing that a run does to a file."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.soak.compared import check_survived
from tests.soak.ground import Ground, ended_with, evaluation, forget, next_command, survived_so_far
from tests.soak.operations import Moment
from tests.soak.processes import Ended

AT_RANDOM = "SIGKILL at a random moment"
BEFORE = "SIGKILL before a write, sync or rename"
TORN = "SIGKILL in the middle of a write"

Attempt = Callable[[Sequence[str], Path], tuple[Ended, str]]
"""Runs a command on a report folder under a fault; returns how it ended, and the fault's kind."""


def killed_at_random(ground: Ground, chance: random.Random, kills: int = 3) -> Counter[str]:
    """Kill a run and what takes it up, at moments drawn from the undisturbed run's duration."""

    def attempt(command: Sequence[str], reports: Path) -> tuple[Ended, str]:
        ended = ground.begin(command, reports).kill_after(chance.uniform(0, ground.seconds))
        if ended.code == 0 and command == evaluation():
            ground.seconds = min(ground.seconds, ended.seconds)  # it was measured beside others
        return ended, AT_RANDOM

    return _chain(ground, chance, [attempt] * kills)


def killed_at(ground: Ground, chance: random.Random, moment: Moment) -> Counter[str]:
    """Kill a run at an operation, and what takes it up at a random other one."""
    second = Moment(chance.randint(1, len(ground.operations)), chance.random() < 0.5)

    def attempt_at(moment: Moment) -> Attempt:
        def attempt(command: Sequence[str], reports: Path) -> tuple[Ended, str]:
            ended = ground.begin_until(command, reports, moment).wait()
            last = ground.log.read_text("utf-8").splitlines()[-1:]
            torn = moment.torn and last and last[0].startswith("write ")
            return ended, TORN if torn else BEFORE

        return attempt

    return _chain(ground, chance, [attempt_at(moment), attempt_at(second)])


def _chain(ground: Ground, chance: random.Random, attempts: Sequence[Attempt]) -> Counter[str]:
    reports, faults = ground.fresh(), Counter[str]()
    command = evaluation()
    for attempt in attempts:
        ended, kind = attempt(command, reports)
        survived_so_far(ended, 0)
        if ended.code is None:
            faults[kind] += 1
        command = next_command(reports, "tiny", chance.random() < 0.5)
    ended = ground.begin(command, reports).wait()
    ended_with(ended, 0)
    if command != ["report"]:
        assert next_command(reports, "tiny", True) == ["report"], ended.said
    check_survived(reports, ground.expected)
    forget(reports)
    return faults
