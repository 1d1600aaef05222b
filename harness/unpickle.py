"""A pickled state dict to safetensors, as a program of its own: ``unpickle.py PICKLE TARGET``.

It prints one JSON object: empty, or with why the pickle was refused. torch reads it with
``weights_only=True``: a pickle that would do anything but make tensors is refused, not run.
"""

from __future__ import annotations

import json
import pickle
import re
import sys
from pathlib import Path
from typing import Any

VERSION = 1
"""Of what is written; another version is another folder in the cache."""
_GROWTH, _ROOM = 4, 1 << 20
"""How much larger than its file, and by how many bytes, a table of tensors may be: several names
for one tensor are several tensors here. A pickle of a few bytes can ask for one of a terabyte.
"""


def unpickle(source: Path, target: Path) -> str | None:
    """Write the tensors of a pickle to a safetensors file; why not, if it is refused."""
    import torch
    from safetensors.torch import save_file

    try:
        loaded = torch.load(source, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        asked = re.search(r"GLOBAL ([\w.]+)", str(error))
        what = f"asks for {asked[1]}" if asked else "holds more than tensors, or is damaged"
        return f"it {what}, and only tensors are read"
    except (RuntimeError, EOFError, ValueError) as error:
        return f"it is damaged: {(str(error).splitlines() or [type(error).__name__])[0]}"
    if not isinstance(loaded, dict) or not loaded:
        return "it is not a table of tensors"
    odd = [name for name, value in loaded.items() if not isinstance(value, torch.Tensor)]
    if odd or not all(isinstance(name, str) for name in loaded):
        return f"it is not a table of tensors: it holds {odd[0] if odd else 'nameless ones'}"
    if sum(tensor.nbytes for tensor in loaded.values()) > _GROWTH * source.stat().st_size + _ROOM:
        return "its tensors are said to be far larger than the file, and would fill the memory"
    seen: set[int] = set()
    save_file(
        {name: _own(loaded[name], seen) for name in sorted(loaded)},
        target,
        metadata={"format": "pt"},
    )
    return None


def _own(tensor: Any, seen: set[int]) -> Any:
    """The tensor with memory of its own: safetensors writes none that share it."""
    storage = tensor.untyped_storage()
    shared = storage.data_ptr() in seen or storage.nbytes() != tensor.nbytes
    seen.add(storage.data_ptr())
    return tensor.clone().contiguous() if shared else tensor.contiguous()


if __name__ == "__main__":
    refused = unpickle(Path(sys.argv[1]), Path(sys.argv[2]))
    print(json.dumps({"refused": refused} if refused else {}))
