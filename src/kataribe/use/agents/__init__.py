"""Agents: an `LM` that calls tools, works through tasks by itself, and remembers."""
