"""Every threat in SECURITY.md names tests that exist; every attack here is of a threat."""

from __future__ import annotations

import re

from tests.conftest import REPOSITORY

_PAGE = (REPOSITORY / "SECURITY.md").read_text("utf-8")
_THREATS = _PAGE.partition("## Threats")[2].partition("\n## ")[0].split("\n- ")[1:]
_TEST = re.compile(r"`(tests/[\w/]+\.py)`")


def test_every_threat_says_what_is_done_and_names_its_tests() -> None:
    assert len(_THREATS) >= 20
    for threat in _THREATS:
        assert re.match(r"\*\*[^*]+\*\*[^:]*: \S", threat), threat
        named = _TEST.findall(threat)
        assert named, threat
        for test in named:
            assert (REPOSITORY / test).is_file(), f"{test} is not there: {threat}"


def test_every_attack_is_of_a_threat() -> None:
    attacks = {
        f"tests/strangers/{p.name}" for p in (REPOSITORY / "tests/strangers").glob("test_*.py")
    }
    assert attacks - set(_TEST.findall(_PAGE)) == {"tests/strangers/test_security_page.py"}
