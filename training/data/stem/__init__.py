"""Generated STEM questions with worked answers: the training data that needs no hub.

One file per topic. A template is a function from `Numbers` to a `Problem`; a topic lists those
that are trained on and those that are held out. `generate` makes rows of them, `mistakes` worked
answers with exactly one wrong step.
"""
