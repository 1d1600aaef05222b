"""The smallest folder that passes for a checkpoint, written by hand: no time, no torch (but for a
pickle).
"""

from __future__ import annotations

import json
import struct
from pathlib import Path


def safetensors(values: int = 4) -> bytes:
    """A safetensors file with one tensor of zeros."""
    header = json.dumps(
        {
            "__metadata__": {"format": "pt"},
            "w": {"dtype": "F32", "shape": [values], "data_offsets": [0, 4 * values]},
        }
    ).encode()
    return struct.pack("<Q", len(header)) + header + bytes(4 * values)


def checkpoint(folder: Path, *, tokenizer: bool = True) -> Path:
    """Write a config, one tensor, a README and, unless not wanted, a tokenizer."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"model_type": "llama"}', encoding="utf-8")
    (folder / "model.safetensors").write_bytes(safetensors())
    (folder / "README.md").write_text("read me", encoding="utf-8")
    if tokenizer:
        (folder / "tokenizer.json").write_text("{}", encoding="utf-8")
    return folder


def pickle(values: dict[str, list[float]]) -> bytes:
    """What ``torch.save`` makes of a state dict."""
    import io

    import torch

    file = io.BytesIO()
    torch.save({name: torch.tensor(numbers) for name, numbers in values.items()}, file)
    return file.getvalue()
