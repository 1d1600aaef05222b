"""The linear layer of EasyQuant (Tang et al. 2024, arXiv 2403.02775), and its loader.

Importing this module registers the quantization method ``easyquant`` with transformers, so that
`AutoModelForCausalLM.from_pretrained` loads such a folder. How the weights are found is the step's
affair (`training.easyquant`); here is only what they are stored as.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.quantizers.auto import register_quantization_config, register_quantizer
from transformers.quantizers.base import HfQuantizer
from transformers.utils.quantization_config import QuantizationConfigMixin

LONGEST_GAP = 255
"""From one outlier to the next, row by row: the distance is stored in a byte."""


@dataclass(frozen=True)
class Packed:
    """A weight matrix ``[outputs, inputs]`` of integers, one scale a row, and outliers.

    Attributes:
        levels: ``[outputs, inputs]``, int8, from ``-2^(bits-1)`` to ``2^(bits-1) - 1``; 0 where an
            outlier is.
        scale: ``[outputs]``; a negative one turns the longer end of the levels upwards.
        outliers: ``[outputs, inputs]``, bool: weights that are kept as they are; none further than
            `LONGEST_GAP` from the one before it, or from the place before the first weight.
        weight: ``[outputs, inputs]``: the weights, of which the outliers are taken.
    """

    levels: Tensor
    scale: Tensor
    outliers: Tensor
    weight: Tensor


class EasyQuantLinear(nn.Module):
    """A linear layer whose weights are levels times a scale per output, but for some outliers.

    ``packed`` holds two 4-bit levels a byte, the first half of a row's in the low bits and the
    second in the high ones, or one 8-bit level; ``values`` the outliers row by row, ``gaps`` how
    many places each is behind the one before it: 24 bits an outlier, where values are 16.
    """

    def __init__(
        self, in_features: int, out_features: int, bits: int, outliers: int, bias: bool
    ) -> None:
        super().__init__()
        self.in_features, self.out_features, self.bits = in_features, out_features, bits
        held: dict[str, Tensor] = {
            "packed": torch.empty(out_features, _bytes(in_features, bits), dtype=torch.uint8),
            "scale": torch.empty(out_features),
            "gaps": torch.empty(outliers, dtype=torch.uint8),
            "values": torch.empty(outliers),
        }
        for name, tensor in held.items():
            self.register_buffer(name, tensor)
        self.bias = nn.Parameter(torch.empty(out_features), requires_grad=False) if bias else None

    def forward(self, inputs: Tensor) -> Tensor:
        """``[..., inputs]`` to ``[..., outputs]``, computed in the dtype of the inputs."""
        bias = None if self.bias is None else self.bias.to(inputs.dtype)
        return F.linear(inputs, self.unpacked(inputs.dtype), bias)

    @property
    def weight(self) -> Tensor:
        """The weights unpacked, for models that look at them (GPT-2 when it is set up); a copy."""
        return self.unpacked(self.scale.dtype)

    def unpacked(self, dtype: torch.dtype) -> Tensor:
        """The weights, ``[outputs, inputs]``."""
        shape = (self.out_features, self.in_features)
        weight = torch.empty(shape, dtype=dtype, device=self.packed.device)
        if self.bits == 8:
            weight.copy_(self.packed)
        else:
            half = self.packed.shape[1]
            weight[:, :half] = self.packed & 15
            weight[:, half:] = (self.packed >> 4)[:, : self.in_features - half]
        weight.sub_(2 ** (self.bits - 1)).mul_(self.scale.to(dtype)[:, None])
        places = self.gaps.cumsum(0, dtype=torch.int64) - 1
        weight.view(-1)[places] = self.values.to(dtype)
        return weight

    def fill(self, given: Packed, bias: Tensor | None) -> None:
        """Take weights over; scale and outliers are stored in the dtype of ``given.weight``."""
        bits, dtype = self.bits, given.weight.dtype
        codes = (given.levels.int() + 2 ** (bits - 1)).to(torch.uint8)
        if bits == 4:
            half = self.packed.shape[1]
            high = F.pad(codes[:, half:], (0, 2 * half - self.in_features))
            codes = codes[:, :half] | (high << 4)
        self.packed = codes
        self.scale = given.scale.to(dtype)
        self.gaps = gaps(given.outliers).to(torch.uint8)
        self.values = given.weight[given.outliers]
        if bias is not None:
            self.bias = nn.Parameter(bias.detach().clone(), requires_grad=False)

    packed: Tensor
    scale: Tensor
    gaps: Tensor
    values: Tensor


@register_quantization_config("easyquant")
class EasyQuantConfig(QuantizationConfigMixin):
    """What stands in config.json.

    Attributes:
        bits: 4 or 8.
        layers: every quantized layer's name to its number of outliers.
    """

    def __init__(self, bits: int = 4, layers: Mapping[str, int] | None = None, **_: Any) -> None:
        self.quant_method: Any = "easyquant"
        self.bits = bits
        self.layers = dict(layers or {})


@register_quantizer("easyquant")
class EasyQuantLoader(HfQuantizer):
    """Puts empty `EasyQuantLinear` layers in place, which transformers fills from the files."""

    quantization_config: Any

    def _process_model_before_weight_loading(self, model: Any, **_: Any) -> None:
        config = self.quantization_config
        for name, outliers in config.layers.items():
            with torch.device("meta"):
                layer = model.get_submodule(name)
                inputs, outputs = features(layer)
                bias = layer.bias is not None
                model.set_submodule(
                    name, EasyQuantLinear(inputs, outputs, config.bits, outliers, bias)
                )

    def is_serializable(self) -> bool:
        """It can be saved again as it was loaded."""
        return True

    @property
    def is_trainable(self) -> bool:
        """Rounded weights are not trained."""
        return False


def gaps(outliers: Tensor) -> Tensor:
    """How far each outlier is behind the one before it, row by row; the first, from place -1."""
    places = outliers.flatten().nonzero()[:, 0]
    return torch.diff(places, prepend=places.new_full((1,), -1))


def features(layer: Any) -> tuple[int, int]:
    """Inputs and outputs of a torch Linear or a transformers Conv1D."""
    if isinstance(layer, nn.Linear):
        return layer.in_features, layer.out_features
    return int(layer.nx), int(layer.nf)


def _bytes(inputs: int, bits: int) -> int:
    return inputs if bits == 8 else (inputs + 1) // 2
