"""Prompting techniques on GSM8K: accuracy, tokens and seconds, paired with zero-shot."""
