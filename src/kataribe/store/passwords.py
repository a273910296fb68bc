"""Passwords: how long they must be, and the form in which they are kept."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
import unicodedata

from kataribe.base.errors import InputError

SHORTEST = 10
LONGEST = 1024
"""Characters of a password."""

COST, BLOCK, PARALLEL = 2**15, 8, 3
"""scrypt's N, r and p (RFC 7914): 32 MiB and a third of a second on one core of a small machine.

OWASP's Password Storage Cheat Sheet names this triple among those of equal strength; of these it
takes little memory, so that a few sign-ins at once do not push a model out.
"""

_MEMORY = 128 * 2**20
_LENGTH = 32
_SALT = 16


def check_password(password: str) -> str:
    """The password, if it is long enough and can be typed again; raises `InputError`."""
    length = len(_same(password))
    if length < SHORTEST:
        raise InputError(
            f"The password has {length} characters, but needs at least {SHORTEST}. "
            "A few words in a row are easy to remember and hard to guess.",
            param="password",
        )
    if length > LONGEST:
        raise InputError(
            f"The password has {length} characters; at most {LONGEST} are taken. Shorten it.",
            param="password",
        )
    if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in password):
        raise InputError(
            "The password has a control character or half of a pair, which no keyboard sends "
            "twice alike. Choose one without.",
            param="password",
        )
    return password


def hashed(password: str) -> str:
    """The form that is kept: cost, salt and hash, but never the password."""
    salt = secrets.token_bytes(_SALT)
    made = _scrypt(password, salt, COST, BLOCK, PARALLEL)
    words = (base64.b64encode(part).decode() for part in (salt, made))
    return "$".join(("scrypt", str(COST), str(BLOCK), str(PARALLEL), *words))


def is_right(password: str, kept: str | None) -> bool:
    """Whether `kept` was made from this password.

    With None, for a name that nobody has, it takes as long and is never right: time does not tell
    which names there are.
    """
    try:
        cost, block, parallel, salt, made = _read(kept if kept is not None else _NOBODY)
    except (ValueError, binascii.Error):
        return False
    found = _scrypt(password, salt, cost, block, parallel)
    return hmac.compare_digest(found, made) and kept is not None


def _read(kept: str) -> tuple[int, int, int, bytes, bytes]:
    kind, cost, block, parallel, salt, made = kept.split("$")
    if kind != "scrypt":
        raise ValueError(kind)
    salted, hash_ = (base64.b64decode(part, validate=True) for part in (salt, made))
    return int(cost), int(block), int(parallel), salted, hash_


def _scrypt(password: str, salt: bytes, cost: int, block: int, parallel: int) -> bytes:
    return hashlib.scrypt(
        _same(password).encode("utf-8", "surrogatepass"),
        salt=salt,
        n=cost,
        r=block,
        p=parallel,
        maxmem=_MEMORY,
        dklen=_LENGTH,
    )


def _same(password: str) -> str:
    # Keyboards write the same letter in different ways; RFC 8265 (OpaqueString) unites them so.
    return unicodedata.normalize("NFC", password)


_NOBODY = "$".join(
    (
        "scrypt",
        str(COST),
        str(BLOCK),
        str(PARALLEL),
        base64.b64encode(bytes(_SALT)).decode(),
        base64.b64encode(bytes(_LENGTH)).decode(),
    )
)
"""What a password is compared with that is nobody's."""
