"""Metrics: how the docs' statistics become one number with its uncertainty. One file per family.

A metric never runs a model. The runner hands it what each doc contributed (see
`harness.types.Statistic`) and gets an `Estimate` back.
"""
