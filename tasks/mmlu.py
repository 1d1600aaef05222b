"""MMLU: 57 subjects from elementary to professional (Hendrycks et al. 2021, arXiv 2009.03300).

One task with 57 groups. ``acc`` counts every question once, as lm-eval's ``mmlu`` does;
``acc_macro`` is the mean over subjects, the figure of the Open LLM Leaderboard. ``mmlu_answer``
asks the same docs for an explained answer and extracts the letter (see ``mcq_answer.py``).
"""

from harness.data import Dataset
from harness.task import letter_answer, lm_eval_group

SUBJECTS = [
    "abstract_algebra",
    "anatomy",
    "astronomy",
    "business_ethics",
    "clinical_knowledge",
    "college_biology",
    "college_chemistry",
    "college_computer_science",
    "college_mathematics",
    "college_medicine",
    "college_physics",
    "computer_security",
    "conceptual_physics",
    "econometrics",
    "electrical_engineering",
    "elementary_mathematics",
    "formal_logic",
    "global_facts",
    "high_school_biology",
    "high_school_chemistry",
    "high_school_computer_science",
    "high_school_european_history",
    "high_school_geography",
    "high_school_government_and_politics",
    "high_school_macroeconomics",
    "high_school_mathematics",
    "high_school_microeconomics",
    "high_school_physics",
    "high_school_psychology",
    "high_school_statistics",
    "high_school_us_history",
    "high_school_world_history",
    "human_aging",
    "human_sexuality",
    "international_law",
    "jurisprudence",
    "logical_fallacies",
    "machine_learning",
    "management",
    "marketing",
    "medical_genetics",
    "miscellaneous",
    "moral_disputes",
    "moral_scenarios",
    "nutrition",
    "philosophy",
    "prehistory",
    "professional_accounting",
    "professional_law",
    "professional_medicine",
    "professional_psychology",
    "public_relations",
    "security_studies",
    "sociology",
    "us_foreign_policy",
    "virology",
    "world_religions",
]

DATASETS = {
    subject: Dataset("cais/mmlu", subject, samples="mmlu", samples_where=("subject", subject))
    for subject in SUBJECTS
}

mmlu = lm_eval_group(
    "mmlu",
    parts={
        subject: (f"mmlu/default/mmlu_{subject}.yaml", dataset)
        for subject, dataset in DATASETS.items()
    },
    primary="acc",
    about="57 subjects, four choices, scored by the likelihood of the letter",
)

mmlu_answer = letter_answer(
    "mmlu_answer",
    datasets=DATASETS.values(),
    about="57 subjects, answered with an explanation, the letter extracted",
)
