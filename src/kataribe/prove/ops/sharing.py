"""Limits that several requests share, one after another or side by side: those of a whole command.

Each request must be to something `Limited` (with no limits of its own, say), which ends it, or
refuses it, when what is left is used up.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from kataribe.base.limits import NONE, Limits
from kataribe.prove.ops.accounts import Account, Allowance, current


@contextmanager
def sharing(limits: Limits) -> Iterator[Allowance]:
    """Holds all that is asked within the block, and all that it causes, to these limits.

    The seconds begin now. Loops of events that begin within the block are within it, too.
    """
    allowance = Allowance(limits.steps, limits.tokens, limits.dollars)
    if limits == NONE:
        yield allowance
        return
    if limits.seconds is not None:
        allowance.deadline = time.monotonic() + limits.seconds
        allowance.late = f"A limit of {limits.seconds:g} s: the time is over."
    account = Account(current.get(), recorded=False, allowance=allowance)
    before = current.set(account)
    try:
        yield allowance
    finally:
        current.reset(before)
        account.close()


def is_over(allowance: Allowance) -> bool:
    """Whether nothing more may be spent; its `reason` and `detail` say why."""
    end = allowance.deadline
    if end is not None and time.monotonic() >= end:
        allowance.end("deadline", allowance.late)
    return allowance.reason is not None
