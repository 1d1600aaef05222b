"""Candidate answers of a registered model, through the harness's own engine and journal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.backends.backend import Backend, LoadOptions, load_backend
from harness.checkout import how_to_train
from harness.environment import describe_environment
from harness.errors import UsageError, WeightsError
from harness.final_number_task import STOPS
from harness.journal import answered, open_journal
from harness.presence import presence
from harness.progress import open_progress
from harness.ready import identity_of
from harness.sources import Artifact, resolve
from harness.types import Answer, GenerateUntil, Generation, Unanswered
from harness.zoo import ModelSpec, Zoo
from training.data.template import Template, choose, render
from training.ranking.candidates import Candidate
from training.ranking.questions import Question
from training.ranking.sampling import Sampling

TOO_LONG = "the question does not fit into the model's context"


@dataclass(frozen=True)
class Registered:
    """A model of the registry, and how it is asked.

    Attributes:
        spec: its entry.
        zoo: the registry.
        models_dir: folder ``org/name/`` of weights.
        template: how a question becomes text, see `training.data.template`.
        journals: folder in which its answers are kept.
    """

    spec: ModelSpec
    zoo: Zoo
    models_dir: Path | None
    template: Template
    journals: Path


def check(model: Registered) -> None:
    """Refuse a model that gives no answers, or that is not built.

    Raises:
        UsageError: it judges, or has to be built first.
    """
    name = model.spec.name
    if model.spec.judges:
        raise UsageError(f"{name} judges answers and gives none; name a language model")
    if presence(model.spec, model.zoo, model.models_dir).state == "not built":
        raise UsageError(f"{name} is not built yet: `{how_to_train(name)}` builds it")


def sample(
    model: Registered,
    questions: Sequence[Question],
    sampling: Sampling,
    tell: Callable[[str], None],
) -> tuple[list[list[Candidate]], Counter[str]]:
    """So many answers to each question, in the order of the questions.

    Each is in the journal before the next is asked for, so an interrupted call goes on.

    Returns:
        The answers, and how many could not be given, by reason.

    Raises:
        WeightsError: the model cannot be had or loaded.
        UsageError: it cannot be asked by that template.
        StorageError: the journal cannot be written.
    """
    artifact = resolve(model.spec, model.zoo, model.models_dir, tell)
    backend = _load(model.spec, artifact)
    prompts = _prompts(model, artifact, questions)
    requests = [
        GenerateUntil(
            prompt, STOPS, sampling.max_tokens, sampling.temperature, sampling.seed + number
        )
        for prompt in prompts
        for number in range(sampling.answers)
    ]
    found: dict[int, Candidate] = {}
    failed: Counter[str] = Counter()
    identity = identity_of(backend, describe_environment(backend.facts.device))
    with open_journal(model.journals, identity, tell) as journal, open_progress() as progress:
        progress.start(f"answers of {model.spec.name}", len(questions), len(requests))
        for answer in answered(backend, backend.encode(requests), journal):
            progress.advance(1, answer.stored)
            made = {
                "model": model.spec.name,
                "weights_id": artifact.weights_id,
                **sampling.of(answer.index % sampling.answers),
            }
            candidate = _candidate(answer, made)
            if isinstance(candidate, Candidate):
                found[answer.index] = candidate
            else:
                failed[candidate] += 1
    per = sampling.answers
    return [
        [found[at] for at in range(place * per, (place + 1) * per) if at in found]
        for place in range(len(questions))
    ], failed


def _candidate(answer: Answer, made: dict[str, Any]) -> Candidate | str:
    """An answer with its settings; or why there is none."""
    response = answer.response
    if isinstance(response, Unanswered):
        return response.reason
    if not isinstance(response, Generation) or response.truncated:
        return TOO_LONG
    finish = "length" if answer.tokens_out >= made["max_tokens"] else "stop"
    return Candidate(response.text.strip(), {**made, "finish": finish})


def _load(spec: ModelSpec, artifact: Artifact) -> Backend:
    return load_backend(
        spec.backend,
        LoadOptions(
            path=artifact.path,
            tokenizer=artifact.tokenizer_path,
            dtype=spec.dtype,
            add_bos=spec.add_bos,
            trust_remote_code=spec.trust_remote_code,
            weights_id=artifact.weights_id,
            quantization=spec.quantization,
        ),
    )


def _prompts(model: Registered, artifact: Artifact, questions: Sequence[Question]) -> list[str]:
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(
            artifact.tokenizer_path, trust_remote_code=model.spec.trust_remote_code
        )
    except Exception as error:  # custom code and torn files raise many kinds
        raise WeightsError(f"{model.spec.name}: the tokenizer cannot be loaded: {error}") from None
    chosen = choose(tokenizer, model.template)
    return [render(question.turns(), tokenizer, chosen) for question in questions]
