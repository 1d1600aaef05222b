"""Loading classifiers with one output: reward models, and DialogRPT."""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from harness.backends.backend import LoadOptions
from harness.errors import WeightsError


def load_classifier(options: LoadOptions, what: str) -> tuple[Any, Any]:
    """A classifier in float32, because marks are compared by small differences, and its tokenizer.

    Args:
        options: where they are.
        what: ``reward model``, for errors.

    Raises:
        WeightsError: it is no classifier, lacks weights, or has several outputs.
    """
    loading: Any = AutoModelForSequenceClassification
    try:
        model, info = loading.from_pretrained(
            options.path,
            dtype=torch.float32,
            trust_remote_code=options.trust_remote_code,
            output_loading_info=True,
        )
        tokenizer: Any = AutoTokenizer.from_pretrained(
            options.tokenizer, trust_remote_code=options.trust_remote_code
        )
    except Exception as error:  # transformers, safetensors and custom code raise many kinds
        raise WeightsError(f"{options.path} cannot be loaded as a {what}: {error}") from None
    if missing := sorted(info["missing_keys"]):
        raise WeightsError(f"{options.path} is no {what}: it holds no {', '.join(missing[:3])}")
    if model.config.num_labels != 1:
        raise WeightsError(
            f"{options.path} has {model.config.num_labels} outputs; a {what} has one"
        )
    return model.eval(), tokenizer
