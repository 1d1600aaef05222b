"""How far a model is from the one that it was made from: what a quantization, or a training, moved.

Accuracy alone does not tell: a quantized model may keep it and still turn right answers wrong and
wrong ones right (Dutta et al. 2024, arXiv 2407.09141). ``divergence_wikitext2`` runs both models
side by side over the pages of WikiText-2; ``divergence_choices`` holds their answers to ARC-Easy
against each other. A model is held against its parent in the registry, or against the one that
``--reference`` names; a root has nothing to be held against.
"""

from harness.data import Dataset
from harness.task import choice_divergence, lm_eval_task, text_divergence

divergence_wikitext2 = text_divergence(
    "divergence_wikitext2",
    texts=lm_eval_task(
        "wikitext",
        yaml="wikitext/wikitext.yaml",
        primary=None,
        datasets=[
            Dataset("EleutherAI/wikitext_document_level", "wikitext-2-raw-v1", samples="wikitext")
        ],
        about="",
    ),
    about="KL from the parent per token of WikiText-2, and how often both agree on the next one",
)

divergence_choices = choice_divergence(
    "divergence_choices",
    choices=lm_eval_task(
        "arc_easy",
        yaml="arc/arc_easy.yaml",
        primary=None,
        datasets=[Dataset("allenai/ai2_arc", "ARC-Easy", samples="arc")],
        about="",
    ),
    about="ARC-Easy's choices against the parent's: KL, answers that flipped, the right one's gain",
)
