"""Judges: models that say how good an answer is, behind the Backend protocol. One file a kind."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, cast

from harness.backends.backend import LoadOptions
from harness.judge_options import JudgeOptions
from harness.judges.judge import Judge

KINDS: Mapping[str, str] = {
    "reward": "harness.judges.reward",
    "bertscore": "harness.judges.bertscore",
    "dialogrpt": "harness.judges.dialogrpt",
}
"""Kind to module; each module has a function ``load(options, judge) -> Marker``."""


def load_judge(options: LoadOptions, judge: JudgeOptions) -> Judge:
    """Load a judge of any kind.

    Raises:
        WeightsError: it cannot be loaded, or is not what the registry says.
    """
    module: Any = import_module(KINDS[judge.kind])
    return Judge(cast(Any, module.load(options, judge)), options.weights_id)
