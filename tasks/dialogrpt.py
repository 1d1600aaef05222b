"""Would people vote an answer up? DialogRPT's guess (Gao et al. 2020, arXiv 2009.06978).

Asked about questions of the kind that Stack Exchange has, for the model's answers and for the
references. The judge comes from the hub.
"""

from harness.data import Dataset
from harness.judge_measures import dialogrpt as measure
from harness.task import answers

dialogrpt = answers(
    "dialogrpt",
    dataset=Dataset("stem_assistant", "exchange", samples="stem_assistant/exchange"),
    prompt="Question: {question}\nAnswer:",
    question="{question}",
    reference="{answer}",
    measures=[measure("dialogrpt-updown")],
    about="chance that an answer is voted up, the model's and the reference's",
)
