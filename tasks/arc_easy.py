"""ARC-Easy: grade-school science questions (Clark et al. 2018, arXiv 1803.05457)."""

from harness.data import Dataset
from harness.task import lm_eval_task

arc_easy = lm_eval_task(
    "arc_easy",
    yaml="arc/arc_easy.yaml",
    primary="acc",
    datasets=[Dataset("allenai/ai2_arc", "ARC-Easy", samples="arc")],
    about="grade-school science, four choices, scored by likelihood",
)
