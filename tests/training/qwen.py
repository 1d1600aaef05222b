"""A random Qwen2 of some 25,000 weights, laid out as the publisher lays out Qwen1.5-0.5B-Chat."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from tests.conftest import REPOSITORY

NAME = "Qwen/Qwen1.5-0.5B-Chat"
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
WORDS, PADDING = 400, 16
CHATML = (
    "{% for message in messages %}"
    "{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful assistant<|im_end|>\n' }}"
    "{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def save_qwen(models: Path) -> Path:
    """Write it under a folder of models; what is peculiar to Qwen1.5 is kept.

    That is: rows of the embedding that no token has, the head tied to it, bfloat16 weights, a
    ChatML template, ``<|im_end|>`` as the end of a turn beside ``<|endoftext|>`` for padding, and a
    generation config that samples with a repetition penalty.
    """
    from tokenizers import ByteLevelBPETokenizer
    from transformers import (
        GenerationConfig,
        PreTrainedTokenizerFast,
        Qwen2Config,
        Qwen2ForCausalLM,
    )

    folder = models / NAME
    texts = [path.read_text("utf-8") for path in (REPOSITORY / "tasks/samples").glob("*/*.jsonl")]
    trained = ByteLevelBPETokenizer()
    trained.train_from_iterator(
        texts, vocab_size=WORDS, special_tokens=SPECIAL, show_progress=False
    )
    wrapper: Any = PreTrainedTokenizerFast
    wrapper(
        tokenizer_object=trained._tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=["<|im_start|>", "<|im_end|>"],
        chat_template=CHATML,
        model_max_length=2048,
    ).save_pretrained(folder)
    torch.manual_seed(0)
    model: Any = Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=WORDS + PADDING,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_key_value_heads=2,
            max_position_embeddings=2048,
            tie_word_embeddings=True,
            bos_token_id=0,
            eos_token_id=2,
        )
    )
    model.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
        bos_token_id=0,
        eos_token_id=[2, 0],
        pad_token_id=0,
        do_sample=True,
        repetition_penalty=1.1,
        top_p=0.8,
    )
    model.to(torch.bfloat16).save_pretrained(folder)
    return folder
