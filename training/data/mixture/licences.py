"""What a source's licence forbids."""

from __future__ import annotations

from types import MappingProxyType

USES = ("research", "commercial")

UNKNOWN = "unknown"
"""No licence of the rows is stated where they are published, or that of a part of them is not. So
nobody has permitted anything: a commercial use is refused, and research is warned."""

FORBIDDEN = MappingProxyType(
    {
        "apache-2.0": (),
        "bsd-3-clause": (),
        "cc-by-3.0": (),
        "cc-by-4.0": (),
        "cc-by-nc-4.0": ("commercial",),
        "cc-by-nc-nd-4.0": ("commercial",),
        "cc-by-nc-sa-4.0": ("commercial",),
        "cc-by-sa-3.0": (),
        "cc-by-sa-4.0": (),
        "cc0-1.0": (),
        "gpl-3.0": (),
        "mit": (),
        "ms-research-data": ("commercial",),
        "odc-by": (),
        "own": (),
        "research-only": ("commercial",),
        UNKNOWN: ("commercial",),
    }
)
"""Licence to the uses that it forbids. ``own``: the project's or the user's; ``ms-research-data``:
Microsoft's Research Data License Agreement. What else a licence asks for, such as naming the
authors, is the user's to do."""
