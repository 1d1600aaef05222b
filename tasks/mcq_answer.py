"""ARC by explained answers: the model explains, the harness finds the letter that it settles on.

Beside their likelihood-scored twins ``arc_easy`` and ``arc_challenge``, on the same docs: what a
model can pick is not what it says when asked. ``acc`` counts an answer without a letter as wrong;
``extracted`` says how many have one, and each row's note which rule found it. ``mmlu_answer``
stands in ``mmlu.py``, beside the subjects.
"""

from harness.data import Dataset
from harness.task import letter_answer

arc_easy_answer = letter_answer(
    "arc_easy_answer",
    datasets=[Dataset("allenai/ai2_arc", "ARC-Easy", samples="arc")],
    about="grade-school science, answered with an explanation, the letter extracted",
)

arc_challenge_answer = letter_answer(
    "arc_challenge_answer",
    datasets=[Dataset("allenai/ai2_arc", "ARC-Challenge", samples="arc")],
    about="harder grade-school science, answered with an explanation, the letter extracted",
)
