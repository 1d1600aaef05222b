"""The engine: answers questions with a transformers model, each shared token run once.

From question to answer: `encoding` (text to tokens), `trie` (what is shared), `passes` (what runs
together), `attention` (how it runs), `head` (log-probabilities), `scoring` and `generation`
(answers). `model` loads, `selftest` decides whether a model can be run this way, and `plain` is
what runs where it cannot.
"""
