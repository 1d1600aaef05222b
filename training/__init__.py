"""Makes candidates: one file per kind of step under `training/steps/`, and a builder.

`harness` never imports this package: it reads the steps' options by path, and says which command
builds what is missing.
"""
