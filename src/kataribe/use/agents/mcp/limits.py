"""What an MCP server may take: of time, of length, of patience."""

from __future__ import annotations

from dataclasses import dataclass

from kataribe.base.errors import InputError


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """For each server by itself.

    Attributes:
        start: Seconds until it has said what tools it has; some are downloaded first.
        call: Seconds of a call, where the file says nothing else.
        idle: Seconds without a call after which its session is closed, unless somebody holds it.
        again: Seconds that a server which did not start is left alone.
        message: Bytes of one message of its.
        tools: Most tools of one server.
        close: Seconds that it may take to end by itself, before it is ended.
    """

    start: float = 60.0
    call: float = 60.0
    idle: float = 300.0
    again: float = 60.0
    message: int = 16 * 1024 * 1024
    tools: int = 500
    close: float = 2.0

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if not value > 0:
                raise InputError(f"{name} is {value}, but must be above 0.", param=name)
