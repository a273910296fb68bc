"""Build on an `LM`, and it is an `LM` again."""
