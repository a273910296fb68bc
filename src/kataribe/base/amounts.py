"""Amounts as people say them."""

from __future__ import annotations


def memory_words(count: float) -> str:
    """Bytes of memory: GiB, as budgets are set, and MiB below one, so that a small lack shows."""
    return f"{count / 2**30:.2f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"
