"""The journal: what it keeps through kills, full disks, damage and company, and what it never does:
lose an answer, or take one for another.
"""

from __future__ import annotations

import errno
import fcntl
import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness import journal as journal_module
from harness.backends.fake import FakeBackend
from harness.errors import StorageError
from harness.journal import Journal, answered, journal_path, open_journal
from harness.types import (
    Answer,
    GenerateUntil,
    Generation,
    LogLikelihood,
    LogProb,
    Question,
    Response,
    RollingLogLikelihood,
    RollingLogProb,
    Unanswered,
    WindowLogLikelihood,
)
from tests.conftest import REPOSITORY

TINY = {"backend": "fake 1", "weights": "ab12", "body": "float32"}
SMOL = TINY | {"weights": "cd34"}

SHORT: list[Question] = [
    Question(LogLikelihood("Q: one?", " a"), (array("i", [1, 2]), array("i", [3]))),
    Question(RollingLogLikelihood("some text"), (array("i", [0, 7, 8]),)),
    Question(GenerateUntil("Say:", ("\n",), 8), (array("i", [4, 5]),)),
    Question(WindowLogLikelihood((9, 8, 7)), (array("i", [9, 8, 7]),)),
]
"""One question of each kind."""


def silent(line: str) -> None:
    """Say nothing."""


def many(count: int) -> list[Question]:
    """Questions of all kinds, no two of them equal."""
    return [
        Question(LogLikelihood(f"Q {number}", " a"), (array("i", [number]), array("i", [1])))
        if number % 2
        else Question(GenerateUntil(f"Q {number}", (), 8), (array("i", [number, 2]),))
        for number in range(count)
    ]


def ask(
    folder: Path, questions: Sequence[Question], backend: FakeBackend | None = None
) -> tuple[list[Answer], int]:
    """Every answer in the questions' order, and how many the backend was asked for."""
    backend = backend or FakeBackend()
    with Journal(folder, TINY, silent) as journal:
        answers = sorted(answered(backend, questions, journal), key=lambda answer: answer.index)
    assert [answer.index for answer in answers] == list(range(len(questions)))
    return answers, len(backend.asked)


def responses(answers: Sequence[Answer]) -> list[object]:
    return [answer.response for answer in answers]


def undisturbed(questions: Sequence[Question]) -> list[object]:
    """What the model says to each question."""
    return [answer.response for answer in FakeBackend().answer(questions)]


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """The system refuses, and cuts, every write beyond the first ``size`` bytes of a file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_question_is_asked_once(tmp_path: Path) -> None:
    first, asked = ask(tmp_path, SHORT)
    assert asked == 4 and not any(answer.stored for answer in first)
    again, asked = ask(tmp_path, SHORT)
    assert asked == 0 and all(answer.stored for answer in again)
    assert responses(again) == responses(first) == undisturbed(SHORT)
    assert [a.tokens_in for a in again] == [a.tokens_in for a in first], "what it took is kept"


@pytest.mark.usefixtures("no_locks")
def test_a_file_system_without_locks_keeps_answers_too(tmp_path: Path) -> None:
    first, asked = ask(tmp_path, SHORT)
    again, asked_again = ask(tmp_path, SHORT)
    assert (asked, asked_again) == (4, 0) and responses(again) == responses(first)


def test_other_tasks_find_what_they_share(tmp_path: Path) -> None:
    ask(tmp_path, many(20))
    answers, asked = ask(tmp_path, many(30)[::-1])
    assert asked == 10 and sum(answer.stored for answer in answers) == 20
    assert responses(answers) == undisturbed(many(30)[::-1])


def test_what_is_asked_twice_in_one_task_is_asked_once() -> None:
    """MMLU has exact duplicates; also without a journal."""
    backend = FakeBackend()
    answers = sorted(answered(backend, SHORT + SHORT[::-1], None), key=lambda a: a.index)
    assert len(backend.asked) == 4
    assert responses(answers) == undisturbed(SHORT + SHORT[::-1])
    assert sum(answer.tokens_in for answer in answers) == 4, "tokens count once"
    assert not any(answer.stored for answer in answers)


def test_samples_of_one_prompt_are_questions_of_their_own(tmp_path: Path) -> None:
    def repeats(temperature: float) -> list[Question]:
        return [
            Question(GenerateUntil("Say:", (), 8, temperature, n), (array("i", [4]),))
            for n in range(3)
        ]

    assert ask(tmp_path, repeats(0.0))[1] == 1
    assert ask(tmp_path, repeats(0.7))[1] == 3
    assert ask(tmp_path, repeats(0.7))[1] == 0
    assert ask(tmp_path, repeats(0.8))[1] == 3


def test_settings_of_a_generation_tell_questions_apart(tmp_path: Path) -> None:
    tokens = (array("i", [4]),)
    requests = [
        GenerateUntil("Say:", (), 8),
        GenerateUntil("Say:", ("\n",), 8),
        GenerateUntil("Say:", (), 9),
    ]
    assert ask(tmp_path, [Question(request, tokens) for request in requests])[1] == 3


def test_the_border_between_context_and_continuation_counts(tmp_path: Path) -> None:
    request = LogLikelihood("", "")
    borders = [([1, 2], [3]), ([1], [2, 3]), ([1, 2, 3], [])]
    questions = [Question(request, (array("i", a), array("i", b))) for a, b in borders]
    assert ask(tmp_path, questions)[1] == 3


def test_two_models_never_share_an_answer(tmp_path: Path) -> None:
    def says(number: float) -> FakeBackend:
        return FakeBackend(lambda request: LogProb(number, False))

    for identity, number in ((TINY, -1.0), (SMOL, -2.0)):
        with Journal(tmp_path, identity, silent) as journal:
            (answer,) = answered(says(number), SHORT[:1], journal)
            assert answer.response == LogProb(number, False)
    assert journal_path(tmp_path, TINY) != journal_path(tmp_path, SMOL)

    # Not even where someone puts one file's lines into the other's, or gives it the other's name.
    tiny, smol = journal_path(tmp_path, TINY), journal_path(tmp_path, SMOL)
    tiny.write_bytes(smol.read_bytes())
    with Journal(tmp_path, TINY, silent) as journal:
        assert len(journal) == 0 and journal.damaged == 1
        (answer,) = answered(says(-1.0), SHORT[:1], journal)
    assert answer.response == LogProb(-1.0, False) and not answer.stored


@pytest.mark.parametrize("identity", [{"backend": "fake"}, {"backend": "fake", "weights": ""}])
def test_answers_of_unknown_weights_are_not_kept(tmp_path: Path, identity: dict[str, str]) -> None:
    with open_journal(tmp_path / "journal", identity, silent) as journal:
        assert journal is None
    assert list(tmp_path.iterdir()) == []


def test_no_answer_is_kept_that_is_none(tmp_path: Path) -> None:
    odd: list[Response] = [
        Unanswered("no"),
        RollingLogProb(float("nan")),
        Generation("fine"),
        LogProb(-1e999, True),
    ]
    script = dict(zip((question.request for question in SHORT), odd, strict=True))
    answers, _ = ask(tmp_path, SHORT, FakeBackend(script.get))
    assert answers[0].response == Unanswered("no") and answers[2].response == Generation("fine")
    answers, asked = ask(tmp_path, SHORT)
    assert asked == 3 and answers[2].response == Generation("fine")
    assert answers[0].response == undisturbed(SHORT)[0]


def test_a_refused_question_is_left_to_the_backend(tmp_path: Path) -> None:
    """It has the tokens of another, whose answer is not its own."""
    refused = Question(SHORT[0].request, SHORT[0].tokens, refused="too long")

    class Refusing(FakeBackend):
        def answer(self, questions: Sequence[Question]) -> Iterator[Answer]:
            for index, question in enumerate(questions):
                self.asked.append(question.request)
                yield Answer(index, Unanswered(question.refused) if question.refused else fine)

    fine = LogProb(-1.0, True)
    for expected in (3, 2):
        answers, asked = ask(tmp_path, [refused, SHORT[0], refused], Refusing())
        assert responses(answers) == [Unanswered("too long"), fine, Unanswered("too long")]
        assert asked == expected


def test_whether_a_prompt_was_cut_is_its_own(tmp_path: Path) -> None:
    """What is left of a long prompt may be all of a short one."""
    tokens = (array("i", [1]), array("i", [2]))
    whole = Question(LogLikelihood("b", "c"), tokens)
    cut = Question(LogLikelihood("a b", "c"), tokens, truncated=True)
    for expected in (1, 0):
        answers, asked = ask(tmp_path, [cut, whole, cut])
        assert asked == expected
        assert [answer.response.truncated for answer in answers] == [True, False, True]  # type: ignore[union-attr]


def test_any_text_comes_back_as_it_was(tmp_path: Path) -> None:
    texts = [
        'a\u2028b\u2029c\x85d\r\n\x00\x1b[2J\\"{',
        "",
        "ünï 🙂 \ufffd",
        '{"crc32":"',
        "x" * 70_000,
    ]
    questions = [
        Question(GenerateUntil(str(number), (), 8), (array("i", [number]),)) for number in range(5)
    ]
    script = {
        question.request: Generation(text) for question, text in zip(questions, texts, strict=True)
    }
    ask(tmp_path, questions, FakeBackend(script.get))
    answers, asked = ask(tmp_path, questions)
    assert asked == 0 and responses(answers) == [Generation(text) for text in texts]


def test_what_the_backend_answered_is_written_before_it_is_passed_on(tmp_path: Path) -> None:
    with Journal(tmp_path, TINY, silent) as journal:
        for count, _ in enumerate(answered(FakeBackend(), many(5), journal), 1):
            with Journal(tmp_path, TINY, silent) as other:
                assert len(other) == count


def test_a_file_cut_at_any_byte_loses_only_what_was_cut(tmp_path: Path) -> None:
    """A kill while a line is written, a torn last line, a truncated file."""
    ask(tmp_path / "whole", SHORT)
    content = journal_path(tmp_path / "whole", TINY).read_bytes()
    for size in range(len(content)):
        folder = tmp_path / str(size)
        path = journal_path(folder, TINY)
        folder.mkdir()
        path.write_bytes(content[:size])
        # A line is whole also without its line end.
        whole = sum(line in content[:size].split(b"\n") for line in content.split(b"\n")[1:-1])
        answers, asked = ask(folder, SHORT)
        assert responses(answers) == undisturbed(SHORT)
        assert asked == 4 - whole
        assert path.read_bytes().startswith(content[:size]), "nothing is ever taken away"
        answers, asked = ask(folder, SHORT)
        assert asked == 0 and responses(answers) == undisturbed(SHORT)


def test_a_changed_byte_is_never_believed(tmp_path: Path) -> None:
    ask(tmp_path, SHORT)
    path = journal_path(tmp_path, TINY)
    content = path.read_bytes()
    lines = content.split(b"\n")
    start, end = len(lines[0]) + 1 + len(lines[1]) + 1, len(content) - len(lines[-2]) - 1
    truth = dict(zip((question.digest() for question in SHORT), undisturbed(SHORT), strict=True))
    for position in range(start, end):
        for flip in (0x01, 0x20, 0x80):
            damaged = bytearray(content)
            damaged[position] ^= flip
            path.write_bytes(damaged)
            with Journal(tmp_path, TINY, silent) as journal:
                assert journal.damaged >= 1
                assert len(journal) in (2, 3), "a changed line end costs the two lines beside it"
                for digest, response in truth.items():
                    found = journal.find(digest)
                    assert found is None or found.response == response


def test_damage_is_counted_and_told(tmp_path: Path) -> None:
    ask(tmp_path, SHORT)
    path = journal_path(tmp_path, TINY)
    path.write_bytes(path.read_bytes().replace(b'"is_greedy":', b'"is_greedx":') + b"\x00" * 40)
    told: list[str] = []
    with Journal(tmp_path, TINY, told.append) as journal:
        assert len(journal) == 3 and journal.damaged == 2
    assert told == [
        f"journal: 3 answers of this model are stored ({path})",
        "journal: damaged lines are left out, 2 of them, and what they answered is asked again "
        f"({path})",
    ]


def test_a_line_that_no_version_wrote_is_left_out(tmp_path: Path) -> None:
    """Its checksum is right and its content is not: a kind of answer that does not exist."""
    with Journal(tmp_path, TINY, silent) as journal:
        rest = b'","kind":"guess","question":"00"}'
        line = b'{"crc32":"' + journal._checksum(rest) + rest + b"\n"
    path = journal_path(tmp_path, TINY)
    path.write_bytes(path.read_bytes() + line)
    with Journal(tmp_path, TINY, silent) as journal:
        assert len(journal) == 0 and journal.damaged == 1


def test_of_two_answers_to_one_question_the_first_counts(tmp_path: Path) -> None:
    """Two processes may ask the same; whoever reads the file later reads the same answer."""
    digest = SHORT[0].digest()
    with Journal(tmp_path, TINY, silent) as one, Journal(tmp_path, TINY, silent) as other:
        one.add(digest, Answer(0, LogProb(-1.0, False)))
        other.add(digest, Answer(0, LogProb(-1.5, False)))
    for _ in range(2):
        with Journal(tmp_path, TINY, silent) as journal:
            found = journal.find(digest)
            assert found is not None and found.response == LogProb(-1.0, False)


def test_another_schema_is_told_and_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(tmp_path, SHORT)
    old, content = journal_path(tmp_path, TINY), journal_path(tmp_path, TINY).read_bytes()
    monkeypatch.setattr(journal_module, "SCHEMA", 2)
    told: list[str] = []
    with Journal(tmp_path, TINY, told.append) as journal:
        assert journal.path != old and len(journal) == 0
    assert told == [
        f"journal: {old} is of schema 1, this version writes 2: it is left alone, and its answers "
        "are asked again"
    ]
    assert ask(tmp_path, SHORT)[1] == 4
    assert old.read_bytes() == content

    # Nor is it read where it lies under today's name: its checksums are those of the other.
    journal.path.write_bytes(content)
    with Journal(tmp_path, TINY, silent) as journal:
        assert len(journal) == 0 and journal.damaged == 4


def test_a_disk_that_fills_at_any_byte_keeps_what_was_there(tmp_path: Path) -> None:
    """The system writes part of a line and then no more; the next run goes on behind it."""
    ask(tmp_path / "whole", SHORT)
    content = journal_path(tmp_path / "whole", TINY).read_bytes()
    lines = content.split(b"\n")
    start = len(lines[0]) + 1
    for size in range(start, len(content), 7):
        folder = tmp_path / str(size)
        with pytest.raises(StorageError, match="cannot write"), files_of_at_most(size):
            ask(folder, SHORT)
        path = journal_path(folder, TINY)
        assert path.read_bytes().count(b"\n") == content[:size].count(b"\n")
        answers, asked = ask(folder, SHORT)
        assert responses(answers) == undisturbed(SHORT)
        assert asked == 4 - sum(
            line in path.read_bytes()[:size].split(b"\n") for line in lines[1:-1]
        )
        assert ask(folder, SHORT)[1] == 0


def test_a_really_full_disk(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(small)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("this user may not mount a small file system")
    try:
        (small / "ballast").write_bytes(bytes(40_000))
        with pytest.raises(StorageError, match="the disk is full: free some room"):
            ask(small / "journal", many(500))
        with Journal(small / "journal", TINY, silent) as journal:
            kept = len(journal)
        assert 0 < kept < 500
        (small / "ballast").unlink()
        subprocess.run(["mount", "-o", "remount,size=256k", str(small)], check=True)
        answers, asked = ask(small / "journal", many(500))
        assert asked == 500 - kept and responses(answers) == undisturbed(many(500))
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_a_folder_that_cannot_be_written_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"cannot write .*choose another folder"):
        Journal(tmp_path / "file" / "journal", TINY, silent)


def test_answers_are_on_the_disk_when_a_task_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    ask(tmp_path, SHORT)
    assert len(synced) == 1
    ask(tmp_path, SHORT)
    assert len(synced) == 1, "nothing was written"

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="the disk is full"):
        ask(tmp_path, many(3))


def test_nobody_writes_or_reads_while_another_writes(tmp_path: Path) -> None:
    """Or a torn piece could be taken for a line's end, and a line that is coming for damage."""
    ask(tmp_path, SHORT[:2])
    other = os.open(journal_path(tmp_path, TINY), os.O_RDWR | os.O_APPEND)
    fcntl.flock(other, fcntl.LOCK_EX)
    try:
        os.write(other, b'{"crc32":"half of a li')
        waiting = threading.Thread(target=ask, args=(tmp_path, SHORT))
        waiting.start()
        waiting.join(0.2)
        assert waiting.is_alive()
        os.write(other, b"ne\n")
    finally:
        os.close(other)
    waiting.join(10)
    assert not waiting.is_alive()
    assert ask(tmp_path, SHORT)[1] == 0


def child(folder: str, log: str, count: int, seed: int, pause: float, length: int) -> None:
    """Ask all questions, in an order of one's own, and note each that the backend was asked."""

    def script(request: object) -> Generation | None:
        with open(log, "a") as file:
            file.write(f"{request}\n")
        time.sleep(pause)
        return answer_of(request, length)

    order: Callable[[int], Sequence[int]] = lambda n: random.Random(seed).sample(range(n), n)  # noqa: E731
    ask(Path(folder), many(count), FakeBackend(script, order))


def answer_of(request: object, length: int) -> Generation | None:
    if length and isinstance(request, GenerateUntil):
        return Generation(f"{request.context} " * length)
    return None


def start(folder: Path, log: Path, count: int, seed: int, pause: float, length: int) -> Popen:
    call = f"child({str(folder)!r}, {str(log)!r}, {count}, {seed}, {pause}, {length})"
    return subprocess.Popen(
        [sys.executable, "-c", f"from tests.test_journal import child; {call}"],
        cwd=REPOSITORY,
        stderr=subprocess.PIPE,
    )


Popen = subprocess.Popen[bytes]


def test_a_killed_run_loses_at_most_the_question_it_was_at(tmp_path: Path) -> None:
    """Killed again and again at moments of no one's choosing, until one run reaches the end."""
    folder, log, questions = tmp_path / "journal", tmp_path / "asked", many(300)
    log.touch()
    kills = 0
    while True:
        before = log.read_text().count("\n")
        process = start(folder, log, len(questions), kills, 0.002, 0)
        goal, deadline = before + 60 + 7 * kills, time.monotonic() + 60
        while process.poll() is None and log.read_text().count("\n") < goal:
            assert time.monotonic() < deadline
            time.sleep(0.001)
        if process.poll() is not None:
            _, err = process.communicate()
            assert process.returncode == 0, err.decode()
            break
        process.send_signal(signal.SIGKILL)
        process.communicate()
        kills += 1
    assert kills >= 2
    asked = log.read_text().splitlines()
    assert set(asked) == {str(question.request) for question in questions}
    assert len(asked) - len(set(asked)) <= kills
    answers, again = ask(folder, questions)
    assert again == 0 and responses(answers) == undisturbed(questions)


def test_processes_that_share_a_journal_write_whole_lines(tmp_path: Path) -> None:
    """Three at once, with long answers: all lines are whole, every answer is there and right."""
    folder, questions = tmp_path / "journal", many(400)
    processes = [
        start(folder, tmp_path / f"asked {seed}", len(questions), seed, 0, 3000)
        for seed in range(3)
    ]
    for process in processes:
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err.decode()
    with Journal(folder, TINY, silent) as journal:
        assert journal.damaged == 0 and len(journal) == len(questions)
    answers, asked = ask(folder, questions)
    assert asked == 0
    for question, answer, plain in zip(questions, answers, undisturbed(questions), strict=True):
        assert answer.response == (answer_of(question.request, 3000) or plain)
    headers = journal_path(folder, TINY).read_bytes().count(b'{"schema":')
    assert headers == 1


def test_a_closed_journal_takes_nothing(tmp_path: Path) -> None:
    with Journal(tmp_path, {"weights": "w"}, lambda line: None) as journal:
        pass
    # The descriptor's number is this file's now.
    with (tmp_path / "foreign").open("w+b") as foreign:
        for write in (journal.add, journal.add_early):
            with pytest.raises(ValueError, match="is closed"):
                write(b"d", Answer(0, LogProb(-1.0, True)))
        assert not foreign.read()
