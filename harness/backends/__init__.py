"""Backends answer requests. One file each; `load_backend` is the only way to get one by name."""
