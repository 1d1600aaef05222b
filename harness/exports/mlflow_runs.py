"""Runs as runs of MLflow: settings as params, estimates as metrics, the record as an artifact."""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.checkout import how_to_install
from harness.compare import StoredRun
from harness.errors import HarnessError, StorageError
from harness.exports.table import known
from harness.records import Run
from harness.report.newest import begun
from harness.storage import explained

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

EXPERIMENT = "lineup"
"""Unless ``MLFLOW_EXPERIMENT_NAME`` names another, as it does for MLflow itself."""

KEY = "lineup.key"
"""Tag that marks a run as logged whole. A digest of the run's id: MLflow's filters cannot quote."""

_LONGEST = 6_000
"""Characters of a param's value that MLflow keeps."""


@dataclass(frozen=True)
class Logged:
    """What MLflow is told of a run, all names valid there."""

    name: str
    key: str
    params: dict[str, str]
    metrics: dict[str, float]
    tags: dict[str, str]


@dataclass(frozen=True)
class Outcome:
    """Ids of the runs that were logged now, and of those that had been before."""

    logged: tuple[str, ...]
    before: tuple[str, ...]


def as_logged(run: Run) -> Logged:
    """Prepare a run; an undefined value or end of an interval is no metric."""
    model, settings = run.model, run.settings
    params: dict[str, object] = {
        "model": model.name,
        "family": model.family,
        "stage": model.stage,
        "quantization": model.quantization,
        "dtype": model.dtype,
        "chat_template": model.chat_template,
        "source": model.source,
        "tasks": ",".join(settings.tasks),
        "suite": settings.suite,
        "limit": settings.limit,
        "num_fewshot": settings.num_fewshot,
        "backend": settings.backend,
        "head": settings.head,
        "seed": settings.seed,
        "reference": settings.reference,
    }
    tags = {
        "lineup.run": run.id,
        "lineup.weights_id": model.weights_id,
        "lineup.lineage": " > ".join(model.lineage),
        "lineup.harness": run.environment.harness,
        "lineup.device": run.environment.device,
        "lineup.on_samples": str(run.on_samples).lower(),
    }
    return Logged(
        name=run.id,
        key=hashlib.sha256(run.id.encode()).hexdigest(),
        params={name: str(value)[:_LONGEST] for name, value in params.items() if value is not None},
        metrics=_metrics(run),
        tags=tags,
    )


def log_runs(runs: Sequence[StoredRun], store: str) -> Outcome:
    """Log runs to MLflow, each once however often it is asked for.

    Args:
        runs: with their folders, whose ``run.json`` becomes an artifact.
        store: the path of an SQLite file, beside which the artifacts lie; or the tracking URI of
            a server, which knows where its artifacts lie.

    Raises:
        HarnessError: MLflow is not installed.
        StorageError: the file cannot be written, or MLflow refuses, with its reason.
    """
    _prepare()
    if "://" not in store:
        with explained(Path(store)):  # MLflow would try for minutes
            Path(store).open("ab").close()
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient
    from sqlalchemy.exc import SQLAlchemyError

    logged, before = [], []
    try:
        client = MlflowClient(tracking_uri=_uri(store))
        experiment = _experiment(client, store)
        for stored in runs:
            found = as_logged(stored.run)
            if client.search_runs([experiment], f"tags.`{KEY}` = '{found.key}'", max_results=1):
                before.append(stored.run.id)
            else:
                _log(client, experiment, found, stored)
                logged.append(stored.run.id)
    except (MlflowException, SQLAlchemyError, OSError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise StorageError(f"MLflow cannot log to {store}: {reason}") from None
    return Outcome(tuple(logged), tuple(before))


def _metrics(run: Run) -> dict[str, float]:
    """The numbers by their names; those that would share one have a digest behind it."""
    found = list(_numbers(run))
    times = Counter(name for name, *_ in found)
    return {
        name if times[name] == 1 else f"{name}-{_short_digest(of)}": number
        for name, of, number in found
    }


def _short_digest(of: tuple[str, ...]) -> str:
    return hashlib.sha256(repr(of).encode("utf-8", "replace")).hexdigest()[:8]


def _numbers(run: Run) -> Iterator[tuple[str, tuple[str, ...], float]]:
    """A name that is valid in MLflow, what it is of, and the number."""
    for result in run.results.values():
        for metric, estimate in result.estimates.items():
            name = f"{_part(result.task)}/{_part(metric)}"
            ends = {"": estimate.value, ".low": estimate.low, ".high": estimate.high}
            for end, value in ends.items():
                if (number := known(value)) is not None:
                    yield name + end, (result.task, metric, end), number


def _part(text: str) -> str:
    """A piece of a metric's name: MLflow takes letters, digits and ``_-.: ``, and no ``..``."""
    return re.sub(r"[^\w.\-: ]+", ".", text).strip(".")[:100] or "_"


def _log(client: MlflowClient, experiment: str, found: Logged, stored: StoredRun) -> None:
    from mlflow.entities import Metric, Param

    began = begun(stored.run)
    started = int(began.timestamp() * 1000) if began else None
    made = client.create_run(experiment, started, tags=found.tags, run_name=found.name)
    of_run: str = made.info.run_id
    try:
        client.log_batch(
            of_run,
            metrics=[Metric(*each, made.info.start_time, 0) for each in found.metrics.items()],
            params=[Param(*each) for each in found.params.items()],
        )
        client.log_artifact(of_run, str(stored.folder.path / "run.json"))
        client.set_tag(of_run, KEY, found.key)  # last: a run that lacks it was not logged whole
    except BaseException:
        client.set_terminated(of_run, "FAILED")
        raise
    client.set_terminated(of_run, end_time=started and started + _duration(stored.run))


def _duration(run: Run) -> int:
    """Milliseconds that loading and scoring took."""
    costs = [result.cost for result in run.results.values()]
    seconds = run.load_seconds + sum(cost.seconds + cost.others_seconds for cost in costs)
    return int(seconds * 1000)


def _prepare() -> None:
    """Make sure that MLflow is here and keeps to itself.

    Raises:
        HarnessError: it is not here, or not what its SQLite store needs.
    """
    missing = [
        name
        for name in ("mlflow", "sqlalchemy", "alembic")
        if importlib.util.find_spec(name) is None
    ]
    if missing:
        raise HarnessError(
            f"--format mlflow needs what is not installed ({', '.join(missing)}): "
            f"{how_to_install('mlflow')}"
        )
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read while it is imported
    logging.getLogger("mlflow").setLevel(logging.WARNING)


def _experiment(client: MlflowClient, store: str) -> str:
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
    if (found := client.get_experiment_by_name(name)) is not None:
        return str(found.experiment_id)
    folder: dict[str, Any] = {}
    if "://" not in store:
        path = Path(store).absolute()
        folder["artifact_location"] = path.with_name(f"{path.stem}-artifacts").as_uri()
    return str(client.create_experiment(name, **folder))


def _uri(store: str) -> str:
    return store if "://" in store else f"sqlite:///{Path(store).absolute()}"
