"""Loading classifiers with one output: reward models, and DialogRPT."""

from __future__ import annotations

from typing import Any

from transformers import AutoModelForSequenceClassification, AutoTokenizer

from harness.backends.backend import LoadOptions
from harness.errors import WeightsError
from harness.judges.checkpoint import load_checkpoint


def load_classifier(options: LoadOptions, what: str) -> tuple[Any, Any]:
    """A classifier and its tokenizer.

    Args:
        options: where they are.
        what: ``reward model``, for errors.

    Raises:
        WeightsError: it is no classifier, lacks weights, or has several outputs.
    """
    model, missing = load_checkpoint(AutoModelForSequenceClassification, options, f"a {what}")
    if missing:
        raise WeightsError(f"{options.path} is no {what}: it holds no {', '.join(missing[:3])}")
    if model.config.num_labels != 1:
        raise WeightsError(
            f"{options.path} has {model.config.num_labels} outputs; a {what} has one"
        )
    loading: Any = AutoTokenizer
    try:
        tokenizer = loading.from_pretrained(
            options.tokenizer, trust_remote_code=options.trust_remote_code
        )
    except Exception as error:  # transformers, tokenizers and custom code raise many kinds
        raise WeightsError(f"{options.tokenizer} holds no tokenizer: {error}") from None
    return model, tokenizer
