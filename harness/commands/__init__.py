"""The commands of `harness`, one file each with a function ``run(options) -> exit code``."""
