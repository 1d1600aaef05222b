"""Any model class of lm-eval's: what it takes, what it lacks, and how it wants its chats."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from lm_eval.api.model import LM

from harness.backends.backend import CannotBeAsked, LmEvalModel, LoadOptions, load_backend
from harness.errors import WeightsError
from harness.types import GenerateUntil, Generation, LogLikelihood, Unanswered
from tests.conftest import Command

SECRET = "sk-secret-4711"
WORK = ("--tasks", "arc_easy", "--samples", "--limit", "3")
Write = Callable[[Path, Sequence[Mapping[str, Any]]], Path]


class Partial(LM):  # type: ignore[misc,unused-ignore]
    """A class that has no log-likelihoods, and whose generations fail."""

    def loglikelihood(self, requests: Any, disable_tqdm: bool = False) -> Any:
        raise NotImplementedError("chats have none")

    def loglikelihood_rolling(self, requests: Any, disable_tqdm: bool = False) -> Any:
        raise NotImplementedError

    def generate_until(self, requests: Any, disable_tqdm: bool = False) -> Any:
        raise ConnectionError(f"no way to http://me:{SECRET}@h/v1\nand more")


@pytest.fixture
def partial(monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    monkeypatch.setattr("harness.backends.lm_eval_class.get_model", lambda name: Partial)
    return ("eval", "--model", "far", "--backend", "lm_eval", "--lm-eval-model", "partial")


def test_what_a_class_of_lm_eval_lacks_is_named_before_it_is_asked(
    harness: Command, served_zoo: Path, partial: tuple[str, ...]
) -> None:
    tasks = ("--tasks", "arc_easy,gsm8k", "--samples", "--limit", "2")
    code, _, told = harness(*partial, *tasks)
    assert code == 2, told
    said = "  arc_easy: partial of lm-eval does not answer loglikelihood: chats have none"
    assert said in told and "What is left: --tasks gsm8k" in told


def test_a_first_doc_that_asks_nothing_does_not_stand_for_the_others(
    harness: Command,
    served_zoo: Path,
    tmp_path: Path,
    partial: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    own_tasks: Callable[[str], None],
    write_rows: Write,
) -> None:
    monkeypatch.setattr(Partial, "tokenizer", "words", raising=False)
    monkeypatch.setattr(Partial, "tok_encode", lambda self, text: text.split(), raising=False)
    own_tasks("own_pairs = preference_pairs('own_pairs', dataset=Dataset('own'), about='pairs')")
    rows = [{"instruction": "how?", "chosen": "so", "rejected": other} for other in ("so", "thus")]
    write_rows(tmp_path / "data/own/default/test.jsonl", rows)
    code, _, told = harness(*partial, "--tasks", "own_pairs", "--data", str(tmp_path / "data"))
    assert code == 2 and "  own_pairs: partial of lm-eval does not answer loglikelihood" in told


class Server(Partial):
    """A class that asks a server, and could be given weights all the same."""

    def __init__(self, pretrained: str | None = None, base_url: str | None = None) -> None:
        super().__init__()


def test_a_class_that_asks_a_server_is_given_no_weights(
    harness: Command, served_zoo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.backends.lm_eval_class.get_model", lambda name: Server)
    words = ("--backend", "lm_eval", "--lm-eval-model", "server", "--lm-eval-args")
    code, _, told = harness("eval", "--model", "tiny", *words, "base_url=http://h/v1", *WORK)
    assert code == 2 and "asks a server, so that the model's weights would not be asked" in told


class Messages(NamedTuple):
    """A chat as a class knows it from a text."""

    prompt: str


class Chats(Partial):
    """A class that sends messages, and takes no text for them."""

    renders: Any = Messages

    def apply_chat_template(
        self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> Any:
        return self.renders(json.dumps(chat_history))

    def generate_until(self, requests: Any, disable_tqdm: bool = False) -> Any:
        chats = [request.args[0] for request in requests]
        assert all(isinstance(chat, Messages) for chat in chats)
        return [f"{json.loads(chat.prompt)[0]['content']} \ud800yes" for chat in chats]


def chats(monkeypatch: pytest.MonkeyPatch, path: Path) -> Any:
    monkeypatch.setattr("harness.backends.lm_eval_class.get_model", lambda name: Chats)
    return load_backend("lm_eval", LoadOptions(Path(), path, lm_eval=LmEvalModel("chats")))


HELLO = [{"role": "user", "content": "hello"}]


def test_a_class_that_sends_messages_gets_them_as_it_made_them(
    monkeypatch: pytest.MonkeyPatch, tiny_model: Path
) -> None:
    prompt = chats(monkeypatch, tiny_model).render_chat(HELLO)
    assert json.loads(prompt) == HELLO
    backend = chats(monkeypatch, tiny_model)  # as a worker is that did not render it
    asked = backend.encode([GenerateUntil(prompt, (), 4), LogLikelihood(prompt, " b")])
    first, second = sorted(backend.answer(asked), key=lambda answer: int(answer.index))
    assert first.response == Generation("hello \ufffdyes"), "half a pair is no text"
    assert isinstance(second.response, Unanswered) and "messages" in second.response.reason
    with pytest.raises(CannotBeAsked, match="begin the model's answer"):
        backend.render_chat(HELLO, add_generation_prompt=False)


def test_a_class_that_makes_no_text_of_a_chat_says_so(
    monkeypatch: pytest.MonkeyPatch, tiny_model: Path
) -> None:
    monkeypatch.setattr(Chats, "renders", staticmethod(json.loads))
    with pytest.raises(WeightsError, match="makes a list of it, and no text; set `chat_template"):
        chats(monkeypatch, tiny_model).render_chat(HELLO)


def test_a_class_of_lm_eval_that_fails_while_it_is_asked(
    harness: Command, served_zoo: Path, partial: tuple[str, ...]
) -> None:
    code, _, told = harness(*partial, "--tasks", "gsm8k", "--samples", "--limit", "2")
    assert code == 1 and "failed while it was asked (generate_until): no way to" in told
    assert SECRET not in told and "and more" not in told and "Traceback" not in told


def test_a_class_whose_packages_are_not_there_says_how_they_come(
    harness: Command, served_zoo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without(self: Any, arguments: Any) -> None:
        raise ModuleNotFoundError("No module named 'tenacity'")

    monkeypatch.setattr(Partial, "create_from_arg_obj", without.__get__(Partial))
    monkeypatch.setattr("harness.backends.lm_eval_class.get_model", lambda name: Partial)
    lm_eval = ("--backend", "lm_eval", "--lm-eval-model", "local-completions")
    code, _, told = harness("eval", "--model", "far", *lm_eval, *WORK)
    assert code == 1 and "tenacity" in told and "pip install 'lm-eval[api]==" in told


def test_a_template_of_a_class_with_a_tokenizer_is_bounded(tiny_model: Path) -> None:
    options = LoadOptions(
        tiny_model, tiny_model, "float32", lm_eval=LmEvalModel("hf", "batch_size=2")
    )
    backend = load_backend("lm_eval", options)
    long = "{{ 'x' * 99999999 }}"
    backend._lm.tokenizer.chat_template = long  # type: ignore[attr-defined]
    with pytest.raises(WeightsError, match="chat template cannot be used"):
        backend.render_chat([{"role": "user", "content": "hello"}])
