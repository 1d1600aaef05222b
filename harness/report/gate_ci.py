"""The gate's outcome for machines: JUnit XML, and GitHub's annotations and step summary."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

from harness.gate.decide import Outcome
from harness.gate.drops import Drop
from harness.gate.limits import Limit
from harness.report.gate import STATES, headline, rows
from harness.report.wording import clean


def junit_xml(outcome: Outcome) -> bytes:
    """JUnit XML: a case per task and limit and one over all docs.

    A drop beyond its margin is a failure; one that too few docs leave open is skipped, unless it
    stops the change, which the case ``verdict`` says.
    """
    suite = ElementTree.Element("testsuite", name=_plain(f"gate {outcome.profile}"))
    for drop, row in zip(outcome.tested, rows(outcome), strict=True):
        _of_drop(suite, drop, " ".join(row))
    for limit in outcome.limits:
        _of_limit(suite, limit)
    verdict = _case(suite, "verdict")
    if outcome.exit_code:
        ElementTree.SubElement(verdict, "failure", message=_plain(headline(outcome)))
    for key, tag in (("failures", "failure"), ("skipped", "skipped"), ("tests", "testcase")):
        suite.set(key, str(sum(1 for _ in suite.iter(tag))))
    ElementTree.indent(suite)
    written: bytes = ElementTree.tostring(suite, encoding="utf-8", xml_declaration=True)
    return written + b"\n"


def workflow_commands(outcome: Outcome) -> list[str]:
    """GitHub workflow commands: an error or warning for what is not in order."""
    kind = {"fail": "error", "underpowered": "error" if outcome.blocks else "warning"}
    if outcome.verdict not in kind:
        return [f"::notice title=gate::{_escaped(headline(outcome))}"]
    return [f"::{kind[outcome.verdict]} title=gate::{_escaped(headline(outcome))}"]


def _of_drop(suite: ElementTree.Element, drop: Drop, told: str) -> None:
    case = _case(suite, f"{drop.task} {drop.metric}")
    message = _plain(told)
    if drop.state == "fails":
        ElementTree.SubElement(case, "failure", message=message)
    elif drop.state == "open":
        ElementTree.SubElement(case, "skipped", message=f"{STATES['open']}: {message}")


def _of_limit(suite: ElementTree.Element, limit: Limit) -> None:
    case = _case(suite, f"limit {limit.name}")
    if not limit.holds:
        source = f" ({limit.source})" if limit.source else ""
        message = f"{limit.value}{source} is over the limit of {limit.limit:g} {limit.unit}"
        ElementTree.SubElement(case, "failure", message=message)


def _case(suite: ElementTree.Element, name: str) -> ElementTree.Element:
    return ElementTree.SubElement(suite, "testcase", classname="gate", name=_plain(name))


def _plain(text: str) -> str:
    """A text on one line without what XML cannot hold or a reader of it would obey."""
    return "".join(c for c in clean(text) if c not in "\ufffe\uffff")


def _escaped(text: str) -> str:
    """A text as the data of a workflow command: it cannot end it or begin another."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
