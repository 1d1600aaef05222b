"""The commands that an error advises: make's in a checkout, which sets up what they need, and the
plain ones of an installed wheel, where there is no Makefile.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from harness import __version__

PACKAGE = Path(__file__).resolve().parent

_BY_MAKE = ("quant", "train")
"""Extras with a target of the Makefile, which knows what they do to each other's versions."""


def in_checkout() -> bool:
    """Whether the Makefile lies beside the package."""
    return (PACKAGE.parent / "Makefile").is_file()


def how_to_eval(model: str = "") -> str:
    """The command that scores a model, or the default one."""
    name = shlex.quote(model)
    if in_checkout():
        return f"make eval MODEL={name}" if model else "make eval"
    return f"harness eval --model {name}" if model else "harness eval"


def how_to_ask(model: str) -> str:
    """The command that asks a model of a server."""
    return f"{how_to_eval(model)} {'BASE_URL=' if in_checkout() else '--base-url '}URL"


def how_to_train(model: str, force: bool = False) -> str:
    """The command that builds a model and the ancestors that it lacks, or builds it again."""
    if in_checkout():
        return f"make train MODEL={shlex.quote(model)}" + (" ARGS=--force" if force else "")
    return f"harness-train {shlex.quote(model)}" + (" --force" if force else "")


def how_to_accept(model: str) -> str:
    """The command that makes a model's newest run its baseline."""
    command = "make accept-baseline MODEL=" if in_checkout() else "harness accept "
    return command + shlex.quote(model)


def how_to_mix(mixture: str) -> str:
    """The command that makes a mixture of training data."""
    if in_checkout():
        return f"make data MIXTURE={mixture} DATA=dir"
    return f"harness-train data {mixture} --data dir"


def how_to_install(extra: str) -> str:
    """The command that installs an extra beside the harness, with the versions that it was tested
    with where they are known.
    """
    alone = " in an environment of its own, without constraints"
    if in_checkout():
        if extra == "vllm":
            return f"pip install -e '.[vllm]'{alone}"
        # What make sets up; of another environment, .venv's pip would install past it.
        if Path(sys.prefix).resolve() != (PACKAGE.parent / ".venv").resolve():
            # gptqmodel needs an older numpy than the other packages are tested with.
            options = "--no-build-isolation" if extra == "quant" else "-c constraints.txt"
            return f"pip install {options} -e '.[{extra}]'"
        if extra in _BY_MAKE:
            return f"make .venv/.installed-{extra}"
        return f".venv/bin/pip install -c constraints.txt -e '.[{extra}]'"
    if extra == "vllm":  # of its own: where no index knows the name, the wheel itself does
        return f"pip install './lineup_harness-{__version__}-py3-none-any.whl[vllm]'{alone}"
    isolation = "--no-build-isolation " if extra == "quant" else ""
    return f"pip install {isolation}'lineup-harness[{extra}]'"
