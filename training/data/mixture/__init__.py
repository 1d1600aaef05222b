"""Training data mixed from sources: read, cleaned, held against the tests, split, and described."""
