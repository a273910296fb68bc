"""Texts to vectors per second, beside sentence-transformers in an environment of its own."""
