"""Kinematics: steady motion, and speeds that change by the same amount every second."""

from __future__ import annotations

from training.data.stem.numbers import Numbers
from training.data.stem.problem import Problem, Result, Step

NEAR, FAR = (2, 9), (11, 14)
MOVERS = ("car", "ball", "boat", "robot", "horse", "sled")
METRES, KILOMETRES = ("m/s", "m", "s"), ("km/h", "km", "h")
NAMED = {"m": "metres", "km": "kilometres", "s": "seconds", "h": "hours"}


def _steady(n: Numbers) -> tuple[int, int, str, str, str]:
    """Speed and time, with the units of speed, distance and time."""
    speed, time = n.ranged(NEAR, FAR), n.whole(2, 9)
    units = n.one_of((METRES, KILOMETRES))
    return (speed * 10 if units is KILOMETRES else speed, time, *units)


def _distance(speed: int, time: int, unit: str) -> Step:
    return Step(f"Distance is speed {{op}} time: {{work}} {unit}", speed, "*", time)


def _speed(distance: int, time: int, unit: str) -> Step:
    return Step(f"Speed is distance {{op}} time: {{work}} {unit}", distance, "/", time)


def _time(distance: int, speed: int, unit: str) -> Step:
    return Step(f"Time is distance {{op}} speed: {{work}} {unit}", distance, "/", speed)


def _faster(start: int, rate: int, time: int) -> tuple[Step, Step]:
    return (
        Step("Gained is rate {op} time: {work} m/s", rate, "*", time),
        Step("Speed is start {op} gained: {work} m/s", start, "+", Result(0)),
    )


def _slower(start: int, rate: int, time: int) -> tuple[Step, Step]:
    return (
        Step("Lost is rate {op} time: {work} m/s", rate, "*", time),
        Step("Speed is start {op} lost: {work} m/s", start, "-", Result(0)),
    )


def _rate(start: int, end: int, time: int) -> tuple[Step, Step]:
    return (
        Step("Gained is end {op} start: {work} m/s", end, "-", start),
        Step("Rate is gained {op} time: {work} m/s", Result(0), "/", time),
    )


def distance(n: Numbers) -> Problem:
    """Speed and time are given."""
    speed, time, per, length, unit = _steady(n)
    mover = n.one_of(MOVERS)
    question = n.one_of(
        (
            f"A {mover} moves at {speed} {per} for {time} {unit}. "
            f"How many {NAMED[length]} does it go?",
            f"What distance in {length} does a {mover} cover in {time} {unit} at {speed} {per}?",
            f"A {mover} has a steady speed of {speed} {per}. How far does it get in {time} {unit}?",
        )
    )
    return Problem(question, (_distance(speed, time, length),))


def speed(n: Numbers) -> Problem:
    """Distance and time are given."""
    pace, time, per, length, unit = _steady(n)
    mover = n.one_of(MOVERS)
    question = n.one_of(
        (
            f"A {mover} covers {pace * time} {length} in {time} {unit} at a steady speed. "
            f"What is its speed in {per}?",
            f"At what speed in {per} does a {mover} move that goes {pace * time} {length} "
            f"in {time} {unit}?",
        )
    )
    return Problem(question, (_speed(pace * time, time, per),))


def time(n: Numbers) -> Problem:
    """Distance and speed are given."""
    pace, duration, per, length, unit = _steady(n)
    mover = n.one_of(MOVERS)
    question = n.one_of(
        (
            f"How many {NAMED[unit]} does a {mover} need for {pace * duration} {length} "
            f"at {pace} {per}?",
            f"A {mover} moves at {pace} {per}. How long does it take for {pace * duration} "
            f"{length}, in {unit}?",
        )
    )
    return Problem(question, (_time(pace * duration, pace, unit),))


def speeding_up(n: Numbers) -> Problem:
    """The speed after some seconds of speeding up."""
    start, rate, duration = n.whole(1, 20), n.ranged(NEAR, FAR), n.whole(2, 9)
    mover = n.one_of(MOVERS)
    question = n.one_of(
        (
            f"A {mover} starts at {start} m/s and gains {rate} m/s every second for {duration} s. "
            "What is its speed then, in m/s?",
            f"The speed of a {mover} is {start} m/s. It speeds up by {rate} m/s every second. "
            f"What is its speed in m/s after {duration} s?",
        )
    )
    return Problem(question, _faster(start, rate, duration))


def slowing_down(n: Numbers) -> Problem:
    """The speed after some seconds of slowing down."""
    rate, duration = n.ranged(NEAR, FAR), n.whole(2, 5)
    start = rate * duration + n.whole(1, 20)
    mover = n.one_of(MOVERS)
    question = n.one_of(
        (
            f"A {mover} starts at {start} m/s and loses {rate} m/s every second for {duration} s. "
            "What is its speed then, in m/s?",
            f"The speed of a {mover} is {start} m/s. It slows down by {rate} m/s every second. "
            f"What is its speed in m/s after {duration} s?",
        )
    )
    return Problem(question, _slower(start, rate, duration))


def rate_of_change(n: Numbers) -> Problem:
    """By how much the speed rises every second."""
    start, rate, duration = n.whole(2, 9), n.ranged(NEAR, FAR), n.whole(2, 9)
    end, mover = start + rate * duration, n.one_of(MOVERS)
    question = n.one_of(
        (
            f"The speed of a {mover} rises from {start} m/s to {end} m/s in {duration} s. "
            "By how many m/s does it rise every second?",
            f"In {duration} s a {mover} goes from {start} m/s to {end} m/s. "
            "How many m/s does it gain every second?",
        )
    )
    return Problem(question, _rate(start, end, duration))


def cyclist(n: Numbers) -> Problem:
    """A distance: who moves is a person, and the time comes last."""
    pace, duration, per, length, unit = _steady(n)
    who, does = n.one_of((("cyclist", "rides"), ("skater", "glides"), ("runner", "runs")))
    return Problem(
        f"A {who} {does} at a constant {pace} {per}. How many {NAMED[length]} lie behind the {who} "
        f"after {duration} {NAMED[unit]}?",
        (_distance(pace, duration, length),),
    )


def lift(n: Numbers) -> Problem:
    """A speed: the time comes first."""
    pace, duration = n.ranged(NEAR, FAR), n.whole(2, 9)
    what, does = n.one_of((("lift", "rises"), ("crab", "crawls"), ("crane", "lifts a load")))
    return Problem(
        f"In {duration} seconds a {what} {does} {pace * duration} metres, always equally fast. "
        "Find the speed in m/s.",
        (_speed(pace * duration, duration, "m/s"),),
    )


def journey(n: Numbers) -> Problem:
    """A time: two places."""
    pace, duration = 10 * n.ranged(NEAR, FAR), n.whole(2, 9)
    ride = n.one_of(("train", "bus", "truck"))
    return Problem(
        f"Two towns are {pace * duration} km apart. A {ride} drives from one to the other at "
        f"{pace} km/h. How many hours does the trip take?",
        (_time(pace * duration, pace, "h"),),
    )


def braking(n: Numbers) -> Problem:
    """Slowing down: a train before a station."""
    rate, duration = n.ranged(NEAR, FAR), n.whole(2, 5)
    start = rate * duration + n.whole(1, 20)
    ride = n.one_of(("train", "tram", "plane"))
    return Problem(
        f"A {ride} brakes and becomes {rate} m/s slower every second. It was going at {start} m/s "
        f"before. How fast is it after {duration} s, in m/s?",
        _slower(start, rate, duration),
    )


def rocket(n: Numbers) -> Problem:
    """Speeding up: the start comes last."""
    start, rate, duration = n.whole(1, 20), n.ranged(NEAR, FAR), n.whole(2, 9)
    what = n.one_of(("rocket", "falcon", "drone"))
    return Problem(
        f"Every second a {what} becomes {rate} m/s faster. How fast is it after {duration} s, in "
        f"m/s, if it had {start} m/s at first?",
        _faster(start, rate, duration),
    )


TRAINED = (distance, speed, time, speeding_up, slowing_down, rate_of_change)
HELD_OUT = (cyclist, lift, journey, braking, rocket)
