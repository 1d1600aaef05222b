"""The method in words: tables that a page and its Markdown twin draw alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.report.method import LM_EVAL_PREFIX, Method, MetricUse, TaskUse
from harness.report.typed import typed
from harness.report.wording import (
    ABSENT,
    arrow,
    clean,
    counted,
    metric_name,
    moment,
    short_digest,
    size,
)

MANY = 12
"""Rows from which on a table folds away."""

TITLE = "Method"

INTRODUCTION = (
    "What stands behind the figures of this site: what each metric is and whose definition that "
    "is, how its interval is made, what was asked of the models, of which data, on which machines, "
    "and how to do it again. Everything is from the records of the runs.",
    "Every interval is a 95% interval over docs: it says what other docs of the same kind would "
    "have changed, and nothing of other prompts, seeds or training runs.",
)

_FALLBACK = (
    f"As lm-eval defines it: the task is its own ({LM_EVAL_PREFIX}NAME), and so are the metric and "
    "how docs are put together; its definition of the task is where to look."
)
_UNEXPLAINED = "No explanation is written for it: the task's file under tasks/ says what it is."
_UNITS = {"proportion": "shown in %", "of 100": "of 100", "bleu": "of 100", "score": ""}


@dataclass(frozen=True)
class Cell:
    """A text; ``code`` is to be read letter by letter."""

    text: str
    code: bool = False


@dataclass(frozen=True)
class MetricText:
    """A metric's entry.

    Attributes:
        name: for people.
        scale: unit and direction in words.
        what, formula, convention: see `harness.metrics.meanings.Meaning`; the last two may be
            empty.
        intervals: how its intervals were made.
        tasks: where it occurs.
    """

    name: str
    scale: str
    what: str
    formula: str
    convention: str
    intervals: tuple[str, ...]
    tasks: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """Rows under a heading.

    Attributes:
        id: of its section.
        about: what to know before reading it.
        what: the noun of a row, for counting.
    """

    id: str
    title: str
    about: str
    what: str
    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    @property
    def folded(self) -> bool:
        """Whether it is too long to stand open."""
        return len(self.rows) > MANY


def metric_texts(method: Method) -> list[MetricText]:
    """What there is to say of each metric."""
    return [_metric(use) for use in method.metrics]


def tables(method: Method) -> list[Table]:
    """The tables with anything in them."""
    made = [
        _tasks(method),
        _data(method),
        _others(method),
        _models(method),
        _settings(method),
        _versions(method),
        _machines(method),
        _commands(method),
    ]
    return [table for table in made if table.rows]


def _metric(use: MetricUse) -> MetricText:
    meaning = use.meaning
    better = [f"{'higher' if up else 'lower'} is better {arrow(up)}" for up in use.directions]
    units = [_UNITS.get(unit, unit) for unit in use.units]
    return MetricText(
        name=metric_name(use.key),
        scale=clean(", ".join([each for each in units if each] + better)),
        what=meaning.what if meaning else _FALLBACK if use.of_lm_eval else _UNEXPLAINED,
        formula=meaning.formula if meaning else "",
        convention=meaning.convention if meaning else "",
        intervals=tuple(map(clean, use.intervals)),
        tasks=tuple(map(clean, use.tasks)),
    )


def _tasks(method: Method) -> Table:
    return Table(
        "tasks",
        "What was asked",
        "A task under one group of settings. Equal digests mean equal prompts, word for word.",
        "setting",
        ("Task", "Version", "Main metric", "Shots", "Docs", "Prompts", "Digest", "Data", "Runs"),
        tuple(
            _row(
                clean(use.task),
                clean(use.version),
                metric_name(use.primary),
                str(use.num_fewshot),
                _docs(use),
                "chat template" if use.chat_template else "plain",
                Cell(short_digest(use.prompt_digest), code=True),
                _some(use.data),
                f"{use.runs:,}",
            )
            for use in method.tasks
        ),
    )


def _docs(use: TaskUse) -> str:
    limited = "" if use.limit is None else f", limit {use.limit:,}"
    return f"{use.docs:,}{limited}{', samples' if use.samples else ''}"


def _data(method: Method) -> Table:
    return Table(
        "data",
        "What data that was",
        "What each data set resolved to. Files of one digest are equal, wherever they came from; "
        "of the hub, the revision is the commit.",
        "file",
        ("Data set", "Configuration", "From", "File", "sha256 or commit", "Tasks"),
        tuple(
            _row(
                clean(use.dataset),
                clean(use.config) or ABSENT,
                use.origin,
                clean(name),
                Cell(clean(digest), code=True),
                _some(use.tasks),
            )
            for use in method.data
            for name, digest in [
                *use.files,
                *([("revision", use.revision)] if use.revision else []),
            ]
        ),
    )


def _others(method: Method) -> Table:
    return Table(
        "judges",
        "Judges and references",
        "Who was asked besides the model that is scored: name, the beginning of its weights' "
        "digest, and how it judges (layer, template). Figures of two of them do not compare.",
        "model",
        ("Who", "Asked as", "Tasks"),
        tuple(
            _row(*(", ".join(map(clean, said)) for said in ((use.who,), use.roles, use.tasks)))
            for use in method.others
        ),
    )


def _models(method: Method) -> Table:
    return Table(
        "models",
        "Models",
        "What each name stood for. The digest is of tensors, configuration and tokenizer.",
        "model",
        ("Model", "Source", "Weights", "Dtype", "Prompts", "Licence", "Runs"),
        tuple(
            _row(
                clean(use.name),
                clean(use.source),
                Cell(clean(use.weights_id)[:16], code=True),
                clean(use.dtype),
                ("chat template" if use.chat_template else "plain")
                + (", the checkpoint's own code was run" if use.custom_code else ""),
                clean(use.licence) or "not known",
                f"{use.runs:,}",
            )
            for use in method.models
        ),
    )


def _settings(method: Method) -> Table:
    return Table(
        "settings",
        "How models were run",
        "The head is the projection on the vocabulary: in float32, or in the model's own dtype.",
        "setting",
        ("Backend", "Dtype asked for", "Head", "Seed", "Batches", "Runs"),
        tuple(
            _row(
                clean(use.backend),
                clean(use.dtype),
                clean(use.head),
                str(use.seed),
                clean(use.plan) or "not recorded",
                f"{use.runs:,}",
            )
            for use in method.settings
        ),
    )


def _versions(method: Method) -> Table:
    return Table(
        "versions",
        "Versions",
        "",
        "version",
        ("lineup-harness", "Python", "Packages", "Commits", "Runs"),
        tuple(
            _row(
                clean(use.harness),
                clean(use.python),
                clean(", ".join(f"{name} {version}" for name, version in use.packages)),
                Cell(", ".join(clean(commit)[:12] for commit in use.commits), code=True)
                if use.commits
                else "not recorded",
                f"{use.runs:,}",
            )
            for use in method.versions
        ),
    )


def _machines(method: Method) -> Table:
    return Table(
        "machines",
        "Machines",
        "Speeds compare on one machine only.",
        "machine",
        ("Device", "Processor", "Threads", "Memory", "System", "Runs"),
        tuple(
            _row(
                clean(use.device),
                clean(use.processor),
                f"{use.threads} of {counted(use.cores, 'core')}",
                size(use.memory_bytes),
                clean(use.platform),
                f"{use.runs:,}",
            )
            for use in method.machines
        ),
    )


def _commands(method: Method) -> Table:
    return Table(
        "commands",
        "How to run it again",
        "What was typed for each run, newest first; a path that begins with / is of the machine "
        "where it ran. The same data, weights and versions give the same prompts, and the same "
        "answers up to rounding.",
        "command",
        ("Run", "Model", "When", "Command"),
        tuple(
            _row(
                clean(each.run_id),
                clean(each.model),
                moment(each.created),
                Cell(clean(typed(each.command, Path.cwd())), code=True)
                if not each.rescored_from
                else f"scored again from the answers of {clean(each.rescored_from)}",
            )
            for each in method.commands
        ),
    )


def _row(*cells: str | Cell) -> tuple[Cell, ...]:
    return tuple(cell if isinstance(cell, Cell) else Cell(cell) for cell in cells)


def _some(names: Sequence[str]) -> str:
    """Up to three names, and how many more."""
    shown = [clean(name) for name in names[:3]]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more:,} more" if more else "")
