"""Agents: models with tools, plans and memory, each an `LM` again."""
