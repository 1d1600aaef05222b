"""What travels between driver and workers comes back as it was, and nothing else is let in."""

from __future__ import annotations

from array import array
from pathlib import Path

import msgspec
import pytest

from harness.backends.backend import CannotBeAsked, LoadOptions
from harness.errors import HarnessError, UnknownName, UsageError, WeightsError
from harness.executors.executor import Loading
from harness.executors.messages import (
    Ask,
    decode_message,
    encode,
    error_of,
    failure,
    load_message,
    loading_of,
    pack,
    pack_answer,
    pack_questions,
    unpack,
    unpack_answer,
    unpack_questions,
)
from harness.judge_options import BertScoreJudge, DialogRptJudge, RewardJudge
from harness.types import (
    Answer,
    Diverged,
    Divergence,
    GenerateUntil,
    Generation,
    LogLikelihood,
    LogProb,
    Question,
    Resemblance,
    Resembled,
    Reward,
    Rewarded,
    RollingLogLikelihood,
    RollingLogProb,
    Unanswered,
    WindowLogLikelihood,
)

VALUES = [
    LogLikelihood("Wer? ¿Quién? 谁", " ich\n"),
    RollingLogLikelihood("\x00 text"),
    WindowLogLikelihood((3, 1, 2)),
    GenerateUntil("a", ("\n\n", "Q:"), 12, 0.7, 3),
    Reward("p", "r"),
    Resemblance("t", "r"),
    Divergence("t"),
    LogProb(-1.25, True, True),
    RollingLogProb(-1e-300),
    Generation("x", True),
    Rewarded(0.1 + 0.2),
    Resembled(0.1, 0.2, 0.3, True),
    Diverged(0.5, 3, 4, -0.1, 0.2, (0, 1, 3)),
    Unanswered("no"),
    RewardJudge("chat"),
    BertScoreJudge(9, "bert"),
    DialogRptJudge(),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_every_kind_comes_back_as_it_was(value: object) -> None:
    through = msgspec.msgpack.decode(msgspec.msgpack.encode(pack(value)))
    assert unpack(through) == value


def test_every_request_and_response_has_a_kind() -> None:
    import harness.types as types

    kinds = {type(value) for value in VALUES}
    for union in (types.Request, types.Response):
        assert set(union.__args__) <= kinds


@pytest.mark.parametrize(
    "packed",
    [["Path", "/etc/passwd"], ["LogLikelihood", "a"], ["LogLikelihood", "a", 3], ["str", "x"]],
)
def test_another_kind_and_other_fields_are_refused(packed: list[object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        unpack(packed)


@pytest.mark.parametrize("content", [b"", b"\x80", b"cposix\nsystem\n.", b"\x81\xa4type\xa3Run"])
def test_what_is_no_message_is_refused(content: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_message(content)


def test_questions_keep_tokens_that_they_share_in_one_place() -> None:
    context = array("i", range(1000))
    questions = [
        Question(LogLikelihood("c", " a"), (context, array("i", [5]))),
        Question(LogLikelihood("c", " b"), (context, array("i", [-6])), truncated=True),
        Question(GenerateUntil("g", (), 4), refused="too long"),
    ]
    content = encode(Ask(7, pack_questions(questions, requests=True)))
    message = decode_message(content)
    assert isinstance(message, Ask) and message.model == 7
    again = unpack_questions(message.questions)
    assert again == questions
    assert again[0].tokens[0] is again[1].tokens[0]
    assert len(content) < 2 * 4 * len(context)
    assert [each.digest() for each in again] == [each.digest() for each in questions]

    bare = pack_questions(questions, requests=False)
    assert bare.requests == []
    assert unpack_questions(bare, [each.request for each in questions]) == questions


def test_an_answer_has_its_workers_seconds() -> None:
    answer = Answer(4, LogProb(-2.5, False), 10, 3)
    assert unpack_answer(pack_answer(answer), 0.25) == Answer(
        4, LogProb(-2.5, False), 10, 3, seconds=0.25
    )


def test_a_loading_comes_back_with_paths_and_judge() -> None:
    options = LoadOptions(Path("/m"), Path("/t"), "bfloat16", True, weights_id="w", budget=512)
    parent = Loading("hf", options, files=(("c", "d"),))
    loading = Loading("hf", options, RewardJudge(), parent, True, (("a", "b"),))
    message = decode_message(encode(load_message(3, loading, "here", (1, 2))))
    assert loading_of(message) == loading  # type: ignore[arg-type]
    assert message.drop == (1, 2)  # type: ignore[union-attr]


def test_errors_keep_their_text_and_their_exit_code() -> None:
    known = UnknownName("model", "x", ["y"], "z")
    for error, kind in (
        (WeightsError("w"), WeightsError),
        (known, UsageError),
        (CannotBeAsked("t"), CannotBeAsked),
        (HarnessError("h"), HarnessError),
    ):
        raised = error_of(failure(error, "here"))
        assert type(raised) is kind and str(raised) == str(error)
    raised = error_of(failure(ZeroDivisionError("by zero"), "node-3, model.py:7"))
    assert str(raised) == "ZeroDivisionError: by zero (a worker, node-3, model.py:7)"
