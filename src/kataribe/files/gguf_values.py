"""Reading the values of a GGUF header: numbers, strings and arrays, within bounds."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, TypeAlias, Union

import numpy as np
from numpy.typing import NDArray

from kataribe.base.errors import FormatError

MetadataValue: TypeAlias = Union[
    str, int, float, bool, NDArray[Any], list[str], "list[MetadataValue]"
]

MAX_KEY_BYTES = 65_535  # the specification's limit
MAX_STRING_BYTES = 1 << 24
MAX_STRINGS = 1 << 21
"""Strings in all arrays of a file together: Gemma's vocabulary and merges are 0.8 million."""
MAX_NUMBERS = 1 << 26
MAX_ARRAYS = 1 << 16
"""Arrays inside arrays, of a whole file: no published model has any."""
MAX_DEPTH = 4

NUMBERS: Mapping[int, str] = {
    0: "<u1", 1: "<i1", 2: "<u2", 3: "<i2", 4: "<u4", 5: "<i4", 6: "<f4", 7: "|b1",
    10: "<u8", 11: "<i8", 12: "<f8",
}  # fmt: skip
"""GGUF's type numbers and NumPy's names for the same numbers."""
BOOL, STRING, ARRAY = 7, 8, 9
_SCALARS = {
    code: struct.Struct("<" + letter)
    for code, letter in {
        0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "B", 10: "Q", 11: "q", 12: "d",
    }.items()
}  # fmt: skip
_LENGTH = struct.Struct("<Q")


class HeaderCursor:
    """A place in the header that moves forward and never past the end of the file."""

    def __init__(self, buffer: NDArray[np.uint8]) -> None:
        self.buffer = buffer
        self.position = 0
        self.strings_left = MAX_STRINGS
        self.arrays_left = MAX_ARRAYS
        self._view = buffer.data
        self._end = len(buffer)

    def take(self, size: int, what: str) -> bytes:
        """The next bytes; `FormatError` when the file ends before."""
        start = self.position
        self._need(size, what)
        self.position = start + size
        return bytes(self._view[start : start + size])

    def unsigned(self, size: int, what: str) -> int:
        """The next unsigned number of `size` bytes."""
        return int.from_bytes(self.take(size, what), "little")

    def count(self, what: str, limit: int, *, least_bytes: int) -> int:
        """A number of things that follow, each at least `least_bytes` long."""
        claimed = self.unsigned(8, f"the number of {what}")
        left = self._end - self.position
        if claimed > limit or claimed * least_bytes > left:
            raise FormatError(
                f"it claims {claimed} {what}, but at most {min(limit, left // least_bytes)} are "
                "possible. It is cut short or damaged; fetch it again."
            )
        return claimed

    def string(self, what: str, limit: int = MAX_STRING_BYTES) -> str:
        """The next string, UTF-8."""
        length = self.unsigned(8, what)
        if length > limit:
            raise FormatError(f"{what} of {length} bytes is beyond the limit of {limit}.")
        text = self.take(length, what)
        try:
            return text.decode("utf-8")
        except UnicodeDecodeError as error:
            raise FormatError(f"{what} is not UTF-8: {error.reason} at {error.start}.") from None

    def strings(self, count: int, what: str) -> list[str]:
        """The next `count` strings; vocabularies have 260,000, so this loop is kept bare."""
        self.strings_left -= count
        if self.strings_left < 0:
            raise FormatError(f"{what} brings the strings to more than {MAX_STRINGS}.")
        view, end, position = self._view, self._end, self.position
        read_length = _LENGTH.unpack_from
        found: list[str] = []
        append = found.append
        try:
            for _ in range(count):
                start = position + 8
                position = start + read_length(view, position)[0]
                if position > end:
                    raise FormatError(f"the file ends inside {what}, at string {len(found)}.")
                append(str(view[start:position], "utf-8"))
        except struct.error:
            raise FormatError(f"the file ends inside {what}, at string {len(found)}.") from None
        except UnicodeDecodeError as error:
            raise FormatError(
                f"string {len(found)} of {what} is not UTF-8: {error.reason} at {error.start}."
            ) from None
        self.position = position
        return found

    def numbers(self, count: int, code: int, what: str) -> NDArray[Any]:
        """The next `count` numbers of GGUF type `code`: a read-only view, not copied."""
        dtype = np.dtype(NUMBERS[code])
        size = count * dtype.itemsize
        self._need(size, what)
        raw = self.buffer[self.position : self.position + size]
        self.position += size
        if code == BOOL and count and raw.max() > 1:
            raise FormatError(f"{what} holds {raw.max()} as a boolean; 0 and 1 are possible.")
        return raw.view(dtype)

    def _need(self, size: int, what: str) -> None:
        if self.position + size > self._end:
            raise FormatError(
                f"the file ends at byte {self._end}, inside {what}. It is cut short or damaged; "
                "fetch it again."
            )


def read_value(cursor: HeaderCursor, key: str) -> MetadataValue:
    """The typed value that follows a metadata key."""
    code = cursor.unsigned(4, f"the type of {key!r}")
    if code == STRING:
        return cursor.string(f"the value of {key!r}")
    if code == ARRAY:
        return _read_array(cursor, key, depth=1)
    if code not in _SCALARS:
        raise FormatError(f"{key!r} has the unknown type {code}; types 0 to 12 are known.")
    layout = _SCALARS[code]
    value: int | float = layout.unpack(cursor.take(layout.size, f"the value of {key!r}"))[0]
    if code != BOOL:
        return value
    if value not in {0, 1}:
        raise FormatError(f"{key!r} holds {value} as a boolean; 0 and 1 are possible.")
    return bool(value)


def _read_array(cursor: HeaderCursor, key: str, depth: int) -> MetadataValue:
    if depth > MAX_DEPTH:
        raise FormatError(f"the arrays of {key!r} are nested deeper than {MAX_DEPTH}.")
    what = f"the array {key!r}"
    code = cursor.unsigned(4, f"the type of {what}")
    if code == STRING:
        count = cursor.count(f"strings in {key!r}", MAX_STRINGS, least_bytes=8)
        return cursor.strings(count, what)
    if code == ARRAY:
        count = cursor.count(f"arrays in {key!r}", MAX_ARRAYS, least_bytes=12)
        cursor.arrays_left -= count
        if cursor.arrays_left < 0:
            raise FormatError(f"{what} brings the nested arrays to more than {MAX_ARRAYS}.")
        return [_read_array(cursor, key, depth + 1) for _ in range(count)]
    if code not in NUMBERS:
        raise FormatError(f"{what} has the unknown type {code}; types 0 to 12 are known.")
    size = np.dtype(NUMBERS[code]).itemsize
    count = cursor.count(f"numbers in {key!r}", MAX_NUMBERS, least_bytes=size)
    return cursor.numbers(count, code, what)
