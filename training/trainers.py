"""TRL's trainers, given rows that are token ids already, and kept from talking to the network."""

from __future__ import annotations

from typing import Any

import torch
import trl
from torch.utils.data import DataLoader

from training.head import project_labels_only
from training.tokens import IGNORED


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


class SupervisedTrainer(_Prepared, trl.SFTTrainer):  # type: ignore[misc]
    """Rows: ``input_ids``, ``labels``."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        project_labels_only(body(self.model))


class PreferenceTrainer(_Prepared, trl.DPOTrainer):  # type: ignore[misc]
    """Rows: ``row`` (its number), ``prompt_ids``, ``chosen_ids``, ``rejected_ids``.

    The parent's log-probabilities are computed once per pair, before training, where TRL would
    compute them once per pair and epoch.
    """

    def _precompute_ref_logps(self, dataset: Any, name: str, batch_size: int) -> Any:
        project_labels_only(body(self.model))
        first = {row: place for place, row in reversed(list(enumerate(dataset["row"])))}
        alone = dataset.select(sorted(first.values()))
        found = dict(zip(alone["row"], self._log_probs(alone, of_parent=True), strict=True))
        for column, side in (("ref_chosen_logps", 0), ("ref_rejected_logps", 1)):
            values = [found[row][side] for row in dataset["row"]]
            dataset = dataset.add_column(column, values)
        return dataset

    def margins(self) -> list[float]:
        """The held-out pairs' margins: beta times how much further the chosen answer's
        log-probability has moved from the parent's than the rejected one's.
        """
        held = self.eval_dataset
        before = zip(held["ref_chosen_logps"], held["ref_rejected_logps"], strict=True)
        return [
            self.beta * ((chosen - ref_chosen) - (rejected - ref_rejected))
            for (chosen, rejected), (ref_chosen, ref_rejected) in zip(
                self._log_probs(held, of_parent=False), before, strict=True
            )
        ]

    def _log_probs(self, dataset: Any, *, of_parent: bool) -> list[tuple[float, float]]:
        """Log-probabilities of each row's chosen and rejected answer."""
        self.model.eval()
        found: list[tuple[float, float]] = []
        batches = DataLoader(
            dataset, self.args.per_device_eval_batch_size, collate_fn=self.data_collator
        )
        for batch in batches:
            inputs = self._prepare_inputs(batch)
            if of_parent:
                sides = self.compute_ref_log_probs(self.model, inputs)
            else:
                labels = inputs["input_ids"].masked_fill(inputs["completion_mask"] == 0, IGNORED)
                with torch.no_grad(), self.compute_loss_context_manager():
                    output = self.model(
                        input_ids=inputs["input_ids"],
                        attention_mask=inputs["attention_mask"],
                        labels=labels,
                        fused_lm_head=True,
                    )
                sides = output.log_probs.sum(1).chunk(2)
            found += zip(sides[0].tolist(), sides[1].tolist(), strict=True)
        return found


class UnpairedTrainer(_Prepared, trl.KTOTrainer):  # type: ignore[misc]
    """Rows: ``prompt_ids``, ``completion_ids``, ``KL_completion_ids``, ``label``."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        project_labels_only(body(self.model))


class RewardTrainer(_Prepared, trl.RewardTrainer):  # type: ignore[misc]
    """Rows: ``chosen_ids``, ``rejected_ids``."""

    def margins(self) -> list[float]:
        """The held-out pairs' margins: the chosen answer's reward less the rejected one's."""
        self.model.eval()
        found: list[float] = []
        batches = DataLoader(
            self.eval_dataset, self.args.per_device_eval_batch_size, collate_fn=self.data_collator
        )
        for batch in batches:
            with torch.no_grad(), self.compute_loss_context_manager():
                rewards = self.model(**self._prepare_inputs(batch)).logits.squeeze(-1).float()
            chosen, rejected = rewards.chunk(2)
            found += (chosen - rejected).tolist()
        return found
