"""The user's own editor, for texts that are written at a terminal."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from pathlib import Path

from kataribe.base.errors import InputError
from kataribe.cli.given import decode


def edited(text: str, name: str) -> str:
    """The text after the user's editor ($VISUAL or $EDITOR) has had it, as a file of that name.

    Raises `InputError` where there is no editor, or where it says that it failed.
    """
    words = shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_text(text, encoding="utf-8")
        try:
            done = subprocess.run([*words, str(path)], check=False)  # noqa: S603 - their own choice
        except OSError as error:
            raise InputError(
                f"The editor {words[0]!r} does not start: {error.strerror}. Name yours in EDITOR."
            ) from error
        if done.returncode:
            raise InputError(f"The editor {words[0]!r} ended with {done.returncode}.")
        return decode(path.read_bytes(), "What was written")
