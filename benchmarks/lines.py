"""Files of JSON lines that a run writes as it goes, and goes on with after it was cut off."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kataribe.base.errors import FormatError


class Lines:
    """Values under a head that says what was asked of whom.

    Attributes:
        path: The file.
        found: What stood in it when it was opened, oldest first.
    """

    def __init__(self, path: Path, head: Mapping[str, Any]) -> None:
        """Reads what is there; a line that was only half written is dropped.

        Raises `FormatError` for a file of another run.
        """
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = path.read_bytes().split(b"\n") if path.exists() else [b""]
        if lines[-1]:
            os.truncate(path, path.stat().st_size - len(lines[-1]))
        whole: list[dict[str, Any]] = [json.loads(line) for line in lines[:-1]]
        if whole and whole[0] != dict(head):
            raise FormatError(
                f"{path} has answers of another run: {whole[0]}. This one is {dict(head)}. Name "
                "another file (--answers)."
            )
        if not whole:
            self.write(head)
        self.found = whole[1:]

    def write(self, value: Mapping[str, Any]) -> None:
        """Adds a value; it is in the file when this returns."""
        with self.path.open("ab") as file:
            file.write(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
