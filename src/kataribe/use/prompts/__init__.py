"""Asking well: prompting techniques, each an `LM` around an `LM`, and versioned templates."""
