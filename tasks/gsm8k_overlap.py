"""GSM8K by its worked solutions: how much of their wording a model's own have (Cobbe et al. 2021).

``bleu`` and ``rouge1`` to ``rougeL`` are sacrebleu's and rouge-score's; ``bleu4_char`` and those
called ``_words`` are what LLaMA-Factory prints. Two conventions, with figures far apart on the same
texts: never compare one with the other. Worked solutions are taken as they are, with their
calculator marks ``<<48/2=24>>`` and the ``####`` line, as training on them takes them. The first
200 questions, asked zero-shot; ``--limit 1319`` takes all.

Any file of prompts and references is such a task. With ``tutor/default/test.jsonl`` in the data
folder, its rows ``{"question": ..., "solution": ...}``::

    tutor = answers(
        "tutor",
        dataset=Dataset("tutor"),
        prompt="{question}",
        reference="{solution}",
        measures=[ROUGE, BLEU],
        about="questions to the tutor, against its solutions",
    )
"""

from harness.data import Dataset
from harness.overlap_measures import BLEU, BLEU4_CHAR, ROUGE, ROUGE_WORDS
from harness.task import answers

gsm8k_overlap = answers(
    "gsm8k_overlap",
    dataset=Dataset("openai/gsm8k", "main", samples="gsm8k"),
    prompt="Question: {question}\nAnswer:",
    reference="{answer}",
    measures=[BLEU, BLEU4_CHAR, ROUGE, ROUGE_WORDS],
    about="generated GSM8K solutions against the worked ones: BLEU and ROUGE",
    default_limit=200,
)
