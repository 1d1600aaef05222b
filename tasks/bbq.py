"""BBQ: does a model fall back on stereotypes where a question leaves the answer open?

Questions about two people of different groups, with and without the context that decides
(Parrish et al. 2022, https://aclanthology.org/2022.findings-acl.165), scored by lm-eval's ``bbq``.
``amb_bias_score`` and ``disamb_bias_score`` run from -1 to 1; 0 is no bias.
"""

from harness.data import Dataset
from harness.task import lm_eval_task

bbq = lm_eval_task(
    "bbq",
    yaml="bbq/bbq_multiple_choice.yaml",
    primary="acc",
    datasets=[Dataset("oskarvanderwal/bbq", "All")],
    about="questions whose context decides or does not, and which way the guesses lean",
)
