"""What the method page says, as data, as HTML and as Markdown."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.records import Run
from harness.report import write_leaderboard
from harness.report.html_method import method_html
from harness.report.markdown import code
from harness.report.markdown_method import method_markdown
from harness.report.method import DataUse, Method, OtherUse, build_method
from harness.report.method_tables import MANY, metric_texts, tables
from harness.run_folder import RunFolder
from tests.report.fixtures.runs import (
    HOSTILE_NAME,
    ends,
    proportion,
    realistic,
    result,
    run,
    stored,
)


def divergence(**changes: Any) -> Run:
    """Two tasks with a metric of one name in two units, asked of a parent, one also of a judge."""
    texts = replace(ends(0.02, 0.01, 0.03, unit="nats/token", higher=False), method="by texts")
    choices = replace(ends(0.1, 0.0, 0.2, unit="score", higher=False), method="by docs")
    parent = {"parent": "smol (0123456789abcdef)"}
    return run(
        "smol-dpo",
        [
            result("divergence_wikitext2", texts, "kl", others=parent),
            result(
                "divergence_choices",
                choices,
                "kl",
                others={**parent, "minilm": "minilm (fedcba9876543210, layer 5)"},
            ),
        ],
        **changes,
    )


def test_a_metric_is_one_entry_with_all_its_tasks_units_and_methods() -> None:
    method = build_method([divergence(), run("smol", [result("arc_easy", proportion(0.5, 9))])])
    acc, kl = method.metrics
    assert (acc.key, acc.tasks, acc.directions) == ("acc", ("arc_easy",), (True,))
    assert kl.tasks == ("divergence_choices", "divergence_wikitext2")
    assert kl.units == ("nats/token", "score")
    assert kl.intervals == ("by docs", "by texts")
    assert kl.meaning is not None and "parent's, in nats" in kl.meaning.what
    said = metric_texts(method)
    assert [each.scale for each in said] == [
        "shown in %, higher is better ↑",
        "nats/token, lower is better ↓",
    ]


def test_what_is_lm_evals_own_is_said_to_be() -> None:
    """Its acc may be anything; ours, of one name, keeps its entry."""
    runs = [
        run("a", [result("arc_easy", proportion(0.5, 9))]),
        run("b", [result("lm-eval:odd", proportion(0.5, 9))]),
        run("c", [result("mine", proportion(0.5, 9), "wit")]),
    ]
    said = {each.tasks: each for each in metric_texts(build_method(runs))}
    assert "likeliest" in said["arc_easy",].what
    assert said["lm-eval:odd",].name == "acc"
    assert said["lm-eval:odd",].what.startswith("As lm-eval defines it")
    assert said["mine",].what.startswith("No explanation is written")
    assert said["mine",].formula == ""


def test_judges_and_parents_are_listed_once_with_what_they_were_asked_for() -> None:
    method = build_method([divergence(), divergence(created="2026-03-02T12:00:00+00:00")])
    assert method.others == (
        OtherUse("minilm (fedcba9876543210, layer 5)", ("minilm",), ("divergence_choices",)),
        OtherUse(
            "smol (0123456789abcdef)",
            ("parent",),
            ("divergence_choices", "divergence_wikitext2"),
        ),
    )


def test_equal_settings_are_counted_and_others_are_told_apart() -> None:
    four = result("arc_easy", proportion(0.5, 4), limit=4)
    runs = [
        run("smol", [four], created=f"2026-03-0{day}T00:00:00+00:00", id=f"run-{day}")
        for day in (1, 2, 3)
    ]
    runs.append(run("smol", [four], chat_template=True, id="run-chat"))
    runs.append(run("smol", [replace(four, limit=None)], dtype="float32", id="run-32"))
    method = build_method(runs)
    assert [(use.limit, use.chat_template, use.runs) for use in method.tasks] == [
        (4, False, 3),
        (4, True, 1),
        (None, False, 1),
    ]
    assert [use.runs for use in method.machines] == [5]
    assert [(use.commits, use.runs) for use in method.versions] == [
        (("0123456789abcdef0123456789abcdef01234567",), 5)
    ]
    assert [(use.dtype, use.chat_template, use.runs) for use in method.models] == [
        ("bfloat16", False, 3),
        ("bfloat16", True, 1),
        ("float32", False, 1),
    ]


def test_data_is_listed_by_what_it_resolved_to() -> None:
    """One data set from the folder, for two tasks, and once from the hub."""
    found = result("arc_easy", proportion(0.5, 9))
    (record,) = found.data
    of_hub = replace(record, origin="hub", revision="c0ffee")
    runs = [
        run("smol", [found, replace(found, task="arc_easy_answer")]),
        run("qwen", [replace(found, data=(of_hub,))]),
    ]
    hub, mirror = build_method(runs).data
    assert (hub.origin, hub.revision, hub.tasks) == ("hub", "c0ffee", ("arc_easy",))
    assert mirror == DataUse(
        "allenai/ai2_arc",
        "ARC-Easy",
        "mirror",
        "",
        tuple(record.files.items()),
        ("arc_easy", "arc_easy_answer"),
    )
    rows = next(table for table in tables(build_method(runs)) if table.id == "data").rows
    assert [row[3].text for row in rows] == ["test", "revision", "test"]


def test_commands_are_newest_first_and_a_rescored_run_says_from_what() -> None:
    old = run("smol", [], created="2026-03-01T00:00:00+00:00", id="old")
    new = run("smol", [], created="2026-03-02T01:00:00+02:00", id="new")
    again = replace(old, id="again", created="2026-03-01T23:30:00+00:00", rescored_from="old")
    method = build_method([old, again, new])
    assert [each.run_id for each in method.commands] == ["again", "new", "old"]
    rows = next(table for table in tables(method) if table.id == "commands").rows
    assert rows[0][-1].text == "scored again from the answers of old"
    assert rows[2][-1] == replace(rows[2][-1], text=old.command, code=True)


def both(method: Method) -> list[str]:
    return [method_html(method), method_markdown(method)]


def test_both_formats_say_the_same() -> None:
    method = build_method([*realistic(), divergence()] * 2, ["torn cannot be read: <b>"])
    assert len(method.commands) > MANY
    for page in both(method):
        for heading in [table.title for table in tables(method)]:
            assert heading in page
        assert "0123456789ab" in page and "lm_eval 0.4.13" in page
        assert "harness eval --model smol-dpo-int4 --suite card" in page
        assert "tongyi-qianwen-research" in page
        assert "torn cannot be read: &lt;b&gt;" in page
        assert "argmax over choices of logp(choice | prompt)" in page
    page, markdown = both(method)
    for metric in metric_texts(method):
        assert page.count(f"<h3>{metric.name} ") == 1
    assert page.count("<details") == markdown.count("<details>") == markdown.count("</details>")
    digest = method.tasks[0].prompt_digest[:8]
    assert f"<code>{digest}</code>" in page and f"`{digest}`" in markdown


def test_markdown_tables_have_as_many_cells_in_every_row() -> None:
    hostile = run(HOSTILE_NAME, [result("a|b", proportion(0.5, 4))], command="a | b `c` | d")
    lines = method_markdown(build_method([hostile, *realistic()])).splitlines()
    rows = [line for line in lines if line.startswith("|")]
    assert any("`` a \\| b `c` \\| d ``" in row or "``a \\| b `c` \\| d``" in row for row in rows)
    widths = {len(re.findall(r"(?<!\\)\|", row)) - 1 for row in rows if "a \\| b" in row}
    assert widths == {4}


def test_code_shows_exactly_its_characters() -> None:
    assert code("a`b") == "``a`b``"
    assert code("`a``") == "``` `a`` ```"
    assert code("a\nb\x1b") == "`a b`"
    assert code("") == ""


def test_hostile_names_are_text() -> None:
    hostile = run(
        HOSTILE_NAME,
        [result(HOSTILE_NAME, proportion(0.5, 4), HOSTILE_NAME, others={"<b>": HOSTILE_NAME})],
        id="hostile/<run>",
        command=HOSTILE_NAME,
        licence=HOSTILE_NAME,
    )
    page, markdown = both(build_method([hostile]))
    assert page.count("<script>") == 1 and "<b>" not in page and 'href="javascript' not in page
    assert "hostile/&lt;run&gt;" in page
    outside = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", markdown)
    assert "<script>" not in outside and "](javascript" not in outside.replace("\\]", "")
    assert "\x1b" not in page + markdown and "\u202e" not in page + markdown


def test_no_runs_say_so() -> None:
    page, markdown = both(build_method([]))
    assert "There is no run yet" in page and "There is no run yet" in markdown
    assert "<table" not in page


def test_a_damaged_run_is_named_beside_the_others(tmp_path: Path) -> None:
    good = stored(tmp_path / "runs" / "good", realistic()[0], {})
    torn = RunFolder(tmp_path / "runs" / "torn")
    torn.create()
    (torn.path / "run.json").write_text('{"schema": 1, "id": ')
    written = write_leaderboard([torn, good], tmp_path / "out")
    for name in ("method.html", "method.md", "index.html"):
        text = written[name].read_text("utf-8")
        assert "torn cannot be read" in text and "smol" in text
