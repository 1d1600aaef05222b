"""`harness report`: the site of all runs, or a suite's results beside published figures."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.catalog import Catalog, load_catalog
from harness.checkout import how_to_eval
from harness.errors import RecordError, UsageError, closest
from harness.progress import note
from harness.published import load_published
from harness.records import Run
from harness.report.published import Asked, SuiteTable, suite_table
from harness.run_folder import RunFolder, list_runs
from harness.storage import in_turn, remove_parts, write_atomic
from harness.zoo import load_zoo

if TYPE_CHECKING:
    from harness.report.run_files import AllPages

FRONT_PAGES = ("index.html", "leaderboard.md", "leaderboard.html")


def run(options: argparse.Namespace) -> int:
    """Run the command; ``--model`` chooses what is printed, the files are always of all runs."""
    if options.suite:
        return _report_suite(options)
    from rich.console import Console

    from harness.report.html import run_page
    from harness.report.leaderboard import narrowed_to
    from harness.report.site import leaderboard_json, parse_leaderboard, read_runs
    from harness.report.terminal import print_leaderboard

    readable, damaged = read_runs(_folders(options.reports))
    finished = [record for _, record in readable if record.results]
    if not any(options.model in (None, record.model.name) for record in finished):
        for line in damaged:
            note(f"left out: {line}")
        of_model = near = ""
        if options.model:
            of_model = f" of model {options.model!r}"
            near = closest(options.model, {record.model.name for record in finished})
        raise RecordError(
            f"no finished run{of_model}{near} (looked in {Path(options.reports) / 'runs'}); "
            f"score a model first, with `{how_to_eval()}`"
        )
    pages = _all_pages(readable, options)
    written = publish_reports(options.reports, pages)
    board = parse_leaderboard(written["leaderboard.json"].read_bytes())
    if options.model:
        board = narrowed_to(board, options.model)
    if options.json:
        print(leaderboard_json(board).decode("utf-8"), end="")
        return 0
    print_leaderboard(board, Console())
    for name in FRONT_PAGES:
        note(f"report: {written[name]}")
    if pages:
        note(f"report: {written[f'html/{run_page(pages.run)}']}")
        if pages.why:
            note(f"token borders are not shown: {pages.why}")
    return 0


def publish_reports(reports: Path, asked: AllPages | None = None) -> dict[str, Path]:
    """Write the site over all runs, all pages of the run that is asked for, and remove the pages of
    runs that are gone; returns files by their name.
    """
    # In turn: of two at once, one could write what it had read before the other's run was done.
    with in_turn(Path(reports)):
        return _published(Path(reports), asked)


def _published(reports: Path, asked: AllPages | None) -> dict[str, Path]:
    from harness.report.html import run_page
    from harness.report.run_files import remove_strays
    from harness.report.site import PAGES, write_leaderboard

    written = write_leaderboard(_folders(reports), reports, asked)
    # Looked at again: another process may have made a run, and its pages, meanwhile.
    by_folder = {run_page(folder.path.name) for folder in _folders(reports)}
    for folder in (reports, reports / PAGES, reports / "compare"):
        remove_parts(folder)
    remove_strays(reports / PAGES, by_folder | {path.name for path in written.values()})
    return written


def _all_pages(
    readable: Sequence[tuple[RunFolder, Run]], options: argparse.Namespace
) -> AllPages | None:
    """What ``--pages`` and ``--tokens`` ask for."""
    if options.pages is None:
        if options.tokens:
            raise UsageError("--tokens goes with --pages RUN, which draws all pages of that run")
        return None
    from harness.report.run_files import AllPages
    from harness.report.token_borders import NoBorders, borders_of

    run = _run_of(options.pages, readable, options)
    if not options.tokens:
        return AllPages(run.id)
    try:
        return AllPages(run.id, borders_of(run, load_zoo(options.zoo)))
    except NoBorders as error:
        return AllPages(run.id, why=str(error))


def _run_of(
    name: str, readable: Sequence[tuple[RunFolder, Run]], options: argparse.Namespace
) -> Run:
    """The run of that id or in the folder of that name, finished or not; the newest complete one of
    the model of that name; or the last of all.
    """
    from harness.commands.show_command import last_run
    from harness.commands.stored import runs_of
    from harness.compare import StoredRun
    from harness.report.newest import created

    if not name.strip():
        raise UsageError("--pages names no run: name one (`harness list runs`), a model, or 'last'")
    if name == "last":
        name = last_run(Path(options.reports) / "runs")[0].path.name
    for folder, run in readable:
        if name in (run.id, folder.path.name):
            return run
    stored = [StoredRun(run, folder) for folder, run in readable]
    stored.sort(key=lambda each: (created(each.run), each.run.id), reverse=True)
    return runs_of(name, stored, load_zoo(options.zoo), options)[0].run


def _report_suite(options: argparse.Namespace) -> int:
    from harness.report.site import read_runs

    if options.pages is not None or options.tokens:
        raise UsageError("--suite draws no runs' pages: leave --pages and --tokens out")
    if options.model:
        raise UsageError("--suite prints all models beside each other: leave --model out")
    catalog = load_catalog(options.tasks_dir)
    tasks = {
        name: [choice.task for choice in suite.tasks] for name, suite in catalog.suites.items()
    }
    published = load_published(catalog.folder, tasks, options.suite)
    readable, damaged = read_runs(_folders(options.reports))
    table = suite_table(
        published,
        _asked(catalog, options.suite),
        [record for _, record in readable],
        load_zoo(options.zoo).models,
        damaged,
    )
    _publish_suite(table, options)
    return 0


def _asked(catalog: Catalog, suite: str) -> dict[str, Asked]:
    """What a suite asks of each of its tasks."""
    asked = {}
    for choice in catalog.suite(suite).tasks:
        shots = choice.num_fewshot
        if shots is None:
            shots = catalog.task(choice.task).default_fewshot
        asked[choice.task] = Asked(shots, choice.limit)
    return asked


def _publish_suite(table: SuiteTable, options: argparse.Namespace) -> None:
    import msgspec
    from rich.console import Console

    from harness.report.html_published import published_html
    from harness.report.markdown_published import published_markdown
    from harness.report.terminal_published import print_published

    pages = {"md": published_markdown(table), "html": published_html(table)}
    written = [Path(options.reports) / f"{table.suite}.{kind}" for kind in pages]
    for path, page in zip(written, pages.values(), strict=True):
        write_atomic(path, page)
    publish_reports(options.reports)  # whose index names the page, and to whose pages it links
    if options.json:
        print(msgspec.json.format(msgspec.json.encode(table)).decode("utf-8"))
        return
    print_published(table, Console())
    for path in written:
        note(f"report: {path}")


def _folders(reports: Path) -> list[RunFolder]:
    return [RunFolder(path) for path in list_runs(Path(reports) / "runs")]
