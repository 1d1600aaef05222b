"""HellaSwag: which ending makes sense (Zellers et al. 2019, arXiv 1905.07830)."""

from harness.data import Dataset
from harness.task import lm_eval_task

hellaswag = lm_eval_task(
    "hellaswag",
    yaml="hellaswag/hellaswag.yaml",
    primary="acc_norm",
    datasets=[Dataset("Rowan/hellaswag", split="validation", samples="hellaswag")],
    about="sentence completion, four endings, scored by likelihood",
)
