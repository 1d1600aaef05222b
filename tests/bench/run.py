"""`make bench`: the engine and lm-eval's `hf` model in turn, on the same weights and requests.

    python -m tests.bench.run --data DIR [--model smol] [--dtype bfloat16] [--work a,b] [--docs N]
        [--pairs 3] [--threads N] [--memory-limit GIB] [--growth] [--models-dir DIR] [--out DIR]

Exit code 1 if the answers disagree; a target that is missed is only printed.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import psutil

from harness.backends.backend import check_backend, check_dtype
from harness.catalog import Catalog, load_catalog
from harness.data import DataFolders, data_folders
from harness.environment import describe_environment
from harness.errors import HarnessError, UsageError
from harness.progress import note
from harness.sources import resolve
from harness.storage import write_atomic
from harness.zoo import load_zoo
from tests.bench.figure import draw
from tests.bench.measure import Tell, children, time_growth, time_work
from tests.bench.messages import Setup
from tests.bench.report import print_bench
from tests.bench.results import Bench, Growth, WorkResult, machine_slug
from tests.bench.works import GROWTH, GROWTH_DOCS, Work, ask, choose_works, nested

OUT = Path("reports/bench")
MODEL, DTYPE, BACKEND, PAIRS = "smol", "bfloat16", "hf", 3
MEMORY_SHARE = 0.8
"""Of what is free, where no limit is named: a child above it is killed before the machine is."""


def main(argv: Sequence[str] | None = None, tell: Tell = note) -> int:
    """Time everything, print it, write it."""
    options = _parse(argv)
    works = choose_works(options.work, options.docs)
    sizes = _sizes(options.growth)
    check_backend(options.backend)
    check_dtype(options.dtype)
    if options.pairs < 1:
        raise UsageError(f"--pairs {options.pairs}: a whole number, 1 or more")
    if not works and not sizes:
        raise UsageError("nothing to time: name works with --work, or add --growth")
    catalog = load_catalog()
    folders = data_folders(catalog.samples, options.data, False)
    if folders.mirror is None:
        raise UsageError("the benchmark needs real data: make bench DATA=dir, or --data DIR")
    setup, weights_id = _setup(options)
    limit = int(options.memory_limit * 2**30)

    # First, because it notices at once if there are too few docs.
    growth = _growth(setup, limit, sizes, catalog, folders, options.backend, tell)
    results: list[WorkResult] = []
    rate = 0.0
    for work in works:
        asked = ask(work, catalog, folders)
        with children(setup, asked, limit) as start:
            result, measured = time_work(work, asked, start, options.backend, options.pairs, tell)
        results.append(result)
        rate = max(rate, measured)
    bench = Bench(
        model=options.model,
        weights_id=weights_id,
        dtype=options.dtype,
        backend=options.backend,
        threads=options.threads,
        memory_limit=limit,
        pairs=options.pairs,
        rate=rate,
        environment=replace(
            describe_environment("cpu"),
            platform=f"{platform.system()} {platform.machine()}",
            threads=options.threads,
            device=next((r.model.device for r in results if r.model), "cpu"),
        ),
        works=tuple(results),
        growth=growth,
    )
    print_bench(bench)
    file = options.out / f"{_file_name(bench, options)}.json"
    write_atomic(file, msgspec.json.format(msgspec.json.encode(bench)) + b"\n")
    draw(bench, file.with_suffix(".svg"))
    tell(f"written: {file}")
    failed = any(result.failed for result in results) or bool(growth and growth.problem)
    return 1 if failed else 0


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", help="folder ORG/NAME/CONFIG/SPLIT.jsonl[.gz]")
    parser.add_argument("--model", default=MODEL)
    parser.add_argument("--models-dir", type=Path, help="folder org/name/ of weights")
    parser.add_argument("--dtype", default=DTYPE)
    parser.add_argument("--backend", default=BACKEND, help="held against lm-eval (default: hf)")
    parser.add_argument("--work", help="works, separated by commas (default: all)")
    parser.add_argument("--docs", type=int, help="docs of every work, instead of its own number")
    parser.add_argument("--pairs", type=int, default=PAIRS, help="rounds of both sides")
    parser.add_argument("--threads", type=int, default=_cores())
    parser.add_argument(
        "--memory-limit",
        type=float,
        metavar="GIB",
        default=MEMORY_SHARE * psutil.virtual_memory().available / 2**30,
        help="resident memory above which a child is killed (default: 80%% of what is free)",
    )
    parser.add_argument(
        "--growth",
        nargs="?",
        metavar="DOCS",
        const=",".join(map(str, GROWTH_DOCS)),
        help="time the engine on growing numbers of HellaSwag's docs (250,500,1000,2000)",
    )
    parser.add_argument("--out", type=Path, default=OUT)
    return parser.parse_args(argv)


def _sizes(growth: str | None) -> tuple[int, ...]:
    if growth is None:
        return ()
    try:
        sizes = tuple(sorted({int(part) for part in growth.split(",")}))
    except ValueError:
        sizes = ()
    if len(sizes) < 2 or sizes[0] < 1:
        raise UsageError(f"--growth {growth}: two or more numbers of docs, such as 250,500,1000")
    return sizes


def _setup(options: argparse.Namespace) -> tuple[Setup, str]:
    zoo = load_zoo()
    spec = zoo.get(options.model)
    artifact = resolve(spec, zoo, options.models_dir, note)
    setup = Setup(
        backend=options.backend,
        path=str(artifact.path.resolve()),
        tokenizer=str(artifact.tokenizer_path.resolve()),
        dtype=options.dtype,
        add_bos=spec.add_bos,
        trust_remote_code=spec.trust_remote_code,
        weights_id=artifact.weights_id,
        threads=options.threads,
        requests="",
    )
    return setup, artifact.weights_id


def _growth(
    setup: Setup,
    limit: int,
    sizes: tuple[int, ...],
    catalog: Catalog,
    folders: DataFolders,
    backend: str,
    tell: Tell,
) -> Growth | None:
    if not sizes:
        return None
    work: Work = replace(GROWTH, docs=sizes[-1])
    asked = nested(ask(work, catalog, folders))
    if len(asked.doc_sizes) < sizes[-1]:
        raise UsageError(f"--growth: the data has {len(asked.doc_sizes)} docs, not {sizes[-1]}")
    with children(setup, asked, limit) as start:
        return time_growth(asked, sizes, start, backend, tell)


def _file_name(bench: Bench, options: argparse.Namespace) -> str:
    """The machine's name; whatever is not the whole standard benchmark says so, and never takes
    the place of one that is.
    """
    machine = bench.environment
    name = machine_slug(machine.processor, machine.cores, machine.device)
    for value, standard in ((bench.model, MODEL), (bench.dtype, DTYPE), (bench.backend, BACKEND)):
        name += f"-{value}" if value != standard else ""
    part = options.work is not None or options.docs is not None or options.pairs < PAIRS
    return f"{name}-part" if part else name


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except HarnessError as error:
        print(f"bench: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
