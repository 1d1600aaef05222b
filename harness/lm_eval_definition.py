"""One of lm-eval's definitions over rows that are here, checked before anything is asked."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lm_eval
import numpy as np
import torch
from lm_eval.api.task import ConfigurableTask
from lm_eval.defaults import DEFAULT_OTHER_SEED, DEFAULT_RANDOM_SEED
from lm_eval.tasks._yaml_loader import load_yaml

from harness.data import Dataset
from harness.errors import DataError, HarnessError, UsageError
from harness.open_task import TaskContext
from harness.progress import note

DEFINITIONS = Path(lm_eval.__file__).parent / "tasks"
LENGTH_OPTIONS = {"max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens"}
GENERATION_OPTIONS = {"until", "do_sample", "temperature"} | LENGTH_OPTIONS


@dataclass(frozen=True)
class Part:
    """One of lm-eval's definitions within a task, with the data it reads.

    Attributes:
        yaml: path of the definition, under ``lm_eval/tasks`` or absolute.
        group: name of the group that its docs form, ``None`` if it is the whole task.
        dataset: what it reads.
    """

    yaml: str
    group: str | None
    dataset: Dataset


class _GivenData(ConfigurableTask):  # type: ignore[misc]  # lm-eval ships no types
    """A ConfigurableTask over rows that are already here."""

    def __init__(self, config: dict[str, Any], splits: Mapping[str, Any]) -> None:
        self._given = splits
        super().__init__(config=config)

    def download(self, dataset_kwargs: dict[str, Any] | None = None, **_: Any) -> None:
        """Take the given rows instead of fetching any."""
        self.dataset = self._given


def seed_as_lm_eval() -> None:
    """Seed what lm-eval seeds before it builds tasks: some shuffle choices as they read their docs.

    Per task, not per run, so that a task's prompts do not depend on the tasks before it.
    """
    random.seed(DEFAULT_RANDOM_SEED)
    np.random.seed(DEFAULT_OTHER_SEED)  # lm-eval's tasks draw from this one
    torch.manual_seed(DEFAULT_OTHER_SEED)


def construct(part: Part, splits: Mapping[str, Any], context: TaskContext) -> ConfigurableTask:
    """Make lm-eval's task over the given rows, with its shots and its sampler's seed.

    Raises:
        DataError: the rows do not fit the definition, or lack the split that it is scored on.
        UsageError: the definition cannot run here, or the examples that were asked for are not
            there.
    """
    config = dict(load_yaml(DEFINITIONS / part.yaml))
    for key in ("tag", "group", "task_list"):
        config.pop(key, None)
    if "class" in config:
        raise UsageError(
            f"lm-eval's {config['task']} is a Python class, not a definition; it cannot run here"
        )
    shots = _num_fewshot(config, context)
    _drop_absent_splits(config, splits, shots, part)
    config["num_fewshot"] = shots
    _check_generation_options(config)
    try:
        task = _GivenData(config, splits)
    except HarnessError:
        raise
    except Exception as error:  # templates and functions of any definition: many kinds of errors
        raise DataError(
            f"{part.dataset}: the rows do not fit lm-eval's definition {part.yaml} ({brief(error)})"
        ) from None
    multimodal, unsafe = getattr(task, "MULTIMODAL", False), getattr(task, "UNSAFE_CODE", False)
    if multimodal or unsafe:
        what = "needs images or audio" if multimodal else "runs generated code"
        raise UsageError(f"lm-eval's {config['task']} {what}; this harness does not do that")
    _check_pool(task, shots, part)
    task.set_fewshot_seed(context.seed)
    return task


def _check_pool(task: ConfigurableTask, shots: int, part: Part) -> None:
    pool = len(task.sampler.df) if shots and hasattr(task, "sampler") else shots
    if pool < shots:
        raise UsageError(
            f"{task.config.task} with {shots} few-shot examples: {part.dataset} has only {pool} to "
            f"draw from; use --num-fewshot {pool} or fewer"
        )


def _num_fewshot(config: Mapping[str, Any], context: TaskContext) -> int:
    """The shots that lm-eval would use: a definition that says 0 is never overruled."""
    own = config.get("num_fewshot")
    if own == 0 and context.num_fewshot:
        note(f"{config['task']}: defined with 0 examples, so --num-fewshot does not apply to it")
    if context.num_fewshot is None or own == 0:
        return int(own or 0)
    return context.num_fewshot


def _drop_absent_splits(
    config: dict[str, Any], splits: Mapping[str, Any], shots: int, part: Part
) -> None:
    """Forget splits that the data lacks and the run does not need; refuse those that it needs.

    lm-eval touches every split that a definition names, even at 0 shots.
    """
    evaluated = config.get("test_split") or config.get("validation_split")
    if evaluated not in splits:
        raise DataError(
            f"{part.dataset} has no split {evaluated!r}, which {config['task']} is scored on "
            f"(it has {', '.join(splits) or 'none'})"
        )
    source = (
        config.get("fewshot_split")
        or (config.get("fewshot_config") or {}).get("split")
        or config.get("training_split")
        or config.get("validation_split")
        or evaluated
    )
    own_examples = (config.get("fewshot_config") or {}).get("samples") is not None
    if shots and source not in splits and not own_examples:
        raise UsageError(
            f"{config['task']} with {shots} few-shot examples draws them from the split "
            f"{source!r} of {part.dataset}, which is not there (it has {', '.join(splits)}); "
            "use --num-fewshot 0, or a data folder that has that split"
        )
    for key in ("training_split", "validation_split", "fewshot_split"):
        if config.get(key) not in splits:
            config.pop(key, None)
    fewshot = config.get("fewshot_config")
    if fewshot and fewshot.get("split") not in splits:
        config["fewshot_config"] = {k: v for k, v in fewshot.items() if k != "split"}


def temperature(options: Mapping[str, Any]) -> float:
    """0, greedy decoding, unless a definition asks for sampling: as in lm-eval, a temperature does
    where ``do_sample`` is not set.
    """
    warm = float(options.get("temperature") or 0.0)
    sampled = options.get("do_sample")
    return warm if (warm > 0 if sampled is None else sampled) else 0.0


def _check_generation_options(config: Mapping[str, Any]) -> None:
    """Refuse, before anything is asked, what would be answered otherwise than lm-eval does."""
    options = config.get("generation_kwargs") or {}
    harmless = {"top_p", "top_k"} if temperature(options) == 0 else set()
    if options.get("num_beams") == 1:
        harmless |= {"num_beams"}
    unknown = sorted(set(options) - GENERATION_OPTIONS - harmless)
    if unknown:
        raise UsageError(
            f"lm-eval's {config['task']} sets the generation options {', '.join(unknown)}; "
            f"this harness knows {', '.join(sorted(GENERATION_OPTIONS))}"
        )


def brief(error: Exception) -> str:
    """An exception of lm-eval's or a template's in one line."""
    text = str(error).splitlines()[0] if str(error) else ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
