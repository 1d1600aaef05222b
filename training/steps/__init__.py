"""One file per kind of step: a frozen dataclass `Options` that needs the standard library only.

The registry reads `Options` by path, without importing this package: keep the top of each file
free of torch and of imports from `training`. An option's name, type and default are its schema;
``__post_init__`` raises ValueError, the option's name first, for a value out of range. A step
that trains has ``stage``, one that quantizes has ``quantization``; ``needs`` names packages outside
a plain installation that it cannot do without. ``run(options, work) -> Made`` does the step (see
`training.step`) and imports what is heavy when it is called.
"""
