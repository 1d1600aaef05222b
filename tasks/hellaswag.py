"""HellaSwag: which ending makes sense (Zellers et al. 2019, arXiv 1905.07830)."""

from collections.abc import Mapping
from typing import Any

from harness.data import Dataset
from harness.task import lm_eval_task


def source(row: Mapping[str, Any]) -> str | None:
    """The video or article that a doc was cut from; several are. Some copies do not name it."""
    name = str(row.get("source_id", ""))
    return None if not name or name.endswith("~unknown") else name


hellaswag = lm_eval_task(
    "hellaswag",
    yaml="hellaswag/hellaswag.yaml",
    primary="acc_norm",
    datasets=[Dataset("Rowan/hellaswag", split="validation", samples="hellaswag")],
    cluster_of=source,
    about="sentence completion, four endings, scored by likelihood",
)
