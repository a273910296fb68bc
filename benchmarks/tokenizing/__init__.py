"""Corpora to token data, beside the `tokenizers` library's own batch call."""
