"""Lines out of a stream of bytes, in bounded memory."""

from __future__ import annotations

from dataclasses import dataclass

_ENDS = 4096


@dataclass(frozen=True, slots=True)
class TooLong:
    """A line that was not kept: its size in bytes, and what stood at its ends."""

    size: int
    head: bytes
    tail: bytes


class Lines:
    """Cuts at line ends; of a line with more than `most` bytes only the ends are kept."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._begin()

    def _begin(self) -> None:
        self._part = bytearray()
        self._size = 0
        self._head = b""
        self._tail = b""

    def push(self, chunk: bytes) -> list[bytes | TooLong]:
        """Takes the next bytes and gives the lines that end in them."""
        *whole, rest = chunk.split(b"\n")
        found: list[bytes | TooLong] = []
        for piece in whole:
            self._add(piece)
            found.append(self._line())
            self._begin()
        self._add(rest)
        return found

    def _add(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size <= self._most:
            self._part += piece
            return
        if self._part or not self._tail:  # it becomes too long just now
            self._head = bytes((self._part[:_ENDS] + piece[:_ENDS])[:_ENDS])
            self._tail = bytes(self._part[-_ENDS:])
            self._part = bytearray()
        self._tail = (self._tail + piece)[-_ENDS:]

    def _line(self) -> bytes | TooLong:
        if self._size <= self._most:
            return bytes(self._part)
        return TooLong(self._size, self._head, self._tail)
