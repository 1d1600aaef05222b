"""What the registry says of a judge: what kind it is, and how it reads what it judges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

from harness.strict_yaml import Table

KINDS = ("reward", "bertscore", "dialogrpt")
TEMPLATES = ("auto", "chat", "plain", "pair")


@dataclass(frozen=True)
class RewardJudge:
    """A classifier with one output: a prompt and a response make a reward.

    Attributes:
        template: how the two become one text: ``plain`` as lm-eval words GSM8K, ``chat`` by the
            tokenizer's chat template, ``auto`` by that where there is one, ``pair`` as the
            tokenizer joins two sentences (what encoders of the hub were trained on).
    """

    kind = "reward"
    template: Literal["auto", "chat", "plain", "pair"] = "pair"


@dataclass(frozen=True)
class BertScoreJudge:
    """An encoder whose token embeddings are compared (BERTScore, arXiv 1904.09675).

    Attributes:
        layer: whose outputs are compared; counted from 1, 0 are the embeddings.
        baseline: the name by which the package has the encoder's baseline, where figures are
            rescaled with it, else ``None``.
    """

    kind = "bertscore"
    layer: int
    baseline: str | None = None


@dataclass(frozen=True)
class DialogRptJudge:
    """One of the DialogRPT models (arXiv 2009.06978): a GPT-2 with one output, whose logistic is
    the chance that an answer is preferred (upvoted, replied to, human).
    """

    kind = "dialogrpt"


JudgeOptions = RewardJudge | BertScoreJudge | DialogRptJudge


def read_judge(table: Table, hub_name: str | None) -> JudgeOptions:
    """Check a ``judge:`` mapping of the registry.

    Args:
        table: the mapping.
        hub_name: what the hub calls the judge, if it is of the hub.

    Raises:
        RegistryError: a key or a value is not valid; names file and line.
    """
    kind = table.choice("kind", KINDS)
    if kind == "dialogrpt":
        table.only(["kind"])
        return DialogRptJudge()
    if kind == "reward":
        table.only(["kind", "template"])
        template = table.choice("template", TEMPLATES, "pair")
        return RewardJudge(cast('Literal["auto", "chat", "plain", "pair"]', template))
    table.only(["kind", "layer", "idf", "rescale"])
    if "layer" not in table:
        raise table.error("kind", "a bertscore judge needs `layer:`, whose outputs are compared")
    layer = table.scalar("layer")
    if type(layer) is not int or layer < 0:
        raise table.error("layer", f"{layer!r} is not valid: a whole number from 0 is needed")
    if table.flag("idf", False):
        raise table.error(
            "idf",
            "weights by document frequency depend on which other texts are judged beside one, so "
            "its score could not be kept: idf must be false",
        )
    rescale = table.flag("rescale", False)
    if rescale and hub_name is None:
        raise table.error(
            "rescale",
            "bert-score has baselines for encoders of the hub only, by their names there: rescale "
            "must be false",
        )
    return BertScoreJudge(layer, hub_name if rescale else None)
