"""STEM questions with worked answers, written by this project's generator (`training.data.stem`).

What training on the embedded data must change: ``stem`` asks in wordings and set-ups that no
training template has, ``stem_numbers`` in trained wordings with numbers beyond those of training.
The data is shipped whole. The leaderboard shows the last number of the text; ``strict-match``,
the number after ``####``, stands beside it in the record.
"""

from harness.data import Dataset
from harness.task import final_number

stem = final_number(
    "stem",
    dataset=Dataset(
        "stem", "template", shipped="stem.jsonl", samples_where=("held_out", "template")
    ),
    about="generated STEM questions of held-out templates, exact match of the final number",
)

stem_numbers = final_number(
    "stem_numbers",
    dataset=Dataset("stem", "numbers", shipped="stem.jsonl", samples_where=("held_out", "numbers")),
    about="generated STEM questions with numbers beyond those of training",
)
