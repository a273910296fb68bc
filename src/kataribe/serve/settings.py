"""What the server is told when it is built."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from kataribe.base.errors import SettingsError


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """How the server behaves.

    Attributes:
        host: Address that it listens on; decides which `Host` headers are its own.
        port: Port that it listens on; 0 takes a free one.
        key: What clients must send as `Authorization: Bearer`; None asks for none.
        allowed_hosts: Further names that a `Host` header may have (`chat.example.org`). Who
            listens for others also answers to this machine's own name and to bare addresses.
        allowed_origins: Further origins that a browser page may post from
            (`http://localhost:5173`).
        default_model: The model that `/tokenize` and `/detokenize` take when none is named.
        max_body_bytes: A longer body is refused with 413, unread.
        max_prompts: Most prompts in one call of `/v1/completions`.
        header_patience: Seconds that a stream's status waits for the model's first words, so that
            an early error is a real HTTP error; then the stream begins with comments of progress.
        heartbeat: Seconds of silence after which a stream sends a comment, against proxies that
            close quiet connections.
        grace: Seconds that running replies may take to finish after SIGTERM.
        studio: Folder of the built studio; None takes the one inside the package.
    """

    host: str = "127.0.0.1"
    port: int = 8720
    key: str | None = None
    allowed_hosts: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    default_model: str | None = None
    max_body_bytes: int = 32 * 1024 * 1024
    max_prompts: int = 1024
    header_patience: float = 3.0
    heartbeat: float = 10.0
    grace: float = 20.0
    studio: Path | None = None

    def __post_init__(self) -> None:
        if self.key is not None and not (len(self.key) >= 8 and self.key.isascii()):
            raise SettingsError(
                "The key must be at least 8 ASCII characters; choose a longer one.", param="key"
            )
        for name in ("max_body_bytes", "max_prompts", "header_patience", "heartbeat"):
            if getattr(self, name) <= 0:
                raise SettingsError(
                    f"{name} is {getattr(self, name)}, but must be above 0.", param=name
                )
        if self.grace < 0:
            raise SettingsError(f"grace is {self.grace}, but cannot be negative.", param="grace")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_bind(settings: ServerSettings) -> None:
    """Raises `SettingsError` when others could reach the server and no key keeps them out."""
    if settings.key is None and not is_loopback(settings.host):
        raise SettingsError(
            f"Listening on {settings.host} lets others reach this server, and no key is set. "
            "Set one (--key or KATARIBE_KEY, at least 8 characters), or listen on 127.0.0.1.",
            param="host",
        )
