"""What figures share: colours that colour-blind readers tell apart, how names stand in them, and
how they are written: as one SVG that is readable on a light and on a dark page.
"""

from __future__ import annotations

import io
import warnings
from typing import Any

from harness.report.wording import clean

# Of Okabe and Ito's palette.
BLUE, ORANGE, GREY, INK = "#0072B2", "#D55E00", "#B8B8B8", "#4D4D4D"
PAPER = "#FFFFFF"

_LONGEST = 48
# Matplotlib writes colours as attributes of each element, which only an important rule outranks.
_DARK = """<style type="text/css">@media (prefers-color-scheme: dark) {
text { fill: #e7eaee }
[style*="fill: #4d4d4d"] { fill: #c3cad2 !important }
[style*="stroke: #4d4d4d"], [style*="stroke: #000000"] { stroke: #c3cad2 !important }
[style*="fill: #b8b8b8"] { fill: #7d8792 !important }
[style*="stroke: #b8b8b8"] { stroke: #7d8792 !important }
[style*="stroke: #b0b0b0"] { stroke: #59636e !important }
[style*="fill: #0072b2"] { fill: #4aa3dc !important }
[style*="stroke: #0072b2"] { stroke: #4aa3dc !important }
[style*="fill: #ffffff"] { fill: #12151a !important }
}</style>"""


def name_in_figure(name: str, longest: int = _LONGEST) -> str:
    """A name as a figure shows it: one line, not too long, in which nothing is a formula."""
    plain = clean(name)
    if len(plain) > longest:
        plain = plain[: longest - 1] + "…"
    return plain.replace("$", r"\$")


def svg_of(figure: Any) -> bytes:
    """A matplotlib figure as SVG: the same figure makes the same file, and text stays text."""
    import matplotlib

    written = io.BytesIO()
    with (
        matplotlib.rc_context({"svg.hashsalt": "figure", "svg.fonttype": "none"}),
        warnings.catch_warnings(),
    ):
        # Text stays text: who looks at it may have the glyph that is missing here.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(written, format="svg", metadata={"Date": None})
    return written.getvalue().replace(b"</defs>", _DARK.encode() + b"</defs>", 1)
