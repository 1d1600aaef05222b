"""The order of runs in time."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from harness.records import Run


def created(run: Run) -> datetime:
    """When a run began, as recorded; before all others where that is no time."""
    return begun(run) or datetime.min.replace(tzinfo=UTC)


def begun(run: Run) -> datetime | None:
    """When a run began, as recorded: in UTC where no zone is; ``None`` where that is no time."""
    try:
        time = datetime.fromisoformat(run.created)
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def newest_first(runs: Iterable[Run]) -> list[Run]:
    """The runs, the newest first; of one time, the greater id."""
    return sorted(runs, key=lambda run: (created(run), run.id), reverse=True)
