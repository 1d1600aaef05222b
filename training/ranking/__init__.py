"""Preference pairs from answers that a judge ranks under a written constitution."""
