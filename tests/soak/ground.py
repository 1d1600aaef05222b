"""Where the soak takes place: a tiny model, a registry, and an undisturbed run to compare with."""

from __future__ import annotations

import gc
import itertools
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.cli import main
from harness.run_folder import RunFolder, list_runs
from tests.soak.compared import Expected, expected
from tests.soak.hub_server import COMMIT
from tests.soak.operations import Moment, Operations
from tests.soak.processes import Ended, Process, start
from tests.tiny_llama import tiny_llama

REPOSITORY = Path(__file__).resolve().parent.parent.parent
TASKS = "arc_easy,gsm8k,wikitext2"
LIMIT = "3"

_ZOO = """models:
  tiny: {{family: tiny, stage: base, source: {{path: {model}}}}}
  fetched: {{family: tiny, stage: base, source: {{hub: org/tiny}}}}
  pinned: {{family: tiny, stage: base, source: {{hub: org/tiny@{commit}}}}}
"""


@dataclass
class Ground:
    """A prepared place.

    Attributes:
        folder: all of it.
        model: the tiny checkpoint.
        expected: what the undisturbed run left.
        seconds: how long an undisturbed run takes.
        operations: what it does to files, in order; the last ones write the report.
        kilobytes: room that all it writes takes, in pages of 4 KB.
    """

    folder: Path
    model: Path
    expected: Expected = field(init=False)
    seconds: float = 0.0
    operations: list[str] = field(default_factory=list)
    kilobytes: int = 0
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    def fresh(self) -> Path:
        """A report folder that is not there yet."""
        return self.folder / f"reports-{next(self._numbers)}"

    def begin(
        self,
        command: Sequence[str],
        reports: Path,
        prepare: Callable[[], None] = lambda: None,
    ) -> Process:
        """Start a command of the harness on a report folder."""
        said = self.folder / f"said-{next(self._numbers)}.txt"
        return start(main, [*command, "--reports", str(reports)], said, prepare)

    def begin_until(self, command: Sequence[str], reports: Path, moment: Moment) -> Process:
        """Start a command that is killed at a moment of what it does below its reports."""
        return self.begin(command, reports, Operations((reports,), moment, self.log).install)

    def last_operations(self) -> str:
        """What the last watched process did at the end, for a message."""
        return "\n".join(self.log.read_text("utf-8").splitlines()[-5:])

    @property
    def log(self) -> Path:
        """What the last process that was begun by `begin_until` did to files."""
        return self.folder / "operations.log"


def evaluation(model: str = "tiny") -> list[str]:
    """The command whose run is broken off."""
    return ["eval", "--model", model, "--samples", "--tasks", TASKS, "--limit", LIMIT]


def next_command(reports: Path, model: str, resume: bool) -> list[str]:
    """What a user types after a run was broken off: the same command, or the run's ``--resume``,
    or, if the run was complete, the report that was not.
    """
    runs = [RunFolder(path).read() for path in list_runs(reports / "runs")]
    if any(run.status == "complete" for run in runs):
        return ["report"]
    if runs and resume:
        return ["eval", "--resume", runs[-1].id]
    return evaluation(model)


def environment(folder: Path) -> dict[str, str | None]:
    """What the commands find in their environment; ``None`` for what must not be set."""
    unset = ("DATA", "MODELS", "REPORTS", "LOCK")
    return {
        **{f"HARNESS_{name}": None for name in unset},
        **{name: None for name in ("HTTP_PROXY", "http_proxy", "HF_TOKEN", "HF_HUB_OFFLINE")},
        "HARNESS_ZOO": str(folder / "zoo.yaml"),
        "HARNESS_TASKS": str(REPOSITORY / "tasks"),
        "HARNESS_CACHE": str(folder / "cache"),
        "HF_HOME": str(folder / "hf"),
        "HF_HUB_CACHE": str(folder / "hub"),
        "HF_ENDPOINT": "http://127.0.0.1:9",  # nobody is there, unless a hub was started
        "HF_HUB_ETAG_TIMEOUT": "1",
        "HF_HUB_DOWNLOAD_TIMEOUT": "1",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "OMP_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }


def prepare(folder: Path) -> Ground:
    """Make the place, and run the evaluation undisturbed: once to import all that it needs, once to
    measure it.

    Raises:
        AssertionError: the undisturbed run fails.
    """
    for name, value in environment(folder).items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value
    import torch

    torch.set_num_threads(1)  # a process with other threads could not be forked safely
    ground = Ground(folder, tiny_llama(folder / "tiny"))
    (folder / "zoo.yaml").write_text(_ZOO.format(model=ground.model, commit=COMMIT), "utf-8")
    warmed = main([*evaluation(), "--json", "--reports", str(ground.fresh())])
    assert warmed == 0, "the undisturbed run failed"
    gc.collect()
    gc.freeze()  # or each fork would go through all of torch when it collects
    reports = ground.fresh()
    ended = ground.begin_until(evaluation(), reports, Moment(None)).wait()
    assert ended.code == 0, ended.said
    ground.seconds = ended.seconds
    ground.operations = ground.log.read_text("utf-8").replace(f"{reports}/", "").splitlines()
    sizes = [path.stat().st_size for path in reports.rglob("*") if path.is_file()]
    ground.kilobytes = sum(-(-size // 4096) * 4 for size in sizes)
    ground.expected = expected(reports)
    return ground


def survived_so_far(ended: Ended, *codes: int) -> None:
    """Hold a process that was not killed to its exit code and to what it printed.

    Raises:
        AssertionError: it ended otherwise, or in a traceback.
    """
    if ended.code is None:
        assert "Traceback" not in ended.said, ended.said
    else:
        ended_with(ended, *codes)


def ended_with(ended: Ended, *codes: int) -> None:
    """Hold a process that nobody was to kill to its exit code and to what it printed.

    Raises:
        AssertionError: it ended otherwise, or in a traceback; by any signal, too.
    """
    assert "Traceback" not in ended.said, ended.said
    assert ended.code in codes, f"exit code {ended.code}:\n{ended.said}"


def forget(reports: Path) -> None:
    """Remove a report folder that was compared."""
    shutil.rmtree(reports, ignore_errors=True)
