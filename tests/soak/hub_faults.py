"""A hub that answers slowly, wrongly or not at all, and kills while a model is fetched from it."""

from __future__ import annotations

import os
import random
import shutil
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.soak.compared import check_survived
from tests.soak.ground import Ground, ended_with, evaluation, forget, next_command, survived_so_far
from tests.soak.hub_server import FAULTS, served
from tests.soak.operations import Moment, Operations

WORDS = {
    "slow": "a hub that stalls",
    "error": "a hub that answers 500",
    "half": "a hub that sends half a file",
    "wrong": "a hub that sends wrong bytes",
    "drop": "a hub that drops the connection",
}
KILLED = "SIGKILL while a model is fetched"
_REQUESTS = 14
"""About as many as a fetch takes: two a file, and one for what there is."""

_PATIENCE = 25
"""Commands until a fetch must have succeeded: faults run out."""


def fetched(ground: Ground, chance: random.Random) -> Counter[str]:
    """Fetch a model from such a hub, being killed now and then, until it is scored."""
    numbers = chance.sample(range(1, _REQUESTS + 1), 4)
    faults = {number: chance.choice(FAULTS) for number in numbers}
    kills = [Moment(chance.randint(1, 60), chance.random() < 0.5) for _ in range(2)]
    reports, cache = ground.fresh(), ground.fresh()
    log, counted = ground.folder / "hub.log", Counter[str]()
    model = chance.choice(["fetched", "pinned"])
    command = evaluation(model)
    with served(ground.model, faults, log) as address:
        for attempt in range(_PATIENCE):
            moment = kills.pop() if kills and attempt % 2 == 0 else Moment(None)

            def prepare(moment: Moment = moment) -> None:
                _use(address, cache)
                Operations((reports, cache), moment, ground.log).install()

            ended = ground.begin(command, reports, prepare).wait()
            (ended_with if moment.number is None else survived_so_far)(ended, 0, 1)
            if ended.code is None:
                counted[KILLED] += 1
            elif ended.code == 0 and not kills:
                break
            elif ended.code:
                assert f"{model}: " in ended.said and "org/tiny" in ended.said, ended.said
            command = next_command(reports, model, chance.random() < 0.5)
        else:
            raise AssertionError(f"not fetched after {_PATIENCE} commands:\n{ended.said}")
    for line in log.read_text("utf-8").splitlines():
        counted[WORDS[line.split()[0]]] += 1
    check_survived(reports, ground.expected)
    forget(reports)
    shutil.rmtree(cache)
    return counted


def _use(address: str, cache: Path) -> None:
    """Have this process fetch from that hub, and not wait long before it tries again."""
    os.environ["HF_ENDPOINT"] = address
    os.environ["HF_HUB_CACHE"] = str(cache)
    sleep = time.sleep

    def briefly(seconds: Any) -> None:
        sleep(min(float(seconds), 0.02))

    time.sleep = briefly
