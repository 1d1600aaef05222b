"""The user's data folder, as an option or the environment names it."""

from __future__ import annotations

import os
from pathlib import Path

from harness.errors import UsageError
from harness.storage import expanded


def data_folder(given: Path | None) -> Path | None:
    """``--data``, or ``HARNESS_DATA``; ``None`` where neither is set.

    Raises:
        UsageError: there is no such folder.
    """
    written = os.environ.get("HARNESS_DATA")
    folder = given or (Path(written) if written else None)
    if folder is None:
        return None
    found = expanded(folder)
    if not found.is_dir():
        raise UsageError(
            f"the data folder {folder} does not exist; DATA=DIR (--data, HARNESS_DATA) names a "
            "folder that holds data sets as DIR/ORG/NAME/CONFIG/SPLIT.jsonl[.gz]"
        )
    return found
