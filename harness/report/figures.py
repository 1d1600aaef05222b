"""What figures share: colours that colour-blind readers tell apart, and how they are written."""

from __future__ import annotations

import io
from typing import Any

# Of Okabe and Ito's palette.
BLUE, ORANGE, GREY, INK = "#0072B2", "#D55E00", "#B8B8B8", "#4D4D4D"


def svg_of(figure: Any) -> bytes:
    """A matplotlib figure as SVG: the same figure makes the same file, and text stays text."""
    import matplotlib

    written = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "figure", "svg.fonttype": "none"}):
        figure.savefig(written, format="svg", metadata={"Date": None})
    return written.getvalue()
