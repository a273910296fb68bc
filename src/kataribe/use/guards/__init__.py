"""Checks on what goes into a model and what comes out of it, each one a switch, over any `LM`."""
