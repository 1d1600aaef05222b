"""What a checkpoint says of its own quantization, and what loading it needs; standard library only.

Whether a loaded model really is quantized is `harness.engine.quantized`'s to find out.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.checkout import how_to_install
from harness.errors import WeightsError

PACKAGES: Mapping[str, Mapping[str, str]] = {
    "nf4": {"bitsandbytes": "train"},
    "fp4": {"bitsandbytes": "train"},
    "int8": {"bitsandbytes": "train"},
    "gptq": {"gptqmodel": "quant", "optimum": "quant"},
    "awq": {"gptqmodel": "quant"},
    "easyquant": {},
}
"""Scheme to the packages that load it, and the extra of this project that brings each."""


@dataclass(frozen=True)
class Declared:
    """A checkpoint's own word.

    Attributes:
        scheme: a key of `PACKAGES`.
        bits: per quantized weight, without scales.
        config: the ``quantization_config`` as transformers reads it.
        inside: whether it stands in config.json; checkpoints of auto-gptq and autoawq from before
            transformers knew them have it in a file of its own.
    """

    scheme: str
    bits: int
    config: Mapping[str, Any]
    inside: bool = True


def declared(folder: Path) -> Declared | None:
    """What the files of a checkpoint say; ``None`` for one that is not quantized.

    Raises:
        WeightsError: a method that nothing here can check.
    """
    config = _read(folder / "config.json")
    text = config.get("text_config")
    found = config.get("quantization_config") or (
        text.get("quantization_config") if isinstance(text, dict) else None
    )
    if isinstance(found, dict):
        return _declared(found, folder, inside=True)
    if gptq := _read(folder / "quantize_config.json"):
        return _declared({"quant_method": "gptq", **gptq}, folder, inside=False)
    if awq := _read(folder / "quant_config.json"):
        return _declared(_from_autoawq(awq), folder, inside=False)
    return None


def require(found: Declared, folder: Path) -> None:
    """Raise WeightsError unless what loads a checkpoint is installed."""
    needed = PACKAGES[found.scheme]
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        extra = needed[missing[0]]
        raise WeightsError(
            f"the model in {folder} is quantized by {found.scheme}, and {' and '.join(missing)}, "
            f"which {'load' if len(missing) > 1 else 'loads'} it, is not installed: "
            f"{how_to_install(extra)}"
        )


def _declared(config: Mapping[str, Any], folder: Path, *, inside: bool) -> Declared:
    method, bits = str(config.get("quant_method", "")).lower(), config.get("bits", 4)
    if config.get("load_in_8bit"):
        method, bits = "int8", 8
    elif config.get("load_in_4bit"):
        method, bits = str(config.get("bnb_4bit_quant_type", "fp4")), 4
    if method not in PACKAGES:
        raise WeightsError(
            f"{folder} is quantized by {method or 'a method that it does not name'}, which this "
            f"version cannot load and check; it knows {', '.join(PACKAGES)}"
        )
    if not isinstance(bits, int):
        raise WeightsError(f"{folder} is quantized to {bits!r} bits, its config says: no number")
    return Declared(method, bits, config, inside)


def _from_autoawq(config: Mapping[str, Any]) -> dict[str, Any]:
    """Autoawq's own file, in the words of transformers."""
    return {
        "quant_method": "awq",
        "bits": config.get("w_bit", 4),
        "group_size": config.get("q_group_size", 128),
        "zero_point": config.get("zero_point", True),
        "version": str(config.get("version", "gemm")).lower(),
    }


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
