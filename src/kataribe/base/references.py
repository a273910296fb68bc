"""References: how people name models. `openai:gpt-5`, or a bare name for a local one."""

from __future__ import annotations

import re
from dataclasses import dataclass

from kataribe.base.errors import InputError

_PROVIDER = re.compile(r"[a-z][a-z0-9_-]*")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True, slots=True)
class Reference:
    """A provider (None for a local model or assistant) and a name that it knows."""

    provider: str | None
    name: str

    def __str__(self) -> str:
        return self.name if self.provider is None else f"{self.provider}:{self.name}"


def parse_reference(text: str) -> Reference:
    """Reads `provider:name` or a bare name; `InputError` says what is wrong with it."""
    provider, colon, name = text.partition(":")
    if not colon:
        provider, name = "", text
    elif not _PROVIDER.fullmatch(provider):
        raise InputError(f"{text!r} names no provider before the colon.", param="model")
    if not name.strip():
        raise InputError(f"{text!r} names no model.", param="model")
    return Reference(provider or None, name)


def check_local_name(name: str) -> str:
    """The name, if it can be a folder's; `InputError` otherwise."""
    if not _NAME.fullmatch(name):
        raise InputError(
            f"{name!r} cannot name a model: use up to 128 letters, digits, dots, hyphens and "
            "underscores, beginning with a letter or digit.",
            param="model",
        )
    return name
