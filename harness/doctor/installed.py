"""Python and the packages: what is here, what is outside its declared bounds, what extras bring."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import metadata

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet

from harness.checkout import how_to_install
from harness.doctor.finding import Finding

DISTRIBUTION = "lineup-harness"

SPARED: Mapping[str, str] = {
    "bert-score": "gsm8k_bertscore cannot be scored",
    "evaluate": "some of lm-eval's own tasks (lm-eval:NAME) cannot be scored",
    "jieba": "bleu4_char and rouge*_words cannot be computed",
    "matplotlib": "trained models get no curves of their losses",
    "nltk": "BLEU and ROUGE cannot be computed",
    "rouge-chinese": "rouge*_words cannot be computed",
    "rouge-score": "ROUGE cannot be computed",
}
"""Dependencies that scoring the embedded default does without, and what else needs them."""

EXTRAS: Mapping[str, str] = {
    "train": "models cannot be trained; int8 and nf4 ones (bitsandbytes) cannot be built or loaded",
    "quant": "GPTQ and AWQ models cannot be built or loaded (it brings an older numpy, 2.2.6)",
    "mlflow": "runs cannot be logged to MLflow (harness export --format mlflow)",
    "ray": "work cannot be spread over processes and machines (--executor ray)",
    "vllm": "vLLM cannot answer (its FastAPI and numpy are older than those of constraints.txt)",
}
"""Extra to what cannot be done without it. `make extras` prints which of them can be installed
together."""

VersionOf = Callable[[str], str | None]
RequirementsOf = Callable[[str], Iterable[str]]


def version_of(package: str) -> str | None:
    """An installed distribution's version; ``None`` where it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def requirements_of(package: str) -> Iterable[str]:
    """What an installed distribution requires, as it declares it."""
    try:
        return metadata.requires(package) or ()
    except metadata.PackageNotFoundError:
        return ()


def python_finding() -> Finding:
    """Whether this Python is one that the project was tested with."""
    version = platform.python_version()
    try:
        bounds = metadata.metadata(DISTRIBUTION)["Requires-Python"] or ""
    except (metadata.PackageNotFoundError, KeyError):
        bounds = ""
    here = f"{version} at {sys.executable}"
    if SpecifierSet(bounds).contains(version, prereleases=True):
        return Finding("ok", "python", here)
    return Finding(
        "note", "python", f"{here}, outside {bounds}", "nothing was tested with it", "Python 3.11"
    )


def package_findings(
    version: VersionOf = version_of, requirements: RequirementsOf = requirements_of
) -> Iterator[Finding]:
    """The packages that a plain installation needs, then the extras.

    Args:
        version: of an installed package, by its name.
        requirements: of an installed package, by its name.
    """
    declared = _read(requirements(DISTRIBUTION))
    if not declared:
        yield Finding(
            "note",
            "packages",
            f"{DISTRIBUTION} is not installed, only imported",
            "what it depends on, and in which versions, is not known",
            "make setup in a checkout; elsewhere pip install the wheel",
        )
        return
    base = [each for each in declared if not _extras(each)]
    wrong = [finding for each in base if (finding := _checked(each, version, _base_cost))]
    yield from wrong
    if not wrong:
        yield Finding("ok", "packages", f"{len(base)} that are needed, all within their bounds")
    for extra in sorted({extra for each in declared for extra in _extras(each)}):
        if extra in EXTRAS:
            members = [each for each in declared if extra in _extras(each)]
            yield from _extra(extra, members, version)
    yield from _contradictions((each.name for each in declared), version, requirements)


def _extra(extra: str, members: list[Requirement], version: VersionOf) -> Iterator[Finding]:
    cost, how = EXTRAS[extra], how_to_install(extra)
    lacking = sorted(each.name for each in members if version(each.name) is None)
    if lacking:
        yield Finding("note", f"[{extra}]", f"not installed: {', '.join(lacking)}", cost, how)
    else:
        here = ", ".join(f"{each.name} {version(each.name)}" for each in members)
        yield Finding("ok", f"[{extra}]", here)
    for each in members:
        if version(each.name) is not None and (finding := _checked(each, version, lambda _: "")):
            yield finding


def _checked(
    required: Requirement, version: VersionOf, cost: Callable[[str], str]
) -> Finding | None:
    """What is wrong with a package; ``None`` where it is here in a version that is declared."""
    name, here, mend = required.name, version(required.name), f"pip install '{_bare(required)}'"
    if here is None:
        spared = cost(name)
        if spared:
            return Finding("note", name, "not installed", spared, mend)
        return Finding("missing", name, "not installed", "nothing can be scored without it", mend)
    if required.specifier.contains(here, prereleases=True):
        return None
    return Finding(
        "note",
        name,
        f"{here} is outside {required.specifier}",
        "nothing was tested with it: scores may differ, or something may fail",
        mend,
    )


def _base_cost(name: str) -> str:
    return SPARED.get(name, "")


def _contradictions(
    names: Iterable[str], version: VersionOf, requirements: RequirementsOf
) -> Iterator[Finding]:
    """Packages of ours that want another version of something than is here."""
    for name in sorted(set(names)):
        if version(name) is None:
            continue
        for wanted in _read(requirements(name)):
            if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
                continue
            here = version(wanted.name)
            if here is not None and not wanted.specifier.contains(here, prereleases=True):
                yield Finding(
                    "note",
                    name,
                    f"{version(name)} wants {_bare(wanted)}, and {here} is here",
                    "it was not tested with that",
                    f"pip install '{_bare(wanted)}', or an environment of its own for one of them",
                )


def _read(lines: Iterable[str]) -> list[Requirement]:
    found = []
    for line in lines:
        try:
            found.append(Requirement(line))
        except InvalidRequirement:  # another project's metadata, of an older form
            continue
    return found


def _extras(required: Requirement) -> set[str]:
    """The extras that bring a requirement; none for one that always holds."""
    if required.marker is None or required.marker.evaluate({"extra": ""}):
        return set()
    return {extra for extra in (*EXTRAS, "dev") if required.marker.evaluate({"extra": extra})}


def _bare(required: Requirement) -> str:
    return f"{required.name}{required.specifier}"
