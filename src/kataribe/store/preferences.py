"""What people set for themselves: named JSON values."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from kataribe.base.errors import InputError
from kataribe.base.limits import NONE, Limits, limits_in
from kataribe.store.tables import preferences

MOST_NAMES = 200
"""Values that one person has at most."""

LARGEST = 64 * 1024
"""Bytes of one value as JSON."""

LIMITS = "limits"
"""The preference that says what each request may use: `{"steps": 20, "dollars": 0.5}`."""

_NAME = re.compile(r"[a-z][a-z0-9_.]{0,63}")


def read(tx: Connection, owner: str) -> dict[str, Any]:
    """All that the owner has set."""
    query = sa.select(preferences.c.name, preferences.c.value).where(preferences.c.owner == owner)
    return {row.name: row.value for row in tx.execute(query.order_by(preferences.c.name))}


def change(tx: Connection, owner: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Sets what is given, and removes what is given as None; gives all there is then.

    Raises `InputError` for a value that is too large, a name that is none, or too many.
    """
    kept = read(tx, owner)
    for name, value in values.items():
        check(name, value)
        kept[name] = value
    kept = {name: value for name, value in kept.items() if value is not None}
    if len(kept) > MOST_NAMES:
        raise InputError(
            f"These would be {len(kept)} preferences, but at most {MOST_NAMES} are kept. Set one "
            "that is not used any more to null.",
            param="values",
        )
    tx.execute(
        sa.delete(preferences).where(
            preferences.c.owner == owner, preferences.c.name.in_(list(values))
        )
    )
    new = [{"owner": owner, "name": name, "value": kept[name]} for name in values if name in kept]
    if new:
        tx.execute(sa.insert(preferences), new)
    return kept


def limits_of(tx: Connection, owner: str) -> Limits:
    """What each request of the owner may use, where that was set: the preference `limits`."""
    query = sa.select(preferences.c.value).where(
        preferences.c.owner == owner, preferences.c.name == LIMITS
    )
    found = tx.execute(query).scalar_one_or_none()
    return limits_in(found, LIMITS) if isinstance(found, dict) else NONE


def check(name: str, value: Any) -> None:
    """Raises `InputError` for what cannot be set."""
    if name == LIMITS and value is not None:
        _check_limits(value)
    if not _NAME.fullmatch(name):
        raise InputError(
            f"{name[:80]!r} is no name of a preference: 1 to 64 of a to z, digits, '_' and '.', "
            "with a letter first.",
            param="values",
        )
    size = len(json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    if size > LARGEST:
        raise InputError(
            f"The preference {name!r} has {size:,} bytes, but at most {LARGEST:,} are kept.",
            param=f"values.{name}",
        )


def _check_limits(value: Any) -> None:
    if not isinstance(value, dict):
        raise InputError(
            f"The preference {LIMITS!r} is {value!r:.80}, but it must be an object such as "
            '{"steps": 20, "tokens": 50000, "seconds": 120, "dollars": 0.5}.',
            param=f"values.{LIMITS}",
        )
    limits_in(value, f"values.{LIMITS}")
