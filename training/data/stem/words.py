"""Names and things that several topics' questions speak of."""

from __future__ import annotations

NAMES = ("Ada", "Ben", "Chen", "Dora", "Emil", "Fatima", "Goran", "Hana", "Ivo", "Jana", "Kofi")

COUNTED = ("apples", "marbles", "stamps", "shells", "cards", "nuts", "beads", "stickers")
