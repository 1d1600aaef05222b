"""Which letter an explanation settles on."""

from __future__ import annotations

import pytest

from harness.letters import LETTERS, Extracted, Rule, extract

CHOICES = ["a mammal", "water", "water vapor", "carbon dioxide"]

ANCHORED = [
    ("The answer is (B).", "B"),
    ("The answer is B", "B"),
    ("the answer is (b)", "B"),
    ("The answer is b.", "B"),
    ("The answer is a.", "A"),
    ("Answer: B", "B"),
    ("**Answer:** C", "C"),
    ("**Answer**: C", "C"),
    ("Answer: **C. water vapor**", "C"),
    ("The correct answer is: D) carbon dioxide", "D"),
    ("The correct option is option D.", "D"),
    ("The best choice is letter D", "D"),
    ("The answer is $\\boxed{C}$.", "C"),
    ("The answer is $\\boxed{\\text{B}}$. Option C is too hot, D melts.", "B"),
    ("The answer is $\\boxed{ \\textbf{(B)} }$, not D", "B"),
    ("The answer is \\(\\boxed{B}\\). Option C is too hot.", "B"),
    ("The answer is \\[ B \\], not D", "B"),
    ("The answer is \\mathrm{A}. B melts, so does C", "A"),
    ("The answer is __B__. C is too hot, and D melts", "B"),
    ("The answer is _A_, as D melts", "A"),
    ("__B__ is correct. D melts", "B"),
    ("_B. water_", "B"),
    ("_B_", "B"),
    ("The answer is **B**, **C** is too hot", "B"),
    ("The correct answer to this question is C.", "C"),
    ("The answer is most likely C.", "C"),
    ("I would choose B here", "B"),
    ("B is correct, because ice melts.", "B"),
    ("A is the correct answer.", "A"),
    ("The answer is A because whales breathe.", "A"),
    ("The answer is A, a mammal", "A"),
    ("Answer: A\nA whale is no fish.", "A"),
    ("B. water, unlike D", "B"),
    (" B) water. Not C", "B"),
    ("C", "C"),
    ("(C)", "C"),
    ("The answer is (C).\n\nThe answer is (A).\n\nThe answer is (B).", "C"),
    ("It looks like B. The answer is (C), not D.", "C"),
    ("The answer is not (A). The answer is (D). A whale is big.", "D"),
    ("A and B are wrong, so the answer is C", "C"),
    ("A. Evaporation is wrong because it needs heat.\n\nThe answer is D.", "D"),
    ("C. This option is incorrect. The answer is B.", "B"),
    ("B. is not right, because it cools. The answer is C.", "C"),
    ("The answer is 'B'. C is too hot.", "B"),
    ("The answer is ‘C’", "C"),
    ("A is the answer.", "A"),
    ("The answer is definitely (A). B is wrong", "A"),
]
LAST = [
    ("It must be C", "C"),
    ("Whales breathe, so (a)", "A"),
    ("First B seems right, but then D does.", "D"),
    ("Option B fits. A whale is big.", "B"),
    ("Water boils and gives off C, at 100 C", "C"),
    ("Oranges hold vitamin C, so D", "D"),
    ("C is wrong. B fits best, not D", "B"),
    ("So I'd say D", "D"),
    ("It is not A or B. So D", "D"),
    ("DNA has A, T, C and G, hence (B)", "B"),
    ("C + O2 -> CO2. It must be D", "D"),
    ("Hepatitis B spreads by blood: D", "D"),
]
BY_TEXT = [
    ("The answer is carbon dioxide.", "D"),
    ("It turns into water vapor.", "C"),
    ("Water is not it; carbon dioxide neither. The answer is a mammal.", "A"),
    ("The answer is a mammal", "A"),
    ("The answer is A or D. It is water.", "B"),
    ("The answer is not carbon dioxide. It is water vapor.", "C"),
    ("Carbon dioxide is wrong, a mammal it is", "A"),
]
NOTHING = [
    "",
    "   \n",
    "I do not know.",
    "A whale is a fish.",
    "I think a whale is big. A dog is small.",
    "Either A or B",
    "The answer is A, B, or C.",
    "It is water, or carbon dioxide.",
    "The answer is E.",
    "It is 25 C.",
    "The answer is not (A).",
    "The answer is not B or C.",
    "The answer isn't B or C",
    "A, B, and C are incorrect.",
    "Both B and C are wrong.",
    "The answer cannot be B.",
    "It can't be A.",
    "The answer could not be C.",
    "B is also incorrect.",
    "B is definitely not correct.",
    "B was wrong.",
    "B would not be correct.",
    "B doesn't fit",
    "The incorrect answer is B.",
    "If A is correct, then whales are fish.",
    "The answer is not carbon dioxide.",
    "It is not a mammal.",
    "Hepatitis B is a virus",
    "DNA contains A, T, C, and G",
    "C + O2 -> CO2",
    "Point C on the graph is hottest.",
    "Mr. B. Smith",
    "B is wrong, and it isn't C",
    "A. a mammal\nB. water\nC. water vapor\nD. carbon dioxide",
    "Ответ: вода",
    "The answer is v_B",
    "The answer is B_1",
    "The answer is x__B",
    "The answer is __A__ or __B__.",
    "The answer is **A** or **B**.",
    "__A.__ a mammal\n__B.__ water\n__C__. water vapor",
    "**A.** a mammal\n**B)** water\n**C**. water vapor",
]


def cases(pairs: list[tuple[str, str]], rule: Rule) -> list[tuple[str, str, Rule]]:
    return [(text, letter, rule) for text, letter in pairs]


@pytest.mark.parametrize(
    ("text", "letter", "rule"),
    cases(ANCHORED, "anchored phrase") + cases(LAST, "last letter") + cases(BY_TEXT, "choice text"),
)
def test_the_rule_that_tells(text: str, letter: str, rule: Rule) -> None:
    assert extract(text, CHOICES) == Extracted(LETTERS.index(letter), rule)


@pytest.mark.parametrize("text", NOTHING)
def test_nothing_is_guessed(text: str) -> None:
    assert extract(text, CHOICES) is None


def test_a_list_said_over_again_does_not_decide() -> None:
    listed = "A. a mammal\nB. water\nC) water vapor\nD. carbon\n"
    assert extract(listed + "It has to be B", CHOICES) == Extracted(1, "last letter")
    assert extract("Let us see.\n" + listed + "So (A)", CHOICES) == Extracted(0, "last letter")
    assert extract(listed + "Water it is", CHOICES) == Extracted(1, "choice text")
    explained = "A. No. The answer is D.\nB. No.\nC. No.\n"
    assert extract(explained, CHOICES) == Extracted(3, "anchored phrase")


def test_numbers_are_found_whole() -> None:
    """4 is in neither 14 nor 4.5 nor 1,4; a choice that stands twice tells nothing."""
    assert extract("It is 14, or 4.5, or 1,4", ["4", "5 m"]) is None
    assert extract("2 + 2 makes 4.", ["4", "5 m"]) == Extracted(0, "choice text")
    assert extract("2 + 2 makes 4.", ["4", "4"]) is None


def test_a_fifth_choice_has_a_letter_and_a_third_may_be_the_last() -> None:
    assert extract("The answer is E.", [*CHOICES, "ice"]) == Extracted(4, "anchored phrase")
    assert extract("The answer is D.", CHOICES[:3]) is None


def test_a_long_text_takes_no_time() -> None:
    assert extract("B C " * 25_000, CHOICES) == Extracted(2, "last letter")
    assert extract("the answer is " * 7_000, CHOICES) is None
    assert extract("the answer is " + "\\boxed{\\text{ " * 7_000, CHOICES) is None
    assert extract("\\boxed{\\text{B}}" * 6_000, CHOICES) == Extracted(1, "last letter")
    assert extract("_" * 100_000 + "B" + "_" * 100_000 + "B", CHOICES) is not None
