"""Ohm's law: voltage, current, resistance and power, and resistors in a row."""

from __future__ import annotations

from training.data.stem.numbers import Numbers
from training.data.stem.problem import Operand, Problem, Result, Step

NEAR, FAR = (2, 9), (11, 14)
PARTS = ("resistor", "lamp", "coil", "wire")
SOURCES = ("battery", "generator", "power supply")


def _voltage(current: int, resistance: Operand) -> Step:
    return Step("Voltage is current {op} resistance: {work} V", current, "*", resistance)


def _current(voltage: int, resistance: Operand) -> Step:
    return Step("Current is voltage {op} resistance: {work} A", voltage, "/", resistance)


def _resistance(voltage: int, current: int) -> Step:
    return Step("Resistance is voltage {op} current: {work} ohms", voltage, "/", current)


def _power(voltage: int, current: int) -> Step:
    return Step("Power is voltage {op} current: {work} W", voltage, "*", current)


def _in_series(one: int, other: int) -> Step:
    return Step("Both resistances: {work} ohms", one, "+", other)


def voltage(n: Numbers) -> Problem:
    """Current and resistance are given."""
    current, resistance, part = n.whole(2, 9), n.ranged(NEAR, FAR), n.one_of(PARTS)
    question = n.one_of(
        (
            f"A current of {current} A flows through a {part} of {resistance} ohms. "
            "What is the voltage in volts?",
            f"A {part} has a resistance of {resistance} ohms and a current of {current} A. "
            "Find the voltage.",
            f"What voltage drives {current} A through a {part} of {resistance} ohms?",
        )
    )
    return Problem(question, (_voltage(current, resistance),))


def current(n: Numbers) -> Problem:
    """Voltage and resistance are given."""
    amperes, resistance, part = n.whole(2, 9), n.ranged(NEAR, FAR), n.one_of(PARTS)
    volts = amperes * resistance
    question = n.one_of(
        (
            f"A {part} of {resistance} ohms is connected to {volts} V. "
            "What current in A flows through it?",
            f"The voltage across a {part} is {volts} V, its resistance {resistance} ohms. "
            "Find the current.",
            f"What current flows at {volts} V through a {part} of {resistance} ohms?",
        )
    )
    return Problem(question, (_current(volts, resistance),))


def resistance(n: Numbers) -> Problem:
    """Voltage and current are given."""
    amperes, ohms, part = n.whole(2, 9), n.ranged(NEAR, FAR), n.one_of(PARTS)
    volts = amperes * ohms
    question = n.one_of(
        (
            f"At {volts} V a current of {amperes} A flows through a {part}. "
            "What is its resistance in ohms?",
            f"A {part} takes {amperes} A at a voltage of {volts} V. Find its resistance.",
            f"What resistance has a {part} if {volts} V drive {amperes} A through it?",
        )
    )
    return Problem(question, (_resistance(volts, amperes),))


def power(n: Numbers) -> Problem:
    """Voltage and current are given, power is asked for."""
    volts, amperes, part = n.ranged(NEAR, FAR), n.whole(2, 9), n.one_of(PARTS)
    question = n.one_of(
        (
            f"A {part} takes {amperes} A at {volts} V. What is its power in watts?",
            f"What power in W has a {part} at a voltage of {volts} V and a current of {amperes} A?",
        )
    )
    return Problem(question, (_power(volts, amperes),))


def series_current(n: Numbers) -> Problem:
    """Two resistances in a row, and the current through both."""
    total, amperes = n.ranged((4, 9), FAR), n.whole(2, 9)
    one = n.whole(1, total - 1)
    volts, source = total * amperes, n.one_of(SOURCES)
    question = n.one_of(
        (
            f"Resistors of {one} ohms and {total - one} ohms are in series at {volts} V. "
            "What current in A flows?",
            f"A {source} of {volts} V is connected to {one} ohms and {total - one} ohms in series. "
            "Find the current.",
        )
    )
    return Problem(question, (_in_series(one, total - one), _current(volts, Result(0))))


def series_voltage(n: Numbers) -> Problem:
    """Two resistances in a row, and the voltage across both."""
    one, other, amperes = n.ranged((1, 5), (6, 9)), n.whole(1, 4), n.whole(2, 9)
    question = n.one_of(
        (
            f"A current of {amperes} A flows through {one} ohms and {other} ohms in series. "
            "What is the voltage across both, in V?",
            f"Resistors of {one} ohms and {other} ohms are in series and carry {amperes} A. "
            "Find the voltage across both.",
        )
    )
    return Problem(question, (_in_series(one, other), _voltage(amperes, Result(0))))


def heater(n: Numbers) -> Problem:
    """A voltage: a device of the house."""
    amperes, ohms = n.whole(2, 9), n.ranged(NEAR, FAR)
    device = n.one_of(("heater", "kettle", "toaster"))
    return Problem(
        f"The heating wire of a {device} has {ohms} ohms. How many volts lie across it while "
        f"{amperes} A flow?",
        (_voltage(amperes, ohms),),
    )


def meter(n: Numbers) -> Problem:
    """A current: what an instrument will show."""
    amperes, ohms, source = n.whole(2, 9), n.ranged(NEAR, FAR), n.one_of(SOURCES)
    return Problem(
        f"A student connects a {source} of {amperes * ohms} V to a resistor of {ohms} ohms. "
        "How many A does the ammeter show?",
        (_current(amperes * ohms, ohms),),
    )


def unknown_part(n: Numbers) -> Problem:
    """A resistance: measured."""
    amperes, ohms = n.whole(2, 9), n.ranged(NEAR, FAR)
    part = n.one_of(("part", "motor", "sensor"))
    return Problem(
        f"To find the resistance of an unknown {part}, Mia measures {amperes * ohms} V across it "
        f"and {amperes} A through it. How many ohms has it?",
        (_resistance(amperes * ohms, amperes),),
    )


def charger(n: Numbers) -> Problem:
    """A power: what a device delivers."""
    volts, amperes = n.ranged(NEAR, FAR), n.whole(2, 9)
    device = n.one_of(("charger", "solar panel", "dynamo"))
    return Problem(
        f"A {device} delivers {amperes} A at a voltage of {volts} V. How many watts are that?",
        (_power(volts, amperes),),
    )


def lamps(n: Numbers) -> Problem:
    """Two lamps in a row."""
    total, amperes = n.ranged((4, 9), FAR), n.whole(2, 9)
    one = n.whole(1, total - 1)
    return Problem(
        f"Two lamps, one of {one} ohms and one of {total - one} ohms, hang one after the other "
        f"on a source of {total * amperes} V. How many A flow through them?",
        (_in_series(one, total - one), _current(total * amperes, Result(0))),
    )


TRAINED = (voltage, current, resistance, power, series_current, series_voltage)
HELD_OUT = (heater, meter, unknown_part, charger, lamps)
