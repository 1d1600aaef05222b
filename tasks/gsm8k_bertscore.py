"""GSM8K by its worked solutions: how much a model's own mean what they mean (BERTScore).

The same prompts as ``gsm8k_overlap``, so that a model that was asked for the one is not asked again
for the other. The encoder is an entry of the registry, which pins its layer; its figures are high
for any two texts of one language: only differences say something.
"""

from harness.data import Dataset
from harness.judge_measures import bertscore
from harness.task import answers

gsm8k_bertscore = answers(
    "gsm8k_bertscore",
    dataset=Dataset("openai/gsm8k", "main", samples="gsm8k"),
    prompt="Question: {question}\nAnswer:",
    reference="{answer}",
    measures=[bertscore()],
    about="generated GSM8K solutions against the worked ones: BERTScore",
    default_limit=200,
)
