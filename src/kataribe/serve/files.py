"""Files out: the headers with which a browser saves what it is given and never shows it."""

from __future__ import annotations

from urllib.parse import quote

from kataribe.store.attachments import clean_name


def saved_as(name: str) -> dict[str, str]:
    """The headers for a file of this name, whatever letters it has (RFC 6266, RFC 5987)."""
    name = clean_name(name)
    plain = "".join(
        char if char.isascii() and char.isprintable() and char not in '"\\%' else "_"
        for char in name
    )
    shown = f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
    return {"Content-Disposition": shown, "X-Content-Type-Options": "nosniff"}
