"""Writes a Llama checkpoint of the Hugging Face layout as a GGUF file in float32, for llama.cpp.

    python -m tests.backends.f32_gguf FOLDER FILE

Only what the tests need: byte-pair tokenizers of GPT-2's kind. `add_bos` is written, because
llama-cpp-python 0.3.36 gives each token the log-probability of the next place where it is not.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gguf import GGUFWriter, TokenType
from safetensors.torch import load_file

LAYER = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
TOP = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}


def write_f32_gguf(folder: Path, path: Path, add_bos: bool, pre: str = "smollm") -> None:
    """Write it; ``pre`` is llama.cpp's name for how text is cut before merging."""
    config: dict[str, Any] = json.loads((folder / "config.json").read_text("utf-8"))
    writer = GGUFWriter(path, "llama")
    heads, groups = config["num_attention_heads"], config["num_key_value_heads"]
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(groups)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(_theta(config))
    writer.add_rope_dimension_count(config["hidden_size"] // heads)
    writer.add_vocab_size(config["vocab_size"])
    writer.add_file_type(0)
    _add_tokenizer(writer, folder, config, add_bos, pre)
    for name, tensor in load_file(folder / "model.safetensors").items():
        weights = tensor.to(torch.float32).numpy()
        if ".q_proj." in name or ".k_proj." in name:
            weights = _paired(weights, heads if ".q_proj." in name else groups)
        writer.add_tensor(_renamed(name), np.ascontiguousarray(weights))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _theta(config: dict[str, Any]) -> float:
    rope = config.get("rope_parameters") or {}
    return float(config.get("rope_theta") or rope.get("rope_theta") or 10_000.0)


def _renamed(name: str) -> str:
    if name in TOP:
        return TOP[name]
    _, _, layer, rest = name.split(".", 3)
    return f"blk.{layer}.{LAYER[rest.removesuffix('.weight')]}.weight"


def _paired(weights: np.ndarray[Any, Any], heads: int) -> np.ndarray[Any, Any]:
    """llama.cpp turns neighbouring rows, transformers the two halves of a head."""
    rows, columns = weights.shape
    halves = weights.reshape(heads, 2, rows // heads // 2, columns)
    return halves.swapaxes(1, 2).reshape(rows, columns)


def _add_tokenizer(
    writer: GGUFWriter, folder: Path, config: dict[str, Any], add_bos: bool, pre: str
) -> None:
    content = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    tokens = [""] * config["vocab_size"]
    kinds = [TokenType.UNUSED] * config["vocab_size"]
    for token, number in content["model"]["vocab"].items():
        tokens[number], kinds[number] = token, TokenType.NORMAL
    for added in content["added_tokens"]:
        tokens[added["id"]] = added["content"]
        kinds[added["id"]] = TokenType.CONTROL if added["special"] else TokenType.USER_DEFINED
    merges = content["model"]["merges"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list([token or f"[unused{place}]" for place, token in enumerate(tokens)])
    writer.add_token_types(kinds)
    writer.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in merges])
    writer.add_bos_token_id(config["bos_token_id"])
    writer.add_eos_token_id(config["eos_token_id"])
    writer.add_add_bos_token(add_bos)
    writer.add_add_space_prefix(False)


if __name__ == "__main__":
    write_f32_gguf(Path(sys.argv[1]), Path(sys.argv[2]), add_bos=True)
