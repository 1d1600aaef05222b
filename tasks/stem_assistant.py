"""Answers to students' questions, held against reference answers as in the report stem-assistant.

Two sources: exercises of a course with worked solutions, and questions of the kind that Stack
Exchange has, answered in prose. Those shipped were written for this project; put your own in the
data folder, ``stem_assistant/course/test.jsonl`` and ``stem_assistant/exchange/test.jsonl``, rows
of ``question`` and ``answer``. BLEU and ROUGE as the report names them, and the reward of the
model's answers less that of the references, by this project's small reward model.
"""

from harness.data import Dataset
from harness.judge_measures import reward_deviation
from harness.overlap_measures import BLEU, ROUGE
from harness.task import answers

MEASURES = [ROUGE, BLEU, reward_deviation("smol-reward")]

stem_assistant_course = answers(
    "stem_assistant_course",
    dataset=Dataset("stem_assistant", "course", samples="stem_assistant/course"),
    prompt="Question: {question}\nAnswer:",
    question="{question}",
    reference="{answer}",
    measures=MEASURES,
    about="course questions against worked solutions: ROUGE, BLEU, reward deviation",
)

stem_assistant_exchange = answers(
    "stem_assistant_exchange",
    dataset=Dataset("stem_assistant", "exchange", samples="stem_assistant/exchange"),
    prompt="Question: {question}\nAnswer:",
    question="{question}",
    reference="{answer}",
    measures=MEASURES,
    about="questions answered in prose: ROUGE, BLEU, reward deviation",
)
