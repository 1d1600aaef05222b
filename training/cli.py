"""``harness-train MODEL``: builds a model of the registry and the ancestors that are missing.

``harness-train data`` makes a mixture of training data, ``harness-train answers`` samples answers,
``harness-train rank`` has a judge rank them; each has its own ``--help``.

Exit codes are those of `harness`: 0 done, 1 failed, 2 wrong use, 130 stopped by the user.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from types import FrameType

from harness.checkout import how_to_eval
from harness.credentials import struck_out
from harness.errors import HarnessError, Interrupted, UsageError
from harness.lineage import built_folder
from harness.parser import Parser
from harness.plain_text import defused_output, printable
from harness.presence import models_folder
from harness.progress import note
from harness.recipe import all_options
from harness.report.wording import counted
from harness.sources import resolve
from harness.zoo import Step, Zoo, load_zoo
from training.build import Site, build, check_plan, check_steps
from training.data_folder import data_folder
from training.estimate import roughly
from training.extras import extras_of, loading_kinds, missing
from training.leftovers import remove_leftovers
from training.plan import Station, make_plan

COMMANDS = {
    "answers": "training.ranking.answers_command",
    "data": "training.data_command",
    "rank": "training.ranking.rank_command",
}
"""Words that stand in the place of MODEL, each with the module that does it."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    signal.signal(signal.SIGTERM, _interrupt)
    with defused_output():
        try:
            return _run(arguments)
        except HarnessError as error:
            print(f"harness-train: {printable(struck_out(str(error)))}", file=sys.stderr)
            return error.exit_code
        except KeyboardInterrupt:
            print("harness-train: stopped", file=sys.stderr)
            return Interrupted.exit_code


def _run(arguments: list[str]) -> int:
    if arguments and arguments[0] in COMMANDS:
        command = import_module(COMMANDS[arguments[0]])
        return int(command.run(arguments[1:]))
    options = _parser().parse(arguments)
    return _needs(options) if options.needs else _train(options)


def _parser() -> Parser:
    parser = Parser(prog="harness-train", description=__doc__)
    parser.add_argument("model", metavar="MODEL", help="a name in model_zoo.yaml")
    parser.add_argument("--zoo", type=Path, metavar="FILE", help="the registry to read")
    parser.add_argument("--models", type=Path, metavar="DIR", help="holds org/name/ of hub models")
    parser.add_argument("--data", type=Path, metavar="DIR", help="holds ORG/NAME/CONFIG/SPLIT")
    parser.add_argument("--plan", action="store_true", help="say what would be done, and stop")
    parser.add_argument(
        "--force",
        action="store_true",
        help="build MODEL although it is there; go on although a root has changed",
    )
    parser.add_argument(
        "--needs",
        action="store_true",
        help="print what MODEL lacks before it can be scored: extras, and the word build",
    )
    return parser


def _train(options: argparse.Namespace) -> int:
    zoo = load_zoo(options.zoo)
    data, _ = data_folder(options.data), models_folder(options.models)
    plan = _plan(options, zoo, data)
    if not options.plan:
        for station in plan:
            if station.action == "keep" and station.spec.step is not None:
                remove_leftovers(built_folder(station.spec, zoo))
    print(" -> ".join(station.spec.name for station in plan))
    for station in plan:
        print(f"  {_line(station, max(len(s.spec.name) for s in plan))}")
        if options.plan and station.spec.step is not None:
            print("\n".join(f"      {line}" for line in _options(station.spec.step)))
    wanted, todo = plan[-1], _to_build(plan)
    if not todo:
        if wanted.spec.step is None and wanted.presence.state != "present":
            raise UsageError(
                f"{wanted.spec.name} is not made by a step: "
                f"`{how_to_eval(wanted.spec.name)}` fetches it"
            )
        print(f"{wanted.spec.name} is present: nothing to build.")
        return 0
    print(f"{counted(len(todo), 'model')} to build: {_how_long(todo, _start(plan))}.", flush=True)
    if options.plan:  # what is not installed, `make train` installs
        check_steps(plan, data)
        return 0
    build(plan, Site(zoo, options.models, data, note))
    return 0


def _plan(options: argparse.Namespace, zoo: Zoo, data: Path | None) -> tuple[Station, ...]:
    """The plan; a root that is built from and missing is fetched first: its size tells how long
    all will take.
    """
    plan = make_plan(zoo, options.model, options.models, options.force)
    if options.plan or not _to_build(plan) or _start(plan).presence.state == "present":
        return plan
    check_plan(plan, data)
    resolve(_start(plan).spec, zoo, options.models, note)
    return make_plan(zoo, options.model, options.models, options.force)


def _to_build(plan: Sequence[Station]) -> list[Station]:
    return [station for station in plan if station.action != "keep"]


def _start(plan: Sequence[Station]) -> Station:
    """What building starts from: the station before the first that is to be built."""
    return next(before for before, station in pairwise(plan) if station.action != "keep")


def _needs(options: argparse.Namespace) -> int:
    """Say it in words that a Makefile can act on; imports nothing heavy. What is wrong with the
    name is left to the command that follows.
    """
    zoo = load_zoo(options.zoo)
    if options.model not in zoo.models:
        return 0
    spec = zoo.get(options.model)
    if spec.step is None:
        return 0
    plan = make_plan(zoo, options.model, options.models, options.force)
    todo = _to_build(plan)
    kinds = [station.spec.step.kind for station in todo if station.spec.step is not None]
    lacking = missing([*kinds, *loading_kinds(spec, zoo)])
    print(" ".join([*extras_of(lacking), *(["build"] if todo else [])]))
    return 0


def _line(station: Station, width: int) -> str:
    name = f"{station.spec.name:<{width}}"
    if station.action == "keep":
        return f"{name}  {station.presence.state}, {station.presence.detail}"
    kind = station.spec.step.kind if station.spec.step is not None else ""
    return f"{name}  to build ({kind}), {roughly(station.seconds)}: {station.why}"


def _how_long(todo: Sequence[Station], start: Station) -> str:
    if start.presence.state != "present":
        return f"how long is told by the size of {start.spec.name}, which is not here yet"
    known = [station.seconds for station in todo if station.seconds is not None]
    if len(known) == len(todo):
        return roughly(sum(known))
    if not known:
        return "nothing of the kind was built here yet that would tell how long it takes"
    return f"{roughly(sum(known))} for {len(known)} of them, and nothing tells for the others"


def _options(step: Step) -> list[str]:
    return [
        f"{name}: {value}" + ("" if name in step.options else " (default)")
        for name, value in all_options(step).items()
    ]


def _interrupt(signum: int, frame: FrameType | None) -> None:
    """Let SIGTERM end a build as Ctrl-C does."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
