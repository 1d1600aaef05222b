"""What a checkpoint would make a loader run or fetch from elsewhere; standard library only.

``trust_remote_code: true`` in the registry lets the code of that checkpoint run, at the commit that
was read: not whatever a branch holds tomorrow, and not what another repository holds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.errors import WeightsError
from harness.origin import Source
from harness.zoo import ModelSpec

_COMMIT = re.compile(r"[0-9a-f]{40}")
_NAMING = ("config.json", "tokenizer_config.json", "processor_config.json")
"""The files whose ``auto_map`` names classes."""


def check_pinned(spec: ModelSpec, source: Source, pinned: str | None) -> None:
    """Refuse code of a hub's branch or tag, which can become other code at any time.

    Args:
        spec: the model.
        source: its source, a hub's.
        pinned: the commit in the lock file, if there is one.

    Raises:
        WeightsError: its code may run, and no commit is named.
    """
    if not spec.trust_remote_code or pinned or _COMMIT.fullmatch(source.revision or ""):
        return
    raise WeightsError(
        f"{spec.name}: trust_remote_code is true, so code of {source} would run, and no commit of "
        f"it is named: its code could be another one tomorrow. Read the code, then write "
        f"`source: {{hub: {source.name}@COMMIT}}` (40 digits and letters), or let `harness lock` "
        f"write the present commit into harness.lock.yaml; a folder DIR/{source.name}/ of your own "
        "(MODELS=DIR) needs none"
    )


def check_folder(spec: ModelSpec, folder: Path, tokenizer: Path) -> None:
    """Refuse a checkpoint that leads to code or weights outside its folder.

    Args:
        spec: the model.
        folder: its weights.
        tokenizer: its tokenizer, ``folder`` for most.

    Raises:
        WeightsError: it is an adapter, which names another checkpoint to be loaded; or its code
            may run, and is another repository's, lies below its folder, or comes with a tokenizer
            from elsewhere.
    """
    if (folder / "adapter_config.json").is_file():
        base = _read(folder / "adapter_config.json").get("base_model_name_or_path")
        raise WeightsError(
            f"{spec.name}: {folder} holds an adapter_config.json: a loader would take the weights "
            f"of {base!r} instead, which nobody checked. Merge the adapter into its base "
            "(peft's merge_and_unload), save the whole, and name that"
        )
    if not spec.trust_remote_code:
        return
    for file, name in _classes(folder):
        if "--" in name:
            raise WeightsError(
                f"{spec.name}: {folder / file} names code of another repository ({name}), which no "
                "commit pins: copy that code into the checkpoint's folder, and name it without "
                "the part before --"
            )
        if "/" in name or "\\" in name:
            raise _below(spec, f"{folder / file} names code in another folder ({name})")
    if (folder / "custom_generate").exists():
        raise _below(
            spec, f"{folder} holds a folder custom_generate, whose code a loader would run"
        )
    if tokenizer != folder and (found := next(_classes(tokenizer), None)):
        raise WeightsError(
            f"{spec.name}: {tokenizer / found[0]} names code ({found[1]}), and the code of a "
            "tokenizer from elsewhere does not run: trust_remote_code is for the checkpoint's own"
        )


def _below(spec: ModelSpec, problem: str) -> WeightsError:
    return WeightsError(
        f"{spec.name}: {problem}: only code beside config.json is part of the model's identity, "
        "and no other runs. Copy what is needed there, or remove the folder from a copy of your "
        "own (MODELS=DIR)"
    )


def _classes(folder: Path) -> Iterator[tuple[str, str]]:
    """File and class for all that an ``auto_map`` names."""
    for file in _NAMING:
        written = _read(folder / file).get("auto_map")
        values = written.values() if isinstance(written, Mapping) else [written]
        for value in values:
            names = value if isinstance(value, list) else [value]
            yield from ((file, name) for name in names if isinstance(name, str))


def _read(path: Path) -> dict[str, Any]:
    """An object in JSON; empty where there is none: what loads it says what is wrong."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
