"""Stoichiometry: moles, molar masses and the ratios of a reaction."""

from __future__ import annotations

from training.data.stem.numbers import Numbers
from training.data.stem.problem import Operand, Problem, Result, Step

NEAR, FAR = (2, 9), (11, 14)
FEW, MORE = (2, 5), (6, 9)

# Rounded molar masses in g/mol.
SUBSTANCES = (
    ("hydrogen", 2),
    ("helium", 4),
    ("carbon", 12),
    ("methane", 16),
    ("water", 18),
    ("neon", 20),
    ("nitrogen", 28),
    ("oxygen", 32),
    ("argon", 40),
    ("calcium", 40),
    ("caustic soda", 40),
    ("magnesium oxide", 40),
    ("limestone", 100),
)
OTHERS = (
    ("lithium", 7),
    ("deuterium oxide", 20),
    ("acetylene", 26),
    ("ethane", 30),
    ("sulfur", 32),
    ("bromine", 160),
)

# One mole of the first gives, in a complete reaction, so many moles of the second.
REACTIONS = (
    ("methane", "water", 2),
    ("nitrogen", "ammonia", 2),
    ("oxygen", "water", 2),
    ("chlorine", "hydrogen chloride", 2),
    ("ethane", "water", 3),
    ("ethane", "carbon dioxide", 2),
    ("propane", "water", 4),
    ("propane", "carbon dioxide", 3),
    ("butane", "water", 5),
    ("butane", "carbon dioxide", 4),
    ("glucose", "carbon dioxide", 6),
)
# The same, with the molar mass of the second.
WEIGHED = (
    ("methane", "water", 2, 18),
    ("oxygen", "water", 2, 18),
    ("nitrogen", "ammonia", 2, 17),
    ("ethane", "water", 3, 18),
    ("fluorine", "hydrogen fluoride", 2, 20),
    ("oxygen", "magnesium oxide", 2, 40),
)


def _mass(moles: Operand, molar: int) -> Step:
    return Step("Mass is moles {op} molar mass: {work} g", moles, "*", molar)


def _moles(mass: int, molar: int) -> Step:
    return Step("Moles are mass {op} molar mass: {work} mol", mass, "/", molar)


def _made(moles: Operand, ratio: int, product: str) -> Step:
    return Step(f"Moles of {product}: {{work}} mol", moles, "*", ratio)


def mass(n: Numbers) -> Problem:
    """Moles and molar mass are given."""
    (substance, molar), moles = n.one_of(SUBSTANCES), n.ranged(FEW, MORE)
    question = n.one_of(
        (
            f"The molar mass of {substance} is {molar} g/mol. "
            f"What is the mass of {moles} mol of {substance}, in g?",
            f"What mass in g have {moles} mol of {substance} ({molar} g/mol)?",
            f"Find the mass of {moles} mol of {substance}. Its molar mass is {molar} g/mol.",
        )
    )
    return Problem(question, (_mass(moles, molar),))


def moles(n: Numbers) -> Problem:
    """Mass and molar mass are given."""
    (substance, molar), count = n.one_of(SUBSTANCES), n.ranged(FEW, MORE)
    grams = count * molar
    question = n.one_of(
        (
            f"The molar mass of {substance} is {molar} g/mol. "
            f"How many moles are {grams} g of {substance}?",
            f"How many mol are {grams} g of {substance} ({molar} g/mol)?",
            f"Find the moles in {grams} g of {substance}. Its molar mass is {molar} g/mol.",
        )
    )
    return Problem(question, (_moles(grams, molar),))


def product(n: Numbers) -> Problem:
    """How much a reaction gives."""
    (reactant, made, ratio), count = n.one_of(REACTIONS), n.ranged(NEAR, FAR)
    question = n.one_of(
        (
            f"In a reaction 1 mol of {reactant} gives {ratio} mol of {made}. "
            f"How many mol of {made} do {count} mol of {reactant} give?",
            f"One mole of {reactant} yields {ratio} moles of {made}. "
            f"How many moles of {made} come from {count} moles of {reactant}?",
        )
    )
    return Problem(question, (_made(count, ratio, made),))


def reactant(n: Numbers) -> Problem:
    """How much a reaction needs."""
    (needed, made, ratio), count = n.one_of(REACTIONS), n.ranged(NEAR, FAR)
    question = n.one_of(
        (
            f"In a reaction 1 mol of {needed} gives {ratio} mol of {made}. "
            f"How many mol of {needed} are needed for {count * ratio} mol of {made}?",
            f"One mole of {needed} yields {ratio} moles of {made}. "
            f"How many moles of {needed} give {count * ratio} moles of {made}?",
        )
    )
    return Problem(question, (Step(f"Moles of {needed}: {{work}} mol", count * ratio, "/", ratio),))


def mass_of_product(n: Numbers) -> Problem:
    """Moles of the product, then their mass."""
    (needed, made, ratio, molar), count = n.one_of(WEIGHED), n.ranged(FEW, MORE)
    question = n.one_of(
        (
            f"In a reaction 1 mol of {needed} gives {ratio} mol of {made} ({molar} g/mol). "
            f"What mass of {made} in g do {count} mol of {needed} give?",
            f"One mole of {needed} yields {ratio} moles of {made}, which has {molar} g/mol. "
            f"Find the mass of {made} from {count} moles of {needed}.",
        )
    )
    return Problem(question, (_made(count, ratio, made), _mass(Result(0), molar)))


def flask(n: Numbers) -> Problem:
    """A mass: what stands in a laboratory, of substances that training does not name."""
    (substance, molar), count = n.one_of(OTHERS), n.ranged(FEW, MORE)
    vessel = n.one_of(("flask", "bottle", "dish"))
    return Problem(
        f"A chemist puts {count} mol of {substance} into a {vessel}. How many grams are that, if "
        f"one mole weighs {molar} g?",
        (_mass(count, molar),),
    )


def sample(n: Numbers) -> Problem:
    """Moles: a weighed sample."""
    (substance, molar), count = n.one_of(OTHERS), n.ranged(FEW, MORE)
    return Problem(
        f"A sample of {substance} weighs {count * molar} g. One mole of it weighs {molar} g. "
        "How many moles does the sample hold?",
        (_moles(count * molar, molar),),
    )


def burner(n: Numbers) -> Problem:
    """Moles of a product: a burner."""
    fuel, made, ratio = n.one_of(
        (
            ("pentane", "water", 6),
            ("pentane", "carbon dioxide", 5),
            ("ethanol", "water", 3),
            ("ethanol", "carbon dioxide", 2),
            ("methanol", "water", 2),
        )
    )
    count = n.ranged(NEAR, FAR)
    return Problem(
        f"A burner turns every mole of {fuel} into {ratio} moles of {made}. It has burnt {count} "
        f"moles of {fuel}. How many moles of {made} has it made?",
        (_made(count, ratio, made),),
    )


def plant(n: Numbers) -> Problem:
    """Moles that are needed: a factory."""
    needed, made, ratio = n.one_of(
        (("silane", "water", 2), ("alumina", "aluminium", 2), ("rust", "iron", 2))
    )
    count = n.ranged(NEAR, FAR)
    return Problem(
        f"A factory makes {ratio} moles of {made} out of each mole of {needed}. It must deliver "
        f"{count * ratio} moles of {made}. How many moles of {needed} must it buy?",
        (Step(f"Moles of {needed}: {{work}} mol", count * ratio, "/", ratio),),
    )


TRAINED = (mass, moles, product, reactant, mass_of_product)
HELD_OUT = (flask, sample, burner, plant)
