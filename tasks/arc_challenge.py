"""ARC-Challenge: the questions that simple methods get wrong (Clark et al. 2018)."""

from harness.data import Dataset
from harness.task import lm_eval_task

arc_challenge = lm_eval_task(
    "arc_challenge",
    yaml="arc/arc_challenge.yaml",
    primary="acc_norm",
    datasets=[Dataset("allenai/ai2_arc", "ARC-Challenge", samples="arc")],
    about="harder grade-school science, four choices, scored by likelihood",
)
