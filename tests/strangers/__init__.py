"""Attacks: what strangers' models, data, registries and texts could do, each tried for real."""
