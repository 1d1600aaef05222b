"""The mixtures of the reports, run on small files laid out as their real sources are."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.training.data.mixture.rows import made, read, words, write
from training.data.formats import read_examples, read_pairs
from training.data.mixture.mixtures_file import find_mixture

Row = Mapping[str, Any]
ROWS = 6


def w(*seed: object) -> str:
    return words(15, seed)


LAYOUTS: dict[str, Callable[[int], Row]] = {
    "openai/gsm8k/main": lambda n: {"question": w(n, "q"), "answer": f"{w(n)}\n#### {n}"},
    "allenai/ai2_arc/ARC-Easy": lambda n: {
        "id": f"Mercury_{n}",
        "question": w("easy", n),
        "choices": {"text": ["a", "b", "c", "d"], "label": ["A", "B", "C", "D"]},
        "answerKey": "C",
    },
    "allenai/ai2_arc/ARC-Challenge": lambda n: {
        "id": f"MCAS_{n}",
        "question": w("hard", n),
        "choices": {"text": ["a", "b", "c"], "label": ["1", "2", "3"]},
        "answerKey": "2",
    },
    "cais/mmlu/all": lambda n: {
        "question": w("mmlu", n),
        "subject": "",
        "choices": ["a", "b", "c", "d"],
        "answer": n % 4,
    },
    "HuggingFaceTB/cosmopedia/khanacademy": lambda n: {
        "prompt": w("khan", n),
        "text_token_length": 40,
        "text": w(n, "khan"),
        "seed_data": "khanacademy",
        "format": "textbook",
        "audience": "college_students",
    },
    "ajibawa-2023/Maths-College/default": lambda n: {
        "instruction": w("college", n),
        "output": w(n, "college"),
    },
    "ArtifactAI/arxiv-math-instruct-50k/default": lambda n: {
        "question": w("arxiv", n),
        "answer": w(n, "arxiv"),
    },
    "ise-uiuc/Magicoder-OSS-Instruct-75K/default": lambda n: {
        "lang": "python",
        "raw_index": n,
        "index": n,
        "seed": "def f():",
        "openai_fingerprint": "fp_x",
        "problem": w("magic", n),
        "solution": f"```python\n{w(n, 'magic')}\n```",
    },
    "tiedong/goat/default": lambda n: {
        "instruction": f"{w('goat', n)} 4111111111111111 + {n}",
        "input": f"4111111111111111 + {n}",
        "output": f"4111111111111111 + {n} = {4111111111111111 + n}",
        "answer": str(4111111111111111 + n),
    },
    "meta-math/MetaMathQA/default": lambda n: {
        "type": "MATH_AnsAug",
        "query": w("meta", n),
        "original_question": w("meta", n),
        "response": f"{w(n, 'meta')} The answer is: {n}",
    },
    "glaiveai/glaive-code-assistant/default": lambda n: {
        "question": w("glaive", n),
        "answer": w(n, "glaive"),
    },
    "GAIR/lima/default": lambda n: {
        "conversations": [w("lima", n), w(n, "lima")] * (1 + n % 2),
        "source": "stackexchange",
    },
    "garage-bAInd/Open-Platypus/default": lambda n: {
        "input": "",
        "output": w(n, "platypus"),
        "instruction": w("platypus", n),
        "data_source": "MATH/PRM-800K",
    },
    "TIGER-Lab/MathInstruct/default": lambda n: {
        "source": "data/CoT/aqua_rat.json",
        "output": w(n, "tiger"),
        "instruction": w("tiger", n),
    },
    "microsoft/wiki_qa/default": lambda n: {
        "question_id": f"Q{n}",
        "question": w("wiki", n),
        "document_title": "x",
        "answer": w(n, "wiki"),
        "label": n % 2,
    },
    "sahil2801/CodeAlpaca-20k/default": lambda n: {
        "output": w(n, "code"),
        "instruction": w("code", n),
        "input": w(n, "in") if n % 2 else "",
    },
    "Intel/orca_dpo_pairs/default": lambda n: {
        "system": "" if n % 2 else "You are an AI assistant.",
        "question": w("orca", n),
        "chosen": w(n, "orca"),
        "rejected": w(n, "orca", 2),
    },
    "jondurbin/truthy-dpo-v0.1/default": lambda n: {
        "id": f"{n:032x}",
        "source": "truthy_dpo",
        "system": "You are an unbiased AI assistant.",
        "prompt": w("truthy", n),
        "chosen": w(n, "truthy"),
        "rejected": w(n, "truthy", 2),
    },
    "CyberNative/Code_Vulnerability_Security_DPO/default": lambda n: {
        "lang": "c++",
        "vulnerability": "x",
        "system": "",
        "question": w("cyber", n),
        "chosen": w(n, "cyber"),
        "rejected": w(n, "cyber", 2),
    },
    "jondurbin/py-dpo-v0.1/default": lambda n: {
        "prompt": w("py", n),
        "chosen": w(n, "py"),
        "rejected": w(n, "py", 2),
        "id": str(n),
    },
    "reciprocate/dpo_mix-zero-math-untoxic/default": lambda n: {
        side: [
            {"role": "user", "content": w("mixed", n)},
            {"role": "assistant", "content": w(n, side)},
        ]
        for side in ("chosen", "rejected")
    },
    "neovalle/H4rmony_dpo/default": lambda n: {
        "prompt": w("harmony", n),
        "chosen": w(n, "harmony"),
        "rejected": w(n, "harmony", 2),
    },
    "zephyr-report/exp-dpo-3/default": lambda n: {
        "prompt": w("exp", n),
        "chosen": w(n, "exp"),
        "rejected": w(n, "exp", 2),
    },
    "zephyr-report/course-pairs/default": lambda n: {
        "question": w("course", n),
        "answer_A": w(n, "course") if n else "",
        "answer_B": w(n, "course", 2),
        "overall": ("A", "B", "AB")[n % 3],
    },
    **{
        f"stanfordnlp/SHP/{domain}": lambda n, domain=domain: {  # type: ignore[misc]
            "post_id": str(n),
            "domain": f"{domain}_train",
            "history": w(domain, n),
            "human_ref_A": w(n, domain),
            "human_ref_B": w(n, domain, 2),
            "labels": n % 2,
            "score_ratio": 2.0,
        }
        for domain in ("askengineers", "askphysics", "askscience", "explainlikeimfive")
    },
    **{
        f"HuggingFaceH4/stack-exchange-preferences/{site}.stackexchange.com": lambda n, site=site: {  # type: ignore[misc]
            "qid": n,
            "question": f"<p>{w(site, n)}</p>",
            "answers": [
                {
                    "answer_id": 1,
                    "author": "x",
                    "pm_score": 1,
                    "selected": False,
                    "text": w(n, site),
                },
                {
                    "answer_id": 2,
                    "author": "y",
                    "pm_score": 4,
                    "selected": True,
                    "text": w(site, n, 2),
                },
            ],
            "date": "2020/01/01",
        }
        for site in ("math", "physics", "chemistry", "biology", "cs", "stats")
    },
}


def stand_ins(folder: Path) -> Path:
    for number, (place, row) in enumerate(LAYOUTS.items()):
        split = "auxiliary_train" if place == "cais/mmlu/all" else "train"
        zipped = number % 2 == 1
        path = folder / place / f"{split}.jsonl{'.gz' if zipped else ''}"
        write(path, [row(n) for n in range(ROWS)], zipped=zipped)
    return folder


EXPECTED = {
    # Ten sources of six rows; every second conversation of LIMA has two answers.
    "sft-small": (63, {}),
    # Half of wiki_qa's answers are wrong ones.
    "sft-large": (6 + 6 + 3 + 9 + 6, {"not wanted": 3}),
    # Of the course's, one side is empty, and one of the rest in three a tie.
    "dpo-mix": (11 * 6 + 3, {"empty": 1, "tie": 2}),
    "mcqa": (18, {}),
    # Two answers a question, the accepted one 4 votes + 1 above: one pair each.
    "stem-assistant": (36, {}),
    "gsm8k-arc": (18, {}),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_a_declared_mixture_runs_on_its_sources(tmp_path: Path, name: str) -> None:
    declared = find_mixture(name)
    card = made(declared, tmp_path / "out", data=stand_ins(tmp_path / "data"))
    assert (card.rows, card.drops) == EXPECTED[name]
    rows = [row for split in card.splits for row in read(tmp_path / "out" / split.file)]
    assert len(rows) == card.rows
    assert {row["group"] for row in rows} == {taken.source.name for taken in declared.sources}
    parse = read_examples if declared.kind == "examples" else read_pairs
    for split in card.splits:
        if split.rows:
            assert len(parse(tmp_path / "out" / split.file)) == split.rows


def test_large_numbers_of_arithmetic_are_no_cards(tmp_path: Path) -> None:
    made(find_mixture("sft-small"), tmp_path / "out", data=stand_ins(tmp_path / "data"))
    goat = [row for row in read(tmp_path / "out" / "train.jsonl") if row["group"] == "goat"]
    assert len(goat) == ROWS and "4111111111111111" in json.dumps(goat)


def test_every_stand_in_is_a_declared_source() -> None:
    places = {
        f"{taken.source.dataset}/{taken.source.config}"
        for name in EXPECTED
        for taken in find_mixture(name).sources
    }
    assert places == set(LAYOUTS)
