"""Texts that lie in records: JSON lines and Parquet."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from kataribe.base.errors import FormatError, InputError, UnsupportedError
from kataribe.make.text.encoding import decode
from kataribe.make.text.languages import told_language
from kataribe.make.text.raw import Raw, Reading

LONGEST_LINE = 64 << 20
"""Most bytes of a line of JSON; a longer one is passed over and counted."""
_ROWS = 64
"""Rows of Parquet that are in memory together."""


def read_lines(stream: IO[bytes], label: str, reading: Reading) -> Iterator[Raw]:
    """The texts of JSON lines.

    Raises `InputError` when the first record lacks the field, naming those that there are;
    later records that lack it, and lines that are no JSON objects, are counted.
    """
    seen: set[str] = set()
    number = good = 0
    while line := stream.readline(LONGEST_LINE + 1):
        number += 1
        where = f"{label}:{number}"
        reading.tally.bytes += len(line)
        if len(line) > LONGEST_LINE:
            reading.tally.skip(f"a line longer than {LONGEST_LINE >> 20} MiB", where)
            while line and not line.endswith(b"\n"):
                line = stream.readline(LONGEST_LINE)
            continue
        if not line.strip():
            continue
        record = _record(line, where, reading, seen)
        if not isinstance(record, dict):
            reading.tally.skip("a line that is no JSON object", where)
            continue
        if not good and reading.field not in record:
            raise _no_field(label, reading.field, record)
        good += 1
        yield from _from_record(record, where, reading)
    if number and not good:
        raise FormatError(
            f"{label} has {number} lines and not one is a JSON object. If it is plain text, name "
            "it .txt."
        )


def read_parquet(path: Path, label: str, reading: Reading) -> Iterator[Raw]:
    """The texts of a column of a Parquet file, a few rows at a time.

    Raises `UnsupportedError` without pyarrow, `FormatError` for a damaged file and `InputError`
    for a column that is not there.
    """
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        raise UnsupportedError(
            f"{path} is Parquet, which needs pyarrow. Install it with: pip install 'kataribe[data]'"
        ) from None
    try:
        file = parquet.ParquetFile(path, memory_map=True, pre_buffer=False)
        names = list(file.schema_arrow.names)
        if reading.field not in names:
            raise _no_field(label, reading.field, names)
        columns = [reading.field, *(name for name in ("language",) if name in names)]
        number = 0
        for batch in file.iter_batches(batch_size=_ROWS, columns=columns, use_threads=False):
            reading.tally.bytes += batch.nbytes
            for record in batch.to_pylist():
                number += 1
                yield from _from_record(record, f"{label}:{number}", reading)
    except pa.ArrowException as error:
        raise FormatError(
            f"{path} is no Parquet file, or it is damaged: {str(error).splitlines()[0]}"
        ) from None
    reading.tally.encodings["utf-8"] += 1


def _from_record(record: dict[str, Any], where: str, reading: Reading) -> Iterator[Raw]:
    text = record.get(reading.field)
    if not isinstance(text, str) or not text.strip():
        reading.tally.skip(f'a record without a text in "{reading.field}"', where)
        return
    language = told_language(record.get("language"))
    for number, start in enumerate(range(0, len(text), reading.piece), start=1):
        part = text if len(text) <= reading.piece else text[start : start + reading.piece]
        reading.tally.documents += 1
        name, whole = (where, "") if part is text else (f"{where}#{number}", where)
        yield Raw(name, part, reading.source, language == "code", language, whole)


def _record(line: bytes, where: str, reading: Reading, seen: set[str]) -> Any:
    """A line's value, or None when it is no JSON; its encoding is counted once for its file."""
    try:
        text, encoding, replaced = line.decode("utf-8-sig"), "utf-8", 0
    except UnicodeDecodeError:
        found = decode(line)
        if found is None:
            return None
        text, encoding, replaced = found.text, found.encoding, found.replaced
    if encoding not in seen or replaced:
        seen.add(encoding)
        reading.tally.decoded(encoding, replaced, where)
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _no_field(label: str, field: str, names: Iterable[str]) -> InputError:
    listed = ", ".join(str(name) for name in list(names)[:20])
    return InputError(
        f"{label} has no field {field!r}; it has: {listed}. Choose one with --field, "
        "or for one data set of the hub with hf:OWNER/NAME#COLUMN.",
        param="field",
    )
