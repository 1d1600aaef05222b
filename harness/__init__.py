"""Tells whether a language model is better, worse or the same as the one before it.

Importing this package loads no torch, transformers, datasets or lm-eval: those are imported by
the functions that need them, so that `harness --help` and every refusal of bad input are instant.
"""

__version__ = "0.1.0"
