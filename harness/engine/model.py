"""Loading a transformers model for the engine, and running its body."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from harness.engine.attention import using
from harness.engine.head import Head, LinearHead, ModelLogits
from harness.engine.loaders import loader_config, prepare, tune
from harness.engine.passes import KeyValues, Pass, PassLayout
from harness.engine.quantized import Footprint, check, measure, scheme_of
from harness.errors import WeightsError
from harness.memory import available_memory

COMPILED_SHAPES = "128"
"""How many shapes of matrices oneDNN keeps compiled code for. Every pass has a number of tokens of
its own: with oneDNN's 1,024 the code alone grows to more than a gigabyte."""


@dataclass(frozen=True)
class LoadedModel:
    """A causal model, taken apart into body and head.

    Attributes:
        causal: the whole model, as transformers loads it.
        head: the vocabulary projection.
        device: where it runs.
        attention: the implementation it was loaded with.
        footprint: its weights, bytes and quantized layers, as counted after loading.
    """

    causal: Any
    head: Head
    device: torch.device
    attention: str
    footprint: Footprint

    @torch.inference_mode()
    def run(self, now: Pass, store: KeyValues) -> tuple[Tensor, PassLayout]:
        """Run a pass: states ``[tokens, width]`` for the head, and where each node's tokens are."""
        layout = PassLayout(now, store, self.device)
        ids = torch.tensor([t for node in now.nodes for t in node.tokens], dtype=torch.long)
        places = torch.cat([torch.arange(node.start, node.end) for node in now.nodes])
        with using(layout):
            return self.states(ids[None], position_ids=places[None])[0], layout

    @torch.inference_mode()
    def states(self, ids: Tensor, **options: Tensor) -> Tensor:
        """What the head reads, of every token: ``[rows, tokens]`` to ``[rows, tokens, width]``.

        Hidden states, or logits where the model's head is its own affair.
        """
        return self._states(ids, use_cache=False, **options)[0]

    @torch.inference_mode()
    def cached_states(self, ids: Tensor, cache: Any) -> tuple[Tensor, Any]:
        """`states` of tokens that follow those in ``cache``, and the cache with them in it."""
        return self._states(ids, use_cache=True, past_key_values=cache)

    def _states(self, ids: Tensor, **options: Any) -> tuple[Tensor, Any]:
        inputs = {
            name: value.to(self.device) if isinstance(value, Tensor) else value
            for name, value in {"input_ids": ids, **options}.items()
        }
        if isinstance(self.head, ModelLogits):
            output = self.causal(**inputs)
            return output.logits, output.get("past_key_values")
        output = getattr(self.causal, self.causal.base_model_prefix)(**inputs)
        return output.last_hidden_state, output.get("past_key_values")


def load_model(
    path: Path,
    dtype: str,
    trust_remote_code: bool,
    head: str,
    quantization: str | None = None,
    *,
    spread: bool = False,
) -> LoadedModel:
    """Load an ordinary Hugging Face folder, quantized or not.

    Args:
        path: the folder.
        dtype: ``auto`` or the name of a torch dtype.
        trust_remote_code: whether code inside the folder may run.
        head: ``float32``, or ``model`` for logits as the model computes them.
        quantization: the scheme that it must be of, ``none`` included; ``None`` for any.
        spread: put its layers on all GPUs that there are, as transformers does; where packed
            passes then fail, the examination finds the way that does not.

    Raises:
        WeightsError: transformers cannot load it, with its reason; its files lack weights; a
            package is missing that its quantization needs; what was loaded is not quantized as it
            should be.
    """
    import transformers

    transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", COMPILED_SHAPES)
    device = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    found, dtype = prepare(path, dtype, device)
    options: dict[str, Any] = {}
    try:
        if found is not None:
            config = AutoConfig.from_pretrained(path, trust_remote_code=trust_remote_code)
            config.quantization_config = loader_config(found, dtype, device)
            options["config"] = config
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            path,
            dtype=dtype if dtype == "auto" else getattr(torch, dtype),
            device_map="auto" if spread else {"": device},
            use_safetensors=True,
            trust_remote_code=trust_remote_code,
            output_loading_info=True,
            **options,
        )
    except Exception as error:  # custom code, torn files, unknown architectures: many kinds
        raise cannot_load(path, error) from None
    causal, loading = loaded
    _check_complete(causal, loading["missing_keys"], path)
    causal.eval()
    tune(causal, dtype)
    footprint = measure(causal)
    check(footprint, found, quantization, path)
    own = ModelLogits(str(causal.dtype).removeprefix("torch."))
    linear = _linear_head(causal) if head == "float32" else None
    attention = causal.config._attn_implementation
    return LoadedModel(causal, linear or own, device, attention, footprint)


def _check_complete(causal: Any, missing: Iterable[str], path: Path) -> None:
    """Refuse a model of which transformers drew weights at random, which it says in a log only.

    A buffer of a plain layer is computed, not learned: a checkpoint may lack it.
    """
    learned = {name for name, _ in causal.named_parameters()}
    packed = tuple(f"{name}." for name, layer in causal.named_modules() if scheme_of(layer))
    if lost := sorted(name for name in missing if name in learned or name.startswith(packed)):
        raise WeightsError(
            f"the files of the model in {path} lack {len(lost)} of its weights, "
            f"such as {lost[0]}: a file is missing, or they are of another architecture, quantized "
            "without a quantization_config, or an adapter that was not merged"
        )


def load_tokenizer(path: Path, add_bos: bool | None, trust_remote_code: bool) -> Any:
    """Load a tokenizer as lm-eval does.

    Raises:
        WeightsError: transformers cannot load it, with its reason.
    """
    options = {} if add_bos is None else {"add_bos_token": add_bos}
    try:
        return AutoTokenizer.from_pretrained(path, trust_remote_code=trust_remote_code, **options)
    except Exception as error:
        raise cannot_load(path, error) from None


def cannot_load(path: Path, error: Exception) -> WeightsError:
    """A loader's exception as an error for the user, its first line only."""
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return WeightsError(f"the model in {path} cannot be loaded: {reason}")


def _linear_head(causal: Any) -> LinearHead | None:
    """The vocabulary projection with what the configuration says is done to its result.

    Whether that is all that is done to it, the self-test decides.
    """
    layer = causal.get_output_embeddings()
    if type(layer) is not torch.nn.Linear or not layer.weight.is_floating_point():
        return None
    config = causal.config.get_text_config()
    # MPT writes words such as "inv_sqrt_d_model" here: the self-test finds that out.
    scale, divisor = (
        value if isinstance(value, float | int) and value else 1.0
        for value in (getattr(config, name, None) for name in ("logit_scale", "logits_scaling"))
    )
    softcap = getattr(config, "final_logit_softcapping", None)
    return LinearHead(layer.weight.detach(), layer.bias, scale / divisor, softcap)


def embedding_rows(causal: Any) -> int | None:
    """How many tokens a model has an embedding of; ``None`` where it does not say."""
    try:
        rows = getattr(causal.get_input_embeddings(), "num_embeddings", None)
    except Exception:  # a model's own code: any kind
        return None
    return rows if isinstance(rows, int) else None


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether torch failed for want of memory, on any device."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def free_memory(device: torch.device) -> int:
    """Bytes that can still be taken on a device."""
    if device.type == "cuda":
        # What torch keeps of freed tensors counts as taken there, and is what it takes from first.
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + kept
    return available_memory()
