"""Names for rows, and the time of day."""

from __future__ import annotations

import re
import secrets
import time

from kataribe.base.errors import InputError

_FORM = re.compile(r"[0-9a-z]{16,32}")
_LETTERS = "0123456789abcdefghijklmnopqrstuvwxyz"


def new_id() -> str:
    """20 letters and digits, about 103 random bits: two never meet."""
    return "".join(secrets.choice(_LETTERS) for _ in range(20))


def check_id(value: str, param: str) -> str:
    """The id, where it has the form of one; clients may choose those of what they send."""
    if not _FORM.fullmatch(value):
        raise InputError(
            f"{param} is {value[:60]!r}, but must be 16 to 32 of the letters a to z and digits.",
            param=param,
        )
    return value


def now() -> float:
    """Seconds since 1970, for showing; nothing is ordered by it, because clocks jump."""
    return time.time()
