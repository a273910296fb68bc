"""`debian:PACKAGE`: a package of the machine's own Debian mirror, fetched without root."""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path

from kataribe.base.errors import DownloadError, InputError, NotFoundError, StorageError

_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]{1,99}")  # Debian Policy 5.6.1; never an option
_SECONDS = 600


def fetch_package(package: str, cache: Path) -> Path:
    """The package's `.deb` in `cache`, fetched by `apt-get download` unless it is there.

    Raises `InputError`, `NotFoundError`, `DownloadError` and `StorageError`.
    """
    if not _NAME.fullmatch(package):
        raise InputError(
            f"{package!r} is no name of a Debian package: it has lower-case letters, digits and "
            "+ . - only, such as debian:python3-doc.",
            param="source",
        )
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"{cache} cannot be made: {error.strerror}. Check KATARIBE_HOME."
        ) from error
    if here := sorted(cache.glob(f"{package}_*.deb")):
        return here[-1]
    with tempfile.TemporaryDirectory(dir=cache, prefix=".fetching-") as folder:
        _download(package, Path(folder))
        found = sorted(Path(folder).glob("*.deb"))
        if not found:
            raise DownloadError(f"apt-get download {package} left no .deb. Try it by hand.")
        target = cache / found[0].name
        found[0].replace(target)
    return target


def _download(package: str, folder: Path) -> None:
    command = ["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", "--", package]
    try:
        done = subprocess.run(  # noqa: S603 - no shell; the name is checked
            command, cwd=folder, capture_output=True, timeout=_SECONDS, check=False
        )
    except FileNotFoundError:
        raise DownloadError(
            f"debian:{package} needs apt-get, which is not here. Fetch the .deb elsewhere and "
            "give its path."
        ) from None
    except subprocess.TimeoutExpired:
        raise DownloadError(
            f"apt-get download {package} took more than {_SECONDS} s. Try again."
        ) from None
    if done.returncode:
        words = done.stderr.decode("utf-8", "replace").strip().splitlines()
        reason = next(
            (line for line in words if line.startswith("E:")), (words or ["no reason"])[-1]
        )
        if "Unable to locate" in reason or "No candidate" in reason:
            raise NotFoundError(
                f"Debian has no package {package!r} ({reason}). `apt-cache search WORD` finds "
                "names; `apt-get update` renews the list.",
                param="source",
            )
        raise DownloadError(f"debian:{package} was not delivered: {reason}")
