"""A run's docs cut into pages: all of them, in order, small, found from the first page."""

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from itertools import chain
from pathlib import Path

import pytest

from harness.cli import main
from harness.records import Run
from harness.report import write_leaderboard
from harness.report.html import anchor, run_page
from harness.report.ordered_rows import OrderedRows, shared_beginning
from harness.report.run_page import run_pages
from harness.run_folder import RunFolder
from tests.report.fixtures.long_run import CHILD, DOCS, EXAMPLES, LONG, PARENT, answers, write
from tests.report.fixtures.runs import choice_row, proportion, result, run, stored

Drawn = dict[str, str]


@pytest.fixture
def reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write(tmp_path, monkeypatch)
    return tmp_path


@pytest.fixture
def pages(reports: Path) -> Drawn:
    """The child's pages by their name, in their order."""
    return drawn(reports)


def drawn(reports: Path) -> Drawn:
    number, found = 1, {}
    while (path := reports / "html" / run_page(CHILD.id, number)).exists():
        found[path.name] = path.read_text("utf-8")
        number += 1
    return found


def numbers(page: str) -> list[int]:
    return [int(number) for number in re.findall(r'<span class="number">(\d+)', page)]


def test_every_doc_is_on_one_page_in_the_tasks_order(pages: Drawn) -> None:
    assert [*pages][:3] == ["a%2C2%2F%25.html", "a%2C2%2F%25,2.html", "a%2C2%2F%25,3.html"]
    assert [*chain(*map(numbers, pages.values()))] == list(range(DOCS))
    assert all(numbers(page) for page in pages.values())


def test_pages_lead_to_each_other_and_say_where_they_are(pages: Drawn) -> None:
    names = [name.replace("%", "%25").replace(",", "%2C") for name in pages]
    for at, page in enumerate([*pages.values()][1:], 1):
        after = [names[at + 1]] if at + 1 < len(names) else []
        for kind, expected in (("previous", [names[at - 1]]), ("up", names[:1]), ("next", after)):
            found = re.findall(f'class="turn {kind}" href="([^"]+)"', page)
            assert found == expected * 2, (at, kind)
        shown = numbers(page)
        place = f"mmlu: {len(shown)} of 60 docs, numbers {shown[0]} to {shown[-1]}</span>"
        assert page.count(place) == 2
        assert 'href="../leaderboard.html"' in page


def test_the_first_page_counts_what_is_on_each(pages: Drawn) -> None:
    """Right are the multiples of 3, of the parent those of 2: multiples of 6 are so in both."""
    table = next(iter(pages.values()))
    rows = re.findall(r'<tr><th scope="row" class="left"><a.*?</tr>', table, re.DOTALL)
    assert len(rows) == len(pages)
    kinds = re.search(r'<table class="plain pages">.*?</thead>', table, re.DOTALL)
    assert kinds
    heads = re.findall(r'<th scope="col">([^<]+)', kinds[0])
    assert heads == ["right", "wrong", "right here only", "right there only"]
    for row, page in zip(rows, pages.values(), strict=True):
        on = numbers(page)
        counts = [
            sum(number % 3 == 0 for number in on),
            sum(number % 3 != 0 for number in on),
            sum(number % 3 == 0 and number % 2 != 0 for number in on),
            sum(number % 3 != 0 and number % 2 == 0 for number in on),
        ]
        cells = re.findall(r"<td>(?:<a [^>]+>)?(\d+)", row)
        assert [int(cell) for cell in cells] == counts
    link = f'{[*pages][1]}#turned=lost"'.replace("%", "%25").replace(",", "%2C")
    assert f'href="{link}' in table


def test_examples_are_on_a_page_once(pages: Drawn) -> None:
    for page in pages.values():
        groups = {"anatomy" if number < 30 else "virology" for number in numbers(page)}
        for subject in EXAMPLES:
            needed = subject in groups and numbers(page) != [LONG]
            assert page.count(f"Questions about {subject}.") == needed
    long = next(page for page in pages.values() if LONG in numbers(page))
    assert "992,000 characters not shown" in long
    marked = re.search(r"after <a href=\"#([^\"]+)\">the ([\d,]+) characters", long)
    assert marked and f'<pre id="{marked[1]}"' in long
    assert int(marked[2].replace(",", "")) == len(EXAMPLES["virology"])


def test_pages_are_less_than_two_megabytes(tmp_path: Path) -> None:
    """Two tasks of 300 docs with 20,000 characters each that grow fivefold when escaped."""
    made = run("smol", [result(task, proportion(0.5, 300)) for task in ("arc_easy", "mmlu")])
    rows = [choice_row(index, True, prompt="'<" * 10_000) for index in range(300)]
    folder = stored(tmp_path / "r", made, {"arc_easy": rows, "mmlu": rows})
    names, sizes, docs, last = [], [], 0, ""
    for last, page in run_pages(folder, made):
        names.append(last)
        sizes.append(len(page.encode()))
        docs += len(numbers(page))
    assert docs == 600 and max(sizes) < 2_000_000 and min(sizes) > 100_000
    assert last == run_page(made.id) and len(names) > 5
    assert page.count("<h3 id=") == 2 and len(numbers(page)) > 10, "both tasks are on the first"


def test_a_run_scored_again_loses_the_pages_that_it_does_not_need(
    reports: Path, pages: Drawn
) -> None:
    task = replace(CHILD.results["mmlu"], docs=4)
    few = [row for row in answers(3) if row.index < 4]
    folder = stored_again(reports, replace(CHILD, results={"mmlu": task}), few)
    other = reports / "html" / "a,2.html"
    other.write_text("another run's")
    written = write_leaderboard([folder], reports)
    assert len(pages) > 3 and [*drawn(reports)] == [run_page(CHILD.id)]
    assert [name for name in written if name.startswith("html")] == ["html/a%2C2%2F%25.html"]
    assert other.exists()


def stored_again(reports: Path, made: object, rows: object) -> RunFolder:
    folder = reports / "runs" / "child"
    (folder / "rows" / "mmlu.jsonl").unlink()
    for kept in (folder / "rows", folder):
        for file in kept.glob("*.json*"):
            file.unlink()
        kept.rmdir()
    return stored(folder, made, {"mmlu": rows})  # type: ignore[arg-type,dict-item]


def test_pages_are_kept_until_one_is_missing(reports: Path, pages: Drawn) -> None:
    folders = [RunFolder(reports / "runs" / name) for name in ("parent", "child")]
    third = reports / "html" / [*pages][2]
    third.write_text("kept")
    again = write_leaderboard(folders, reports)
    assert third.read_text() == "kept"
    assert {f"html/{name}" for name in pages} <= {*again}
    (reports / "html" / [*pages][3]).unlink()
    write_leaderboard(folders, reports)
    assert drawn(reports) == pages


def test_further_pages_of_a_large_run_are_drawn_when_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("harness.report.run_files.DRAWN_DOCS", DOCS - 1)
    write(tmp_path, monkeypatch)
    (only,) = drawn(tmp_path).values()
    shown = len(numbers(only))
    assert f"This page shows the first {shown} of 60 docs" in only
    assert f"`harness report --pages {CHILD.id}` draws pages for all" in only
    where = ["--reports", str(tmp_path)]
    assert main(["report", "--pages", "child", *where]) == 0
    assert run_page(CHILD.id) in capsys.readouterr().err
    whole = drawn(tmp_path)
    assert [*chain(*map(numbers, whole.values()))] == list(range(DOCS))
    assert "harness report --pages" not in next(iter(whole.values()))
    assert not (tmp_path / "html" / run_page(PARENT.id, 2)).exists()
    folder = tmp_path / "runs" / "child"
    (folder / "run.json").write_bytes((folder / "run.json").read_bytes() + b"\n")
    assert main(["report", *where]) == 0
    assert [*drawn(tmp_path)] == [*whole], "a run that had all pages keeps all"


def test_pages_of_an_unknown_run_are_wrong_use(
    reports: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", "--pages", "chold", "--reports", str(reports)]) == 2
    assert "unknown model or run 'chold': did you mean 'child'?" in capsys.readouterr().err
    assert main(["report", "--pages", "child", "--suite", "card"]) == 2
    assert "leave --pages and --tokens out" in capsys.readouterr().err
    for name, said in (("", "--pages is empty"), (" ", "--pages names no run")):
        assert main(["report", "--pages", name, "--reports", str(reports)]) == 2
        assert said in capsys.readouterr().err
    record = reports / "runs" / "child" / "run.json"
    record.write_text(record.read_text("utf-8").replace('"schema": ', '"schema": 99'), "utf-8")
    assert main(["report", "--pages", "child", "--reports", str(reports)]) == 1
    error = capsys.readouterr().err
    assert "child/run.json: schema 99" in error and "unknown model" not in error


@pytest.mark.parametrize("name", ["last", CHILD.model.name, CHILD.id, "child"])
def test_pages_of_the_last_run_and_of_a_models_newest(
    name: str, reports: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.utime(reports / "runs" / "parent" / "run.json", (1, 1))
    older = replace(CHILD, id="older", created="2020-01-01T00:00:00+00:00")
    folder = stored(reports / "runs" / "older", older, {"mmlu": list(answers(3))})
    os.utime(folder.path / "run.json", (1, 1))
    assert main(["report", "--pages", name, "--reports", str(reports)]) == 0
    said = capsys.readouterr().err
    assert f"report: {reports / 'index.html'}" in said.splitlines()
    assert said.splitlines()[-1] == f"report: {reports / 'html' / run_page(CHILD.id)}"


def test_pages_of_a_run_that_is_gone_are_removed(reports: Path, pages: Drawn) -> None:
    """Not those of a damaged run, nor what somebody else put there."""
    mine = reports / "html" / "mine.html"
    mine.write_text("<h1>mine</h1>")
    (reports / "runs" / "child").rename(reports / "gone")
    torn = stored(reports / "runs" / "torn", replace(PARENT, id="torn"), {"mmlu": list(answers(2))})
    assert main(["report", "--reports", str(reports)]) == 0
    assert not drawn(reports) and len(pages) > 3
    (torn.path / "run.json").write_text("{")
    assert main(["report", "--reports", str(reports)]) == 0
    left = {path.name.partition(",")[0].removesuffix(".html") for path in mine.parent.iterdir()}
    assert left == {"mine", "torn", run_page(PARENT.id).removesuffix(".html")}


def test_two_runs_with_one_id_do_not_share_pages(reports: Path) -> None:
    shutil.copytree(reports / "runs" / "parent", reports / "runs" / "parent copy")
    assert main(["report", "--reports", str(reports)]) == 0
    board = (reports / "leaderboard.md").read_text("utf-8")
    assert f"parent copy: two runs have the id {PARENT.id}, see parent" in board


def test_no_two_tasks_have_one_anchor() -> None:
    tasks = ["a+b", "a.2Bb", "a.b", "a%b", "a.begin-0", "ü", "a_b-c~d"]
    found = {anchor(task) for task in tasks}
    assert len(found) == len(tasks)
    assert all(re.fullmatch(r"task-[\w.~-]+", each, re.ASCII) for each in found)
    assert anchor("mmlu") == "task-mmlu" and anchor("a.b") == "task-a.2Eb"


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [
        ("a" * 200 + "\n\nb" * 9 + " one", "a" * 200 + "\n\nb" * 9 + " two", 200 + 8 * 3 + 2),
        ("a" * 200 + "\nuser: one", "a" * 200 + "\nuser: two", 201),
        ("a" * 190 + "\n\none", "a" * 190 + "\n\ntwo", 0),
        ("a" * 300, "a" * 300, 0),
        ("", "", 0),
    ],
)
def test_what_two_prompts_begin_with_ends_with_a_paragraph(
    one: str, other: str, shared: int
) -> None:
    """Of nine paragraphs ``b`` the last goes on differently, so that eight are shared."""
    assert shared_beginning(one, other) == one[:shared]


def test_a_prompt_that_begins_otherwise_leaves_the_others_theirs(tmp_path: Path) -> None:
    begin = "Example.\n\n" * 30
    prompts = [begin + "one", begin + "two", "other", begin + "three", begin]
    rows = [choice_row(index, True, prompt=text) for index, text in enumerate(prompts)]
    made = run("smol", [result("arc_easy", proportion(0.5, 5))])
    folder = stored(tmp_path / "r", made, {"arc_easy": rows})
    with OrderedRows(folder, "arc_easy") as found:
        assert found.beginnings == {None: begin}
        assert [row.prompt for row in found] == prompts
    (page,) = dict(run_pages(folder, made)).values()
    prompts_shown = re.findall(r'<pre class="prompt"[^>]*>\n(.*?)</pre>', page, re.DOTALL)
    assert prompts_shown == ["one", "two", "other", "three", begin]


def two_tasks(where: Path) -> tuple[RunFolder, Run]:
    rows = [choice_row(index, True) for index in range(3)]
    made = run("smol", [result(task, proportion(0.5, 3)) for task in ("arc_easy", "mmlu")])
    return stored(where, made, {"arc_easy": rows, "mmlu": rows}), made


@pytest.mark.parametrize(
    ("keep", "here"), [(slice(2), 2), (slice(0), 0), ([0, 1, 1], 2), ([0, 1, 2, 0], 3)]
)
def test_docs_that_are_not_here_are_counted(
    keep: slice | list[int], here: int, tmp_path: Path
) -> None:
    """Rows cut at a line's end, none, and one that stands twice."""
    folder, made = two_tasks(tmp_path / "r")
    path = folder.rows_path("mmlu")
    lines = path.read_text("utf-8").splitlines(keepends=True)
    kept = lines[keep] if isinstance(keep, slice) else [lines[number] for number in keep]
    path.write_text("".join(kept), "utf-8")
    (page,) = dict(run_pages(folder, made)).values()
    assert numbers(page) == [0, 1, 2, *range(here)]
    assert page.count("docs are here: the file of rows is not whole") == int(here != 3)
    assert (f"{here} of 3 docs are here" in page) == (here != 3)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def turn(path: Path) -> None:
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[::-1]))


def empty(path: Path) -> None:
    path.write_bytes(b"")


def replace_file(path: Path) -> None:
    path.rename(path.with_suffix(".before"))
    path.write_bytes(b"")


def changing(monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None], rows: Path) -> None:
    """Let a file change after its rows were found and before they are drawn."""
    enter = OrderedRows.__enter__

    def then_change(opened: OrderedRows) -> OrderedRows:
        if opened._path == rows:
            change(rows)
        return enter(opened)

    monkeypatch.setattr(OrderedRows, "__enter__", then_change)


@pytest.mark.parametrize(
    ("change", "left"), [(cut, [0, 1]), (turn, []), (empty, []), (replace_file, [0, 1, 2])]
)
def test_rows_that_change_while_they_are_drawn_cost_the_rest_of_their_task(
    change: Callable[[Path], None], left: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new file in the old one's place disturbs nothing: the old one is still open."""
    folder, made = two_tasks(tmp_path / "runs" / "r")
    changing(monkeypatch, change, folder.rows_path("mmlu"))
    write_leaderboard([folder], tmp_path)
    page = (tmp_path / "html" / run_page(made.id)).read_text("utf-8")
    assert numbers(page) == [0, 1, 2, *left]
    said = re.findall(r"The docs end early: .*mmlu\.jsonl changed while it was read", page)
    assert len(said) == (change is not replace_file)


def test_a_parents_rows_that_change_cost_only_its_answers(
    reports: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [RunFolder(reports / "runs" / name) for name in ("parent", "child")]
    changing(monkeypatch, empty, folders[0].rows_path("mmlu"))
    write_leaderboard(folders[::-1], reports / "again")
    pages = drawn(reports / "again")
    assert [*chain(*map(numbers, pages.values()))] == list(range(DOCS))
    assert (reports / "again" / "html" / run_page(PARENT.id)).exists()


def test_the_measurement_draws_what_it_wrote(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tests.bench.reports import main as measure

    assert measure([str(tmp_path), "--runs", "2", "--docs", "5"]) == 0
    assert re.fullmatch(
        r"[\d.]+ s, [\d.]+ s of the processor, [\d,]+ MB\n", capsys.readouterr().out
    )
    pages = sorted((tmp_path / "html").iterdir())
    assert [numbers(page.read_text("utf-8")) for page in pages] == [[0, 1, 2, 3, 4]] * 2
    assert any('class="side"' in page.read_text("utf-8") for page in pages)
