"""Does a model prefer the better answer? DPO's own question, on pairs that it has not seen.

``reward_accuracy`` asks it of worked solutions with one wrong step, as long as the right ones,
written by this project's generator and held out by template; ``reward_accuracy_hh`` of the
transcripts of hh-rlhf (Bai et al. 2022, arXiv 2204.05862). A model is held against what its
preference step started from, or all against one: ``--reference smol``. Pairs of your own are a
file of rows ``instruction``, ``chosen``, ``rejected`` in the data folder, and three lines here.
"""

from harness.data import Dataset
from harness.task import judged_pairs, preference_pairs

STEM = Dataset(
    "stem_pairs", "template", shipped="stem_pairs.jsonl", samples_where=("held_out", "template")
)
HARMLESS = Dataset("Anthropic/hh-rlhf", "harmless-base", load_options={"data_dir": "harmless-base"})

reward_accuracy = preference_pairs(
    "reward_accuracy",
    dataset=STEM,
    about="worked solutions against ones with a wrong step, by the model's own likelihood",
)

reward_accuracy_hh = preference_pairs(
    "reward_accuracy_hh",
    dataset=HARMLESS,
    about="hh-rlhf's harmless pairs, by the model's own likelihood",
)

reward_model_accuracy = judged_pairs(
    "reward_model_accuracy",
    dataset=STEM,
    about="worked solutions against ones with a wrong step, by a reward model",
)

reward_model_accuracy_hh = judged_pairs(
    "reward_model_accuracy_hh",
    dataset=HARMLESS,
    about="hh-rlhf's harmless pairs, by a reward model",
)
