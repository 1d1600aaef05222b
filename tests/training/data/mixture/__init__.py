"""Mixtures of training data."""
