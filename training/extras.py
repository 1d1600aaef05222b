"""The packages that steps need beyond a plain installation, and the extras that bring them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib import metadata

from harness.checkout import how_to_install, how_to_train, in_checkout
from harness.errors import TrainingError
from harness.step_options import options_class
from harness.zoo import ModelSpec, Zoo

DISTRIBUTION = "lineup-harness"


def missing(kinds: Iterable[str]) -> list[str]:
    """The packages that some kinds of step need and that are not installed, sorted."""
    needed = {name for kind in kinds for name in getattr(options_class(kind), "needs", ())}
    return sorted(name for name in needed if not _installed(name))


def loading_kinds(spec: ModelSpec, zoo: Zoo) -> list[str]:
    """The kinds of step whose packages are needed to load a finished model: those that quantize."""
    walk = zoo.lineage(spec.name)
    return [a.step.kind for a in walk if a.step is not None and a.quantization != "none"]


def extras_of(packages: Iterable[str]) -> list[str]:
    """The extras of this project that bring some packages, sorted."""
    return sorted({extra for package in packages if (extra := _extra(package))})


def check_installed(model: str, kinds: Iterable[str]) -> None:
    """Refuse to begin a build that would end for want of a package.

    Raises:
        TrainingError: names the packages and the command that installs them.
    """
    if lacking := missing(kinds):
        extras = extras_of(lacking)
        how = "; ".join(map(how_to_install, extras)) or f"pip install {' '.join(lacking)}"
        if in_checkout():
            how = f"`{how_to_train(model)}` installs what it needs, as does {how}"
        raise TrainingError(
            f"{model} cannot be built: {' and '.join(lacking)} "
            f"{'is' if len(lacking) == 1 else 'are'} not installed: {how}"
        )


def _extra(package: str) -> str | None:
    try:
        requirements = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        return None
    for requirement in requirements:
        name = re.match(r"[\w.-]+", requirement)
        extra = re.search(r"extra\s*==\s*['\"]([\w-]+)['\"]", requirement)
        if name and extra and _plain(name.group()) == _plain(package):
            return extra.group(1)
    return None


def _installed(package: str) -> bool:
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
