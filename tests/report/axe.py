"""The accessibility checker axe-core: fetched once with npm, run in a page by the browser.

It is a tool of the tests, never shipped and never committed. Its version and the digest of its file
are pinned here: a newer one may find what this one did not.
"""

from __future__ import annotations

import functools
import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.prepared import cache_folder
from harness.storage import write_atomic
from tests.report.browser import Browser

VERSION = "4.14.1"
FILE = "package/axe.min.js"
SHA256 = "e6b0ce02b84d892e2e33e403485e7f3d6c29e2be6df65daf44d89ba564139745"
"""Of the package as npm fetches it."""

SERIOUS = ("serious", "critical")

_FIRST_FOLDS = 80
"""How many folds are opened and checked. What is folded away is not looked at, and of the thousands
of a large page, which take minutes, those behind are drawn by the same lines of a template.
"""

_RUN = """
const folds = [...document.querySelectorAll('details')];
folds.slice(0, arguments[0]).forEach((fold) => { fold.open = true; });
folds.slice(arguments[0]).forEach((fold) => fold.remove());
return axe.run(document, {resultTypes: ['violations'], reporter: 'v1'}).then((found) =>
  found.violations.map((v) => ({
    rule: v.id, impact: v.impact, help: v.help,
    nodes: v.nodes.map((n) => [n.target.join(' '), n.html.slice(0, 200)])
  })));
"""


@dataclass(frozen=True)
class Finding:
    """A rule that a page breaks, and the first element that does."""

    rule: str
    impact: str
    help: str
    nodes: int
    first: str

    @property
    def serious(self) -> bool:
        return self.impact in SERIOUS


class NoAxe(Exception):
    """The checker cannot be had here; says why."""


def findings(chromium: Browser) -> list[Finding]:
    """What axe finds in the page that is open.

    It is run through the driver, which no Content-Security-Policy of the page restrains.
    """
    chromium.run(axe_source() + "\nwindow.axe = axe;")
    found: list[dict[str, Any]] = chromium.run(_RUN, _FIRST_FOLDS)
    return [
        Finding(
            each["rule"],
            each["impact"] or "",
            each["help"],
            len(each["nodes"]),
            " ".join(each["nodes"][0]),
        )
        for each in found
    ]


@functools.cache
def axe_source() -> str:
    """The checker's script, fetched into the cache on first use.

    Raises:
        NoAxe: there is no npm, it cannot fetch the package, or what it fetched is not the pinned
            file.
    """
    kept = cache_folder() / f"axe-core-{VERSION}.tgz"
    if not kept.is_file():
        write_atomic(kept, _fetched())
    content = kept.read_bytes()
    if (digest := hashlib.sha256(content).hexdigest()) != SHA256:
        raise NoAxe(f"{kept} is not axe-core {VERSION}: its sha256 is {digest}; remove it")
    with tarfile.open(kept) as package:
        member = package.extractfile(FILE)
        assert member is not None
        return member.read().decode("utf-8")


def _fetched() -> bytes:
    npm = shutil.which("npm")
    if npm is None:
        raise NoAxe("no npm to fetch axe-core with (apt-get install npm)")
    with tempfile.TemporaryDirectory() as folder:
        asked = [
            npm,
            "pack",
            f"axe-core@{VERSION}",
            "--loglevel=error",
            "--pack-destination",
            folder,
        ]
        try:
            done = subprocess.run(asked, cwd=folder, capture_output=True, text=True, timeout=300)
        except subprocess.TimeoutExpired:
            raise NoAxe(f"npm did not fetch axe-core {VERSION} within five minutes") from None
        made = list(Path(folder).glob("*.tgz"))
        if done.returncode or len(made) != 1:
            raise NoAxe(f"npm could not fetch axe-core {VERSION}: {done.stderr.strip()[-500:]}")
        return made[0].read_bytes()
