"""What a step is given, and what it reports: ``run(options, work) -> Made`` in each step's file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Work:
    """One step to be done.

    Attributes:
        name: the model that is made, as the registry calls it.
        parent: folder of the parent's weights, an ordinary Hugging Face folder.
        tokenizer: folder of its tokenizer; ``parent`` for most models.
        out: an empty folder to fill with the result: config, safetensors, tokenizer, curves. It
            becomes the artifact only after the step has returned.
        scratch: a folder that survives an interruption: checkpoints to resume from.
        data: the user's data folder (ORG/NAME/CONFIG/SPLIT), or ``None``.
        trust_remote_code: whether Python code inside the parent may run.
        tell: takes one line for the user, which begins with the model's name.
    """

    name: str
    parent: Path
    tokenizer: Path
    out: Path
    scratch: Path
    data: Path | None
    trust_remote_code: bool
    tell: Callable[[str], None]


@dataclass(frozen=True)
class Made:
    """What a step reports for ``lineage.json``.

    Attributes:
        data: name to sha256 of what was learned from or calibrated on.
        figures: plain numbers worth keeping: losses, held-out reward accuracy, outlier share.
        chosen: options that the recipe left to the step, as they were picked (group_size).
    """

    data: Mapping[str, str] = field(default_factory=dict)
    figures: Mapping[str, float] = field(default_factory=dict)
    chosen: Mapping[str, str | int | float | bool] = field(default_factory=dict)
