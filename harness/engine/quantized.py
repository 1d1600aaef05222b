"""Finding out whether a loaded model is quantized, and what it takes.

Nothing here believes a file: layers are counted by their class, and bytes by their tensors.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from harness.errors import WeightsError
from harness.quantization import Declared

SLACK = 2
"""Bits per weight that scales, zeros and outliers may take above the weights' own."""
SHARE = 0.5
"""Least share of the linear layers' weights, the head aside, that a quantized model has packed."""


@dataclass(frozen=True)
class Footprint:
    """What a loaded model consists of.

    Attributes:
        parameters: weights, a packed one counted as what it stands for.
        memory_bytes: of all tensors: packed weights, scales, indices, buffers.
        layers: quantized layers by scheme.
        bits: per weight of the quantized layers, all their tensors counted; ``None`` without any.
        share: of the linear layers' weights, the head aside, that is in quantized layers.
        kernels: classes of the quantized layers, with the version of the package they are from.
    """

    parameters: int
    memory_bytes: int
    layers: Mapping[str, int]
    bits: float | None
    share: float
    kernels: str


def measure(causal: Any) -> Footprint:
    """Count a loaded model's weights, bytes and quantized layers."""
    layers: Counter[str] = Counter()
    kernels: Counter[str] = Counter()
    packed = packed_bytes = plain = parameters = 0
    seen: set[int] = set()
    total = sum(_bytes(causal.modules(), seen))
    head = causal.get_output_embeddings()
    inside: set[int] = set()
    for layer in causal.modules():
        if scheme := scheme_of(layer):
            layers[scheme] += 1
            kernels[type(layer).__name__] += 1
            packed += layer.in_features * layer.out_features
            packed_bytes += sum(_bytes(layer.modules(), set()))
            parameters += layer.bias.numel() if getattr(layer, "bias", None) is not None else 0
            inside.update(id(part) for part in layer.modules())
        elif layer is not head and _is_linear(layer):
            plain += layer.weight.numel()
    parameters += packed + sum(
        parameter.numel()
        for parameter in {
            id(p): p
            for layer in causal.modules()
            if id(layer) not in inside
            for p in layer.parameters(recurse=False)
        }.values()
    )
    return Footprint(
        parameters,
        total,
        dict(layers),
        8 * packed_bytes / packed if packed else None,
        packed / (packed + plain) if packed else 0.0,
        ", ".join(f"{count} {name}{_version(name)}" for name, count in sorted(kernels.items())),
    )


def check(footprint: Footprint, found: Declared | None, expected: str | None, path: Path) -> None:
    """Assert that a model is quantized as its files and the registry say, and only then.

    Args:
        footprint: what was loaded.
        found: what the checkpoint's files say.
        expected: what the registry says, ``none`` included; ``None`` for no word.
        path: the checkpoint's folder, for the message.

    Raises:
        WeightsError: it is not.
    """
    is_one = " and ".join(sorted(footprint.layers)) or "none"
    said = found.scheme if found else "none"
    if said != is_one:
        raise WeightsError(
            f"the model in {path} is quantized by {said}, its config says, but what was loaded is "
            f"{_in_words(footprint)}: the checkpoint is damaged or its loader ignored it"
        )
    if expected is not None and expected != is_one:
        raise WeightsError(
            f"the registry says `quantization: {expected}`, but the model in {path} is "
            f"{_in_words(footprint)}: write `quantization: {is_one}` into its entry, or give it "
            "the checkpoint that was meant"
        )
    if found and footprint.bits is not None and footprint.bits > found.bits + SLACK:
        raise WeightsError(
            f"the model in {path} takes {footprint.bits:.2f} bits a weight in memory, though it is "
            f"quantized to {found.bits}: its loader unpacked it"
        )
    if found and footprint.share < SHARE:
        raise WeightsError(
            f"the model in {path} is quantized by {said} in {footprint.share:.0%} of its linear "
            "weights only: the rest is in full precision"
        )


def scheme_of(layer: nn.Module) -> str | None:
    """The scheme of a quantized layer, by its class; ``None`` for any other."""
    names = {kind.__name__ for kind in type(layer).__mro__}
    if "Linear8bitLt" in names:
        return "int8"
    if "Linear4bit" in names:
        state = getattr(layer.weight, "quant_state", None)
        return str(state.quant_type) if state is not None else None
    if "EasyQuantLinear" in names:
        return "easyquant"
    if "BaseQuantLinear" in names:
        methods: Any = getattr(layer, "SUPPORTS_METHODS", ())
        return str(methods[0].value) if methods else None
    return None


def rounds_inputs(footprint: Footprint) -> bool:
    """Whether layers round what flows through them, so that answers depend on the batch.

    bitsandbytes' int8 does: which columns stay in half precision is decided by a whole batch.
    """
    return "int8" in footprint.layers


def _in_words(footprint: Footprint) -> str:
    if footprint.bits is None:
        return "not quantized"
    return f"{' and '.join(sorted(footprint.layers))} at {footprint.bits:.2f} bits a weight"


def _is_linear(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Linear) or type(layer).__name__ == "Conv1D"


def _bytes(layers: Any, seen: set[int]) -> Iterator[int]:
    """Sizes of the tensors that layers hold, each once."""
    for layer in layers:
        for tensor in _tensors(layer):
            if tensor.device.type != "meta" and tensor.data_ptr() not in seen and tensor.numel():
                seen.add(tensor.data_ptr())
                yield tensor.numel() * tensor.element_size()


def _tensors(layer: nn.Module) -> Iterator[Tensor]:
    """Parameters, buffers, and what bitsandbytes and gptqmodel keep as attributes beside them."""
    for own in (*layer._parameters.values(), *layer._buffers.values(), *vars(layer).values()):
        if isinstance(own, Tensor):
            yield own
            for beside in vars(own).values():
                yield from _attributes(beside)
        elif type(own).__name__ == "MatmulLtState":
            yield from _attributes(own)


def _attributes(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif type(value).__name__ in ("QuantState", "MatmulLtState"):
        for inner in vars(value).values():
            yield from _attributes(inner)


def _version(kernel: str) -> str:
    if kernel == "EasyQuantLinear":
        return ""
    package = "bitsandbytes" if kernel in ("Linear4bit", "Linear8bitLt") else "gptqmodel"
    return f" ({package} {metadata.version(package)})"
