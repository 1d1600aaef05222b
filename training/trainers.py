"""TRL's trainers, given rows that are token ids already, and kept from talking to the network."""

from __future__ import annotations

from typing import Any

import trl

from training.head import project_labels_only


class _Prepared:
    """What all of them share: the rows come as they are learned from."""

    def _prepare_dataset(self, dataset: Any, *_: Any, **__: Any) -> Any:
        return dataset

    def _send_telemetry(self) -> None:
        return None

    def create_model_card(self, *_: Any, **__: Any) -> None:
        """A README in every checkpoint would help nobody."""


def body(model: Any) -> Any:
    """The transformers model inside PEFT's wrapper, or itself."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


class SupervisedTrainer(_Prepared, trl.SFTTrainer):
    """Rows: ``input_ids``, ``labels``."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        project_labels_only(body(self.model))
