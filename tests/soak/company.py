"""Two runs at once on one journal and one report folder, with and without kills."""

from __future__ import annotations

import random
from collections import Counter

from tests.soak.compared import check_survived
from tests.soak.ground import Ground, ended_with, evaluation, forget, next_command, survived_so_far

AT_ONCE = "two runs at once"
KILLED = "SIGKILL of one of two runs at once"


def at_once(ground: Ground, chance: random.Random) -> Counter[str]:
    """Start a run twice, kill one of them or both or none, and do so again with what is left."""
    reports, faults = ground.fresh(), Counter[str]()
    for last in (False, True):
        commands = [evaluation(), next_command(reports, "tiny", True)]
        begun = [ground.begin(command, reports) for command in commands]
        if last:
            ended = [process.wait() for process in begun]
        else:  # two at once take twice as long: about every second one is killed
            early, late = sorted(chance.uniform(0, 4 * ground.seconds) for _ in begun)
            chance.shuffle(begun)
            ended = [begun[0].kill_after(early), begun[1].kill_after(late - early)]
        faults[AT_ONCE] += 1
        for each in ended:
            (ended_with if last else survived_so_far)(each, 0)
            faults[KILLED] += each.code is None
    check_survived(reports, ground.expected, alone=False)
    forget(reports)
    return faults
