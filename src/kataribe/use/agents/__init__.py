"""Agents: models that act, with tools, over any `LM`."""
