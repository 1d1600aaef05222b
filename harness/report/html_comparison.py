"""A comparison as a self-contained HTML page.

Its pictures are images whose data stands in the page. Matplotlib's SVG has style attributes and a
style sheet, which the page's policy forbids to markup, and ids that would meet those of the next
picture. An image is a document of its own, that runs no script and asks for nothing; so this page's
policy allows images, from `data:` alone.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence

from markupsafe import Markup

from harness.report import comparison, costs
from harness.report.comparison_page import ComparisonPage, FlipLine, Picture
from harness.report.html import render

_WIDTH, _HEIGHT = 160, 12


def comparison_html(page: ComparisonPage) -> str:
    """Render the page."""
    found = page.comparison
    return render(
        "comparison.html.j2",
        {
            "page": page,
            "say": comparison,
            "found": found,
            "cost_head": costs.COST_HEAD,
            "cost_rows": costs.cost_rows(page.costs),
            "noisy": any(noise for each in found.differences for noise in each.noise),
            "source": _source,
            "flip_bar": lambda flip: flip_bar(flip, page.flips),
        },
        images=True,
    )


def flip_bar(flip: FlipLine, together: Sequence[FlipLine]) -> Markup:
    """Draw the shares of docs that turned: to wrong left of the middle, to right on its right.

    Args:
        flip: whose docs.
        together: all whose bars share a scale.
    """
    widest = max((max(each.gained, each.lost) / each.docs for each in together), default=0.0)
    middle = _WIDTH / 2

    def wide(count: int) -> float:
        return round((middle - 2) * count / flip.docs / widest, 1) if widest else 0.0

    lost, gained = wide(flip.lost), wide(flip.gained)
    box = '<rect class="{}" x="{}" y="1" width="{}" height="{}"/>'
    return (
        Markup('<svg class="flips" viewBox="0 0 {} {}" ').format(_WIDTH, _HEIGHT)
        + Markup('aria-hidden="true" focusable="false">')
        + Markup(box).format("lost", round(middle - lost, 1), lost, _HEIGHT - 2)
        + Markup(box).format("gained", middle, gained, _HEIGHT - 2)
        + Markup('<line class="middle" x1="{0}" x2="{0}" y1="0" y2="{1}"/></svg>').format(
            middle, _HEIGHT
        )
    )


def _source(picture: Picture) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(picture.svg).decode("ascii")
