"""Tiny random checkpoints, one for every way that architectures differ in what an engine must know.

Each is an ordinary Hugging Face folder of at most 100,000 parameters, with a context of `CONTEXT`
tokens. Weights are drawn wide enough that log-probabilities of neighbouring words differ by whole
nats, and biases and norms are shaken too: as transformers initializes them, to zeros and ones, a
forgotten bias would pass unseen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import torch

from tests.conftest import REPOSITORY

CONTEXT = 128
"""Tokens that each of the models can see."""

WORDS = 600
"""Entries of the tokenizer; ``<s>`` is 0, ``</s>`` is 1."""

_LLAMA = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": CONTEXT,
    "tie_word_embeddings": False,
}
_GPT2 = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": CONTEXT}


@dataclass(frozen=True)
class Architecture:
    """One kind of model.

    Attributes:
        config: name of the configuration class in transformers.
        about: what is special about it.
        options: arguments of the configuration.
        bos: whether its tokenizer puts ``<s>`` before every text, as those of Llama and Gemma do.
        spread: standard deviation of the random weights.
        padding: rows of the embedding that no token has, as in the Qwen family.
    """

    config: str
    about: str
    options: Mapping[str, Any] = field(default_factory=dict)
    bos: bool = False
    spread: float = 0.3
    padding: int = 0


ARCHITECTURES: Mapping[str, Architecture] = {
    "llama": Architecture("LlamaConfig", "rotary positions, two heads share keys", _LLAMA),
    "llama-tied": Architecture(
        "LlamaConfig",
        "the head is the embedding; the tokenizer prepends <s>",
        _LLAMA | {"tie_word_embeddings": True},
        bos=True,
    ),
    "qwen2": Architecture(
        "Qwen2Config", "biases on queries and keys; more rows than words", _LLAMA, padding=8
    ),
    "qwen3": Architecture(
        "Qwen3Config",
        "norms on queries and keys, a head size of its own",
        _LLAMA | {"head_dim": 16},
    ),
    "gpt2": Architecture("GPT2Config", "learned absolute positions", _GPT2),
    "bloom": Architecture(
        "BloomConfig",
        "ALiBi with a number of heads that is no power of two; a norm after the embedding",
        {"hidden_size": 48, "n_layer": 2, "n_head": 6},
    ),
    "phi": Architecture(
        "PhiConfig",
        "a head with a bias, parallel residual, rotary positions on half of each head",
        _LLAMA | {"num_key_value_heads": 4, "partial_rotary_factor": 0.5},
    ),
    "stablelm": Architecture(
        "StableLmConfig",
        "layer norms, rotary positions on a quarter of each head",
        _LLAMA | {"partial_rotary_factor": 0.25},
    ),
    "gpt-neox": Architecture(
        "GPTNeoXConfig",
        "parallel residual, fused queries, keys and values",
        {key: _LLAMA[key] for key in _LLAMA if key != "num_key_value_heads"} | {"rotary_pct": 0.25},
    ),
    "opt": Architecture(
        "OPTConfig",
        "learned positions, counted from two; a norm before the head",
        {
            "hidden_size": 32,
            "word_embed_proj_dim": 32,
            "ffn_dim": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "max_position_embeddings": CONTEXT,
            "pad_token_id": 1,
        },
    ),
    "mistral": Architecture(
        "MistralConfig",
        "a sliding window shorter than the prompts; the tokenizer prepends <s>",
        _LLAMA | {"sliding_window": 16},
        bos=True,
    ),
    "gemma2": Architecture(
        "Gemma2Config",
        "soft caps on logits and attention, a sliding window in every other layer",
        _LLAMA
        | {
            "head_dim": 8,
            "sliding_window": 16,
            "attn_logit_softcapping": 2.0,
            "final_logit_softcapping": 6.0,
            "query_pre_attn_scalar": 8,
            "tie_word_embeddings": True,
        },
        bos=True,
    ),
    "phi3": Architecture(
        "Phi3Config",
        "other rotary frequencies for sequences beyond half the context (LongRoPE)",
        _LLAMA
        | {
            "original_max_position_embeddings": CONTEXT // 2,
            "rope_parameters": {
                "rope_type": "longrope",
                "rope_theta": 10_000.0,
                "short_factor": [1.0] * 4,
                "long_factor": [1.5, 2.0, 3.0, 4.0],
                "original_max_position_embeddings": CONTEXT // 2,
            },
            "pad_token_id": 1,
        },
    ),
    "granite": Architecture(
        "GraniteConfig",
        "multipliers on embedding, residual, attention and logits",
        _LLAMA
        | {
            "embedding_multiplier": 3.0,
            "residual_multiplier": 0.5,
            "attention_multiplier": 0.25,
            "logits_scaling": 0.5,
        },
    ),
    "cohere": Architecture(
        "CohereConfig",
        "a scale on the logits, parallel residual, interleaved rotary positions",
        _LLAMA | {"logit_scale": 1.5, "tie_word_embeddings": True},
    ),
    "falcon": Architecture(
        "FalconConfig",
        "ALiBi in half precision, one key for all heads",
        {
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "alibi": True,
            "max_position_embeddings": CONTEXT,
        },
    ),
    "mpt": Architecture(
        "MptConfig",
        "ALiBi, no biases; the context is known to the tokenizer alone",
        {"d_model": 32, "n_layers": 2, "n_heads": 4, "max_seq_len": CONTEXT},
    ),
}


@cache
def _trained() -> Any:
    """A byte-level BPE of `WORDS` entries, trained on the shipped samples."""
    from tokenizers import ByteLevelBPETokenizer

    texts = [path.read_text("utf-8") for path in (REPOSITORY / "tasks/samples").glob("*/*.jsonl")]
    trained = ByteLevelBPETokenizer()
    trained.train_from_iterator(
        texts, vocab_size=WORDS, special_tokens=["<s>", "</s>"], show_progress=False
    )
    return trained._tokenizer


def save_tokenizer(folder: Path, *, bos: bool = False) -> None:
    """Write the tokenizer of all these models; with ``bos`` every text begins with ``<s>``."""
    from tokenizers import Tokenizer
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer.from_str(_trained().to_str())
    if bos:
        tokenizer.post_processor = TemplateProcessing("<s> $A", None, [("<s>", 0)])
    wrapper: Any = PreTrainedTokenizerFast
    wrapper(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="</s>",
        model_max_length=CONTEXT,
    ).save_pretrained(folder)


def save_checkpoint(
    folder: Path, name: str, change: Callable[[Any], None] | None = None, seed: int = 0
) -> Path:
    """Write the architecture's random model and its tokenizer into a folder.

    Args:
        folder: where to; made where it is missing.
        name: of `ARCHITECTURES`.
        change: called with the model before it is written.
        seed: of the weights.
    """
    import transformers

    architecture = ARCHITECTURES[name]
    config = getattr(transformers, architecture.config)(
        vocab_size=WORDS + architecture.padding,
        initializer_range=architecture.spread,
        bos_token_id=0,
        eos_token_id=1,
        **architecture.options,
    )
    torch.manual_seed(seed)
    auto: Any = transformers.AutoModelForCausalLM
    model = auto.from_config(config, dtype=torch.float32)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.add_(torch.randn_like(parameter), alpha=0.1)
    if change is not None:
        change(model)
    model.save_pretrained(folder)
    save_tokenizer(folder, bos=architecture.bos)
    return folder
