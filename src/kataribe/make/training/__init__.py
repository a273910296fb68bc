"""Checkpoint out: the one loop, and what it takes as arguments."""
