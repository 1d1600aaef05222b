"""GSM8K: word problems of grade-school mathematics (Cobbe et al. 2021, arXiv 2110.14168).

The leaderboard shows ``strict-match``: only an answer after ``####`` counts, as the Open LLM
Leaderboard did. ``flexible-extract``, the last number of the text, stands beside it in the record.
"""

from harness.data import Dataset
from harness.task import lm_eval_task

gsm8k = lm_eval_task(
    "gsm8k",
    yaml="gsm8k/gsm8k.yaml",
    primary="exact_match,strict-match",
    datasets=[Dataset("openai/gsm8k", "main", samples="gsm8k")],
    about="word problems, generated solutions, exact match of the final number",
    default_fewshot=5,
)
