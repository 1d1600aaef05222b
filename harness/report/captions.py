"""The sentences around a leaderboard: what is surely better, and how to read the table."""

from __future__ import annotations

from harness.records import NoiseFloor
from harness.report.board import Cell, Column, Delta, Section
from harness.report.wording import clean, counted, listed, metric_heading, small


def headline(section: Section) -> str:
    """Say in one sentence which model is surely the best at what."""
    contested = [
        column
        for position, column in enumerate(section.columns)
        if sum(row.cells[position] is not None for row in section.rows) > 1
    ]
    if not contested:
        return "No two models share a column yet, so none can be called better."
    wins = {
        row.label: [
            column.label
            for column, cell in zip(section.columns, row.cells, strict=True)
            if cell is not None and cell.surely_best
        ]
        for row in section.rows
    }
    parts = [f"{model} on {listed(labels)}" for model, labels in wins.items() if labels]
    undecided = len(contested) - sum(map(len, wins.values()))
    if not parts:
        return "In no column is one model surely better than all the others."
    said = "Surely best: " + "; ".join(parts) + "."
    if undecided:
        plural = "column" if undecided == 1 else "columns"
        said += f" In {undecided} other shared {plural} no model is surely ahead of all others."
    return said


BEST = "surely the best of its column: its 95% interval overlaps no other model's"

DELTA_KEY = " Δ: change from the parent, paired by doc."

HOW_TO_READ = (
    "A figure is the estimate with its 95% interval. Where nothing is marked, no model is surely "
    "better than all the others, which does not mean that they are equal: a paired comparison of "
    "two models on the same docs can tell smaller differences apart. Intervals are not corrected "
    "for the number of models. A column with unscored docs, with an interval that is undefined or "
    "without width, or of a bias score whose aim lies between its ends, marks nothing.",
    "Results stand in one column only if they are of the same work: task version, data, docs, "
    "prompts, shots and chat template. The newest result counts.",
    "Under a figure stands what the model changed from its parent: the paired difference on the "
    "same docs with its 95% interval, where the parent has a result in the column and the docs of "
    "both are here. Better or worse is said where p < 0.05 after Holm's adjustment for all of the "
    "table.",
    "Time covers the results in the row, without loading; peak memory is the highest of them. Rows "
    "with different tasks differ in time for that reason alone. They are of the newest run that "
    "asked the model everything; where none did, the time is that of the questions that the "
    "journal could not answer. Tokens/s are generated tokens by `harness speed`, which asks every "
    "model the same texts on one machine, in turn; the tokens/s of a run, which mix reading and "
    "writing as its tasks do, stand on its page.",
)

ABOUT_NOISE = (
    "A noise floor is what rounding alone does: the same model answered the same docs again in "
    "other batches. Between two models, a flip rate or a shift of log-probabilities that is no "
    "larger says nothing about the models."
)


def noise_words(noise: NoiseFloor) -> str:
    """Say what another batch layout changed: ``2 of 50 docs change ...``."""
    left_out = f"; {counted(noise.unscored, 'doc')} left out, unscored" if noise.unscored else ""
    if not noise.docs:
        return f"noise floor: no doc could be compared{left_out}"
    of_docs = f"{noise.changed:,} of {counted(noise.docs, 'doc')}"
    parts = [f"{of_docs} {'changes' if noise.changed == 1 else 'change'} between two batch layouts"]
    if noise.largest_change is not None and not noise.largest_change.is_integer():
        parts.append(f"largest change of a doc's value {small(noise.largest_change)}")
    if noise.logprob_largest is not None and noise.logprob_mean is not None:
        largest, mean = small(noise.logprob_largest), small(noise.logprob_mean)
        parts.append(f"largest log-probability change {largest} nats, mean {mean}")
    return f"noise floor: {', '.join(parts)}{left_out}"


def noise_layouts(noise: NoiseFloor) -> str:
    """Name the two layouts."""
    return " against ".join(clean(layout) for layout in noise.layouts)


def noise_notes(section: Section) -> list[str]:
    """Say what was measured of a section's results: model, column, noise floor."""
    return [
        f"{row.label}, {column.label}: {noise_words(cell.noise)}"
        for row in section.rows
        for column, cell in zip(section.columns, row.cells, strict=True)
        if cell is not None and cell.noise is not None
    ]


def machines_note(section: Section) -> str:
    """Warn where times were measured on different machines, else ``""``."""
    machines = {machine for row in section.rows for machine in row.costs.machines}
    if len(machines) < 2:
        return ""
    return f"Times are from different machines: {'; '.join(sorted(machines))}."


def cell_marks(cell: Cell) -> list[str]:
    """List what qualifies a result: docs that could not be scored, lost context."""
    marks = []
    if cell.unscored:
        marks.append(f"{cell.unscored:,} of {cell.docs:,} unscored")
    if cell.truncated:
        marks.append(f"{cell.truncated:,} truncated")
    return marks


def delta_mark(delta: Delta) -> str:
    """Say in a sign and a word what is sure of a difference, ``""`` where nothing is."""
    return {"better": "▲ better", "worse": "▼ worse"}.get(delta.verdict, "")


def is_probed(section: Section) -> bool:
    """Whether the speed probe covers any of the models."""
    return any(row.costs.decode is not None for row in section.rows)


def has_deltas(section: Section) -> bool:
    """Whether any figure has a difference from the parent's."""
    return any(cell is not None and cell.delta for row in section.rows for cell in row.cells)


def column_metric(column: Column) -> str:
    """Write a column's metric with unit and direction: ``acc_norm, % ↑``."""
    return metric_heading(column.metric, column.unit, column.higher_is_better)


def column_note(column: Column) -> str:
    """Say what a column holds, for the list below the table."""
    shots = f"{column.num_fewshot}-shot"
    docs = counted(column.docs, "doc")
    if column.groups:
        docs += f" in {counted(column.groups, 'group')}"
    if column.limit is not None:
        docs += f", limit {column.limit:,}"
    chat = "chat template" if column.chat_template else "no chat template"
    return f"{shots}, {docs}, {chat}, task version {clean(column.version)}"


def column_data(column: Column) -> str:
    """Name the data sets behind a column and where they came from."""
    named = sorted(
        {clean(f"{data.dataset} {data.config or ''}") + f" ({data.origin})" for data in column.data}
    )
    if len(named) <= 2:
        return ", ".join(named)
    return f"{named[0]} and {len(named) - 1} more"
