"""Stored runs turned into what other programs read: a pure builder and a thin writer per format."""
