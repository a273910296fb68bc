"""Assistants: a recipe file composed into an `LM`, and the router over several models."""
