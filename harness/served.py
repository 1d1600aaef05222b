"""What stands for a model's weights where another program has them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from harness.sources import Artifact
from harness.zoo import ModelSpec


def served_artifact(name: str, server: str, model: str) -> Artifact:
    """An artifact without files: nobody here can tell what weights a server has.

    Its identity is the address and the model's name there. A server that loads other weights under
    the same name is not noticed; one that moves is another model.

    Args:
        name: the registry's.
        server: its address, or the class of lm-eval's that asks it.
        model: as the server calls it, or that class's arguments.
    """
    content = json.dumps(["served", server, model])
    return Artifact(
        name=name,
        path=Path(),
        weights_id=hashlib.sha256(content.encode()).hexdigest(),
        files={},
        disk_bytes=0,
        source=f"{model} of {server}",
        revision=None,
        tokenizer_path=Path(),
        notes=(
            "its weights are not here and are not known: the server's name for them is believed",
        ),
    )


def served_name(spec: ModelSpec) -> str:
    """What a server most likely calls a model: what its entry says, or the hub does, or it."""
    if spec.source is not None and spec.source.kind in ("server", "hub"):
        return spec.source.name
    return spec.name
