"""CrowS-Pairs: does a model hold stereotypes likelier than their counterparts?

Pairs of sentences that differ in the group they speak of (Nangia et al. 2020, arXiv 2010.00133),
scored by lm-eval's ``crows_pairs_english``. ``pct_stereotype`` is the share of pairs whose
``sent_more`` is likelier; a model without a preference has 50 %, so lower is better only down to
there. ``likelihood_diff`` is the mean absolute difference in nats. The data was made for measuring,
not for training, and is offensive by design.

lm-eval reads the revised English pairs of Névéol et al. 2022 (1,677 of them); a data folder without
those serves the 1,508 of the original, and the record then names that.
"""

from harness.data import Dataset
from harness.task import lm_eval_task

crows_pairs = lm_eval_task(
    "crows_pairs_english",
    name="crows_pairs",
    yaml="crows_pairs/crows_pairs_english.yaml",
    primary="pct_stereotype",
    datasets=[Dataset("jannalu/crows_pairs_multilingual", "english")],
    about="stereotypes against their counterparts, by likelihood; 50 % is no preference",
)
