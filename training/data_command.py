"""``harness-train data MIXTURE``: makes a mixture of training data, with its data card.

Prints what it will read, then what came of it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from harness.data_card import DataCard
from harness.errors import UsageError
from harness.parser import Parser
from harness.progress import note
from harness.report.data_pages import write_card_pages
from harness.report.wording import counted
from training.data.mixture.built import mixture_folder
from training.data.mixture.declared import Mixture
from training.data.mixture.licences import UNKNOWN
from training.data.mixture.making import Place, check_licences, make
from training.data.mixture.mixtures_file import check_not_shipped, find_mixture
from training.data_folder import data_folder
from training.meter import open_meter


def run(argv: Sequence[str]) -> int:
    """Run the command; returns its exit code.

    Raises:
        HarnessError: as `training.data.mixture.making.make`.
    """
    options = _parser().parse(argv)
    if options.limit is not None and options.limit < 1:
        raise UsageError(f"--limit {options.limit}: a number of rows of each source, at least 1")
    mixture = find_mixture(options.mixture, options.mixtures)
    if options.mixtures is not None and options.out is None:
        check_not_shipped(mixture, options.mixtures)
    data = data_folder(options.data)
    out = options.out or mixture_folder(mixture.name, options.limit)
    check_licences(mixture)
    for line in _intention(mixture, options.limit):
        print(line)
    print(f"into {out}", flush=True)
    with open_meter() as meter:
        card = make(mixture, Place(data, out, options.limit, note), meter)
    for line in _outcome(card):
        print(line)
    page, _ = write_card_pages(card, options.reports)
    print(f"rows and data_card.json: {out}")
    print(f"page: {page}")
    return 0


def _parser() -> Parser:
    parser = Parser(prog="harness-train data", description=__doc__)
    parser.add_argument("mixture", metavar="MIXTURE", help="a name in mixtures.yaml")
    parser.add_argument("--data", type=Path, metavar="DIR", help="holds ORG/NAME/CONFIG/SPLIT")
    parser.add_argument("--out", type=Path, metavar="DIR", help="the folder to make")
    parser.add_argument("--limit", type=int, metavar="N", help="read N rows of each source only")
    parser.add_argument("--mixtures", type=Path, metavar="FILE", help="the mixtures to read")
    parser.add_argument(
        "--reports",
        type=Path,
        default=Path(os.environ.get("HARNESS_REPORTS") or "reports"),
        metavar="DIR",
        help="where the mixture's page is written (default: reports/)",
    )
    return parser


def _intention(mixture: Mixture, limit: int | None) -> list[str]:
    lines = [f"{mixture.name}: {mixture.about}"]
    for taken in mixture.sources:
        amount = "all rows" if taken.at_most is None else f"at most {taken.at_most:,}"
        source = taken.source
        lines.append(f"  {source.name}: {amount} of {source.place} ({source.licence})")
    unknown = [taken.source.name for taken in mixture.sources if taken.source.licence == UNKNOWN]
    if unknown:
        lines.append(f"  licence not known, so nobody permits anything: {', '.join(unknown)}")
    if limit is not None:
        lines.append(f"  of the first {counted(limit, 'row')} of each: a trial")
    return lines


def _outcome(card: DataCard) -> list[str]:
    lines = [f"{card.mixture}: {card.rows:,} {card.kind}"]
    for stage in card.stages:
        dropped = ", ".join(f"{count:,} {rule}" for rule, count in stage.dropped.items())
        lines.append(
            f"  {stage.name}: {stage.went_in:,} {stage.unit_in} in, {stage.came_out:,} "
            f"{stage.unit_out} out" + (f" ({dropped})" if dropped else "")
        )
    for split in card.splits:
        lines.append(
            f"  {split.file}: {split.rows:,} {card.kind} on {counted(split.questions, 'question')}"
        )
    return lines
