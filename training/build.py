"""Builds what a plan says, one step after the other; whatever ends it leaves nothing half-made.

A step fills ``.<recipe>.partial`` beside its final place, and gets there by one rename after its
lineage.json was written and synced. Its checkpoints lie in ``.<recipe>.scratch``, which outlives an
interruption. One process at a time makes an artifact.
"""

from __future__ import annotations

import errno
import importlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from harness import weights
from harness.errors import HarnessError, Interrupted, StorageError, TrainingError, WeightsError
from harness.lineage import built_folder, write_lineage
from harness.presence import presence
from harness.recipe import all_options
from harness.report import wording
from harness.sources import Artifact, resolve
from harness.storage import alone, explained, write_atomic
from harness.zoo import ModelSpec, Step, Zoo
from training.data.sets import check_name
from training.extras import check_installed
from training.leftovers import BEGUN, abandoned, beside
from training.lineage import changed_files, data_cards, data_files, describe, versions
from training.plan import Station
from training.step import Made, Work

Tell = Callable[[str], None]
_NO_ROOM = (
    "No space left on device",
    "Disk quota exceeded",
    "PytorchStreamWriter failed writing",
    # What torch.save says of a file that ended before its time: the optimizer's, mostly.
    "unexpected pos",
    "iostream error",
)
_NO_MEMORY = ("can't allocate memory", "out of memory")


@dataclass(frozen=True)
class Site:
    """What all steps of a build share.

    Attributes:
        zoo: the registry.
        models_dir: folder that holds ``org/name/``.
        data: the user's data folder.
        tell: takes one line for the user.
    """

    zoo: Zoo
    models_dir: Path | None
    data: Path | None
    tell: Tell


def check_plan(plan: Sequence[Station], data: Path | None) -> None:
    """Refuse, before anything is built, what could not be finished.

    Args:
        plan: what is to be done.
        data: the user's data folder, if there is one.

    Raises:
        TrainingError: a package is not installed, or as `check_steps`.
        UnknownName, DataError: as `check_steps`.
    """
    steps = [s.spec.step for s in plan if s.action != "keep" and s.spec.step is not None]
    check_installed(plan[-1].spec.name, [step.kind for step in steps])
    check_steps(plan, data)


def check_steps(plan: Sequence[Station], data: Path | None) -> None:
    """Refuse what could not be finished whatever is installed.

    Args:
        plan: what is to be done.
        data: the user's data folder, if there is one.

    Raises:
        TrainingError: this version cannot run a kind of step, or a step begins from rounded
            weights.
        UnknownName, DataError: there are no such rows to learn from.
    """
    for parent, station in pairwise(plan):
        if station.action == "keep" or station.spec.step is None:
            continue
        if parent.spec.quantization != "none":
            raise TrainingError(
                f"{station.spec.name}: its parent {parent.spec.name} is quantized "
                f"({parent.spec.quantization}), and rounded weights cannot be trained or rounded "
                f"again: make it from a model that is not quantized, such as "
                f"{parent.spec.parent or 'the weights before rounding'}, and quantize the result"
            )
        options, _ = _prepared(station.spec.step)
        if hasattr(options, "data"):
            check_name(options.data, data)


def build(plan: Sequence[Station], site: Site) -> None:
    """Do what a plan says, from the root on.

    Raises:
        TrainingError: a step cannot be done or failed.
        WeightsError: the root cannot be had, or a parent changed while its child was made.
        StorageError: the cache cannot be written.
        Interrupted: the user stopped it; what is finished stays, the rest is resumed.
    """
    check_plan(plan, site.data)
    made = [built_folder(station.spec, site.zoo) for station in plan if station.action != "keep"]
    if left := abandoned(made):
        site.tell(left)
    for parent, station in pairwise(plan):
        if station.action == "keep":
            continue
        try:
            origin = resolve(parent.spec, site.zoo, site.models_dir, site.tell)
            folder = built_folder(station.spec, site.zoo)
            with ExitStack() as held:
                with explained(folder):
                    held.enter_context(alone(folder, site.tell))
                if not _still_fits(station, origin, site):
                    _make(station.spec, origin, folder, site)
        except KeyboardInterrupt:
            raise Interrupted(
                f"stopped while {station.spec.name} was built; what was finished is kept, and the "
                "same command goes on from there"
            ) from None


def _still_fits(station: Station, origin: Artifact, site: Site) -> bool:
    """Whether it is there and was made from the parent and the data as they are now: its parent
    was built again with the same outcome, or another process made it while this one waited.
    """
    found = presence(station.spec, site.zoo, site.models_dir)
    if found.lineage is None or station.action == "rebuild" or changed_files(found.lineage):
        return False
    if found.lineage.parent_weights_id == origin.weights_id:
        site.tell(f"{station.spec.name}: is there, made from {origin.name} as it is now")
        return True
    site.tell(
        f"{station.spec.name}: was made from other weights of {origin.name}, and is built again"
    )
    return False


def _make(spec: ModelSpec, origin: Artifact, folder: Path, site: Site) -> None:
    assert spec.step is not None
    options, run = _prepared(spec.step)
    partial = beside(folder, "partial")
    with explained(partial):
        _empty(partial)
        scratch, resumed = _scratch(folder, origin, site, spec.name)
    work = Work(
        name=spec.name,
        parent=origin.path,
        tokenizer=origin.tokenizer_path,
        out=partial,
        scratch=scratch,
        data=site.data,
        trust_remote_code=spec.trust_remote_code,
        tell=site.tell,
    )
    doing = "resuming" if resumed else "building"
    site.tell(f"{spec.name}: {doing} it from {origin.name} ({spec.step.kind})")
    files = data_files(all_options(spec.step))
    cards = data_cards(all_options(spec.step))
    try:
        started = time.perf_counter()
        with _failures_explained(spec):
            made: Made = run(options, work)
        seconds = time.perf_counter() - started
        _check_result(spec, partial)
        _check_parent(spec, origin, site)
        lineage = describe(
            spec, site.zoo, origin, partial, made, files, cards, seconds, resumed, site.tell
        )
        with explained(folder):
            _sync(partial)
            write_lineage(partial, lineage)
            _place(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    shutil.rmtree(beside(folder, "scratch"), ignore_errors=True)
    size = presence(spec, site.zoo, site.models_dir).disk_bytes
    took = wording.seconds(seconds)
    site.tell(f"{spec.name}: built in {took}, {wording.size(size)}: {folder}")


def _prepared(step: Step) -> tuple[Any, Callable[[Any, Work], Made]]:
    """The step's own options, typed, and the function that does it."""
    module = importlib.import_module(f"training.steps.{step.kind}")
    run = getattr(module, "run", None)
    if run is None:
        raise TrainingError(
            f"the step {step.kind!r} has no function run in {module.__file__}: this version can "
            "check its recipes, and not do it"
        )
    return module.Options(**step.options), run


def _scratch(folder: Path, origin: Artifact, site: Site, model: str) -> tuple[Path, bool]:
    """The step's scratch folder, and whether an interrupted attempt of the same left any there.

    What was begun from other weights, other data or other versions is not continued.
    """
    place = beside(folder, "scratch")
    inner, note = place / "step", place / BEGUN
    begun = {
        "parent_weights_id": origin.weights_id,
        "data": str(site.data.resolve()) if site.data else None,
        "packages": versions(),
    }
    try:
        before = json.loads(note.read_bytes())
    except (OSError, ValueError):
        before = None
    kept = inner.is_dir() and any(inner.iterdir())
    if kept and before == begun:
        return inner, True
    if kept:
        site.tell(
            f"{model}: begins anew: its parent, the data folder or package versions are not those "
            "of the attempt that was interrupted"
        )
    _empty(place)
    inner.mkdir()
    write_atomic(note, json.dumps(begun))
    return inner, False


@contextmanager
def _failures_explained(spec: ModelSpec) -> Iterator[None]:
    """Turn what libraries raise for want of room, memory or a package into words; a failure that
    none of these explains stays as it is.
    """
    assert spec.step is not None
    try:
        yield
    except HarnessError:
        raise
    except ModuleNotFoundError as error:
        raise TrainingError(
            f"{spec.name}: the step {spec.step.kind} needs the package {error.name}, which is not "
            "installed"
        ) from error
    except Exception as error:
        said = str(error)
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        if full or any(part in said for part in _NO_ROOM):
            raise StorageError(
                f"{spec.name}: the disk is full: free some room, then run the same command again; "
                "it goes on from the last checkpoint"
            ) from error
        if isinstance(error, MemoryError) or any(part in said for part in _NO_MEMORY):
            smaller = [n for n in ("batch_size", "max_length") if n in all_options(spec.step)]
            raise TrainingError(
                f"{spec.name}: too little memory for the step {spec.step.kind}"
                + (f": a smaller {' or '.join(smaller)} takes less" if smaller else "")
            ) from error
        raise


def _check_result(spec: ModelSpec, out: Path) -> None:
    """A step that leaves no whole checkpoint has failed, whatever it returned."""
    try:
        weights.check_folder(out, spec.name)
    except WeightsError as error:
        raise TrainingError(f"the step left no whole checkpoint: {error}") from None
    if not spec.tokenizer and not weights.tokenizer_files(weights.file_names(out)):
        raise TrainingError(f"{spec.name}: the step left no tokenizer in {out}")


def _check_parent(spec: ModelSpec, origin: Artifact, site: Site) -> None:
    parent = site.zoo.get(origin.name)
    now = resolve(parent, site.zoo, site.models_dir).weights_id
    if now != origin.weights_id:
        raise WeightsError(
            f"{parent.name} changed while {spec.name} was made from it: what was made belongs to "
            "neither; run the same command again"
        )


def _place(partial: Path, folder: Path) -> None:
    """Move a finished folder to its place; what stood there stays until then."""
    former = beside(folder, "former")
    shutil.rmtree(former, ignore_errors=True)
    if folder.exists():
        folder.rename(former)
    partial.rename(folder)
    _sync_entry(folder.parent)
    shutil.rmtree(former, ignore_errors=True)


def _sync(folder: Path) -> None:
    for path in sorted(folder.rglob("*")):
        _sync_entry(path)
    _sync_entry(folder)


def _sync_entry(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _empty(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
