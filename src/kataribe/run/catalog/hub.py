"""The Hugging Face hub: what a repository holds, and its files, resumed byte by byte.

Speaks the hub's own paths (`/api/models/...`, `/OWNER/NAME/resolve/...`) over httpx, because a
download that continues in the middle of a file, reports every step and checks what it got needs
to own its `.part` file. `HF_ENDPOINT` names another server, or a folder laid out
`OWNER/NAME/FILE`; `HF_TOKEN` (or the file that `hf auth login` writes) opens gated repositories.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import httpx

from kataribe.base.errors import (
    AccessError,
    ChecksumError,
    DownloadError,
    FormatError,
    KataribeError,
    NotFoundError,
)
from kataribe.files.atomic import storage_error

DEFAULT_ENDPOINT = "https://huggingface.co"
MAX_ANSWER_BYTES = 32 << 20
TRIES = 5
"""Tries without a single new byte before giving up; every byte that arrives starts the count."""
PAUSE_SECONDS = 1.0
"""Wait before the first further try; doubled each time."""
_TIMEOUT = httpx.Timeout(30.0, connect=10.0)
_TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})


class _TransientError(KataribeError):
    """The server may do better at the next try."""


_TROUBLE = (httpx.RequestError, httpx.InvalidURL, _TransientError)


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file of a repository. Large files have `sha256`, small ones git's own `blob` (sha1)."""

    name: str
    size: int
    sha256: str | None = None
    blob: str | None = None


@dataclass(frozen=True, slots=True)
class HubRepository:
    """A repository at one commit; `url` shows it to people."""

    repo: str
    commit: str
    files: Mapping[str, HubFile]
    licence: str | None
    url: str


def endpoint() -> str:
    """Where the hub is: `HF_ENDPOINT`, or the public one."""
    return (os.environ.get("HF_ENDPOINT") or DEFAULT_ENDPOINT).rstrip("/")


class Hub:
    """A hub over HTTP. Use as a context manager; one connection pool serves all files."""

    def __init__(self, address: str | None = None) -> None:
        self.address = (address or endpoint()).rstrip("/")
        if not self.address.lower().startswith(("http://", "https://")):
            raise DownloadError(
                f"HF_ENDPOINT is {self.address!r}; it must be an http(s) address or a folder."
            )
        token = _token()
        headers = {"User-Agent": "kataribe", "Accept-Encoding": "identity"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        self._client = httpx.Client(headers=headers, timeout=_TIMEOUT, follow_redirects=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def repository(self, repo: str, revision: str) -> HubRepository:
        """What `repo` holds at `revision`.

        Raises `NotFoundError`, `AccessError` (gated or private), `DownloadError`, `FormatError`.
        """
        path = f"/api/models/{repo}/revision/{quote(revision, safe='')}"
        answer = self._get_json(f"{self.address}{path}", repo, {"blobs": "true"})
        try:
            return _repository(repo, answer, f"{self.address}/{repo}")
        except (KeyError, TypeError, ValueError, AttributeError):
            raise FormatError(f"{self.address} answered nonsense about {repo}.") from None

    def fetch(
        self, source: HubRepository, file: HubFile, target: Path, report: Callable[[int], None]
    ) -> None:
        """Fetches one file into `target`, continuing a `.part` file beside it.

        `report` is told the bytes that are there. A connection that breaks is taken up again as
        long as bytes keep coming. The finished file has the size and checksum that the hub gave.
        """
        part = target.with_name(target.name + ".part")
        path = f"/{source.repo}/resolve/{source.commit}/{quote(file.name)}"
        failures = 0
        while True:
            before = part.stat().st_size if part.exists() else 0
            if before >= file.size and part.exists():
                break
            try:
                self._stream(f"{self.address}{path}", source.repo, file, part, report)
            except _TROUBLE as error:
                arrived = part.stat().st_size if part.exists() else 0
                failures = 0 if arrived > before else failures + 1
                if failures >= TRIES:
                    raise DownloadError(
                        f"{file.name} of {source.repo} broke off after {arrived} of {file.size} "
                        f"bytes ({_words(error)}). Run it again; what arrived is kept."
                    ) from error
                time.sleep(PAUSE_SECONDS * min(2**failures, 30))
        check_file(file, part)
        part.replace(target)

    def _stream(
        self, url: str, repo: str, file: HubFile, part: Path, report: Callable[[int], None]
    ) -> None:
        """One try: asks for what is missing and appends what comes."""
        have = part.stat().st_size if part.exists() else 0
        headers = {"Range": f"bytes={have}-"} if have else {}
        with self._client.stream("GET", url, headers=headers) as answer:
            self._check_status(answer, repo)
            if answer.status_code == httpx.codes.PARTIAL_CONTENT:
                _check_range(answer, have, file)
            else:
                have = 0  # the server knows no ranges: begin anew
            with _writable(part) as descriptor:
                os.ftruncate(descriptor, have)
                os.lseek(descriptor, have, os.SEEK_SET)
                for block in answer.iter_raw():  # as it comes: a chunk size would hold bytes back
                    have += len(block)
                    if have > file.size:
                        raise FormatError(
                            f"{file.name} of {repo} is longer than the {file.size} bytes that "
                            "the hub told. It is not the file that was meant."
                        )
                    _write_all(descriptor, block)
                    report(have)
        if have < file.size:
            raise _TransientError(f"the connection ended at byte {have}")

    def _get_json(self, url: str, repo: str, parameters: Mapping[str, str]) -> Any:
        failures = 0
        while True:
            try:
                with self._client.stream("GET", url, params=dict(parameters)) as answer:
                    self._check_status(answer, repo)
                    body = bytearray()
                    for block in answer.iter_bytes():
                        body += block
                        if len(body) > MAX_ANSWER_BYTES:
                            raise FormatError(f"{self.address} answered too much about {repo}.")
                return json.loads(body)
            except _TROUBLE as error:
                failures += 1
                if failures >= 3:
                    raise DownloadError(
                        f"{self.address} cannot be reached ({_words(error)}). Check the network, "
                        "or name a mirror with HF_ENDPOINT."
                    ) from error
                time.sleep(PAUSE_SECONDS * failures)
            except (ValueError, RecursionError):
                raise FormatError(f"{self.address} answered no JSON about {repo}.") from None

    def _check_status(self, answer: httpx.Response, repo: str) -> None:
        status = answer.status_code
        if status in {200, 206}:
            return
        page = f"{self.address}/{repo}"
        if status in {401, 403}:
            raise AccessError(
                f"{repo} is gated, private or absent. Accept its terms at {page}, then log in "
                "with a token that may read it (HF_TOKEN, or `hf auth login`).",
                param="model",
            )
        if status == 404:
            raise NotFoundError(f"{page} has no such model, revision or file.", param="model")
        if status in _TRANSIENT or status == 416:
            raise _TransientError(f"the server answered {status}")
        raise DownloadError(f"{page} answered {status}. Try again later.")


class FolderHub:
    """A folder laid out `OWNER/NAME/FILE`, as a mirror of the hub without a network."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def repository(self, repo: str, revision: str) -> HubRepository:
        """What the folder of `repo` holds; revisions other than "main" are not there."""
        folder = self.root / repo
        if revision != "main" or not folder.is_dir():
            raise NotFoundError(f"{self.root} has no {repo} at revision {revision}.", param="model")
        files = {
            name: HubFile(name, path.stat().st_size)
            for path in sorted(folder.rglob("*"))
            if path.is_file()
            for name in [path.relative_to(folder).as_posix()]
        }
        return HubRepository(repo, "main", files, _card_licence(folder / "README.md"), str(folder))

    def fetch(
        self, source: HubRepository, file: HubFile, target: Path, report: Callable[[int], None]
    ) -> None:
        """Copies one file into `target`."""
        part = target.with_name(target.name + ".part")
        done = 0
        try:
            with (self.root / source.repo / file.name).open("rb") as origin, part.open("wb") as out:
                while block := origin.read(1 << 20):
                    out.write(block)
                    done += len(block)
                    report(done)
            part.replace(target)
        except OSError as error:
            raise storage_error(f"{target} cannot be written", error) from error


def open_hub() -> Hub | FolderHub:
    """The hub that the environment names; `DownloadError` when `HF_HUB_OFFLINE` forbids it."""
    address = endpoint()
    if address.startswith("file://") or Path(address).is_absolute():
        return FolderHub(Path(address.removeprefix("file://")))
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "TRUE", "YES", "ON"}:
        raise DownloadError("HF_HUB_OFFLINE is set, so nothing is fetched from the hub. Unset it.")
    return Hub(address)


def check_file(file: HubFile, path: Path) -> None:
    """Compares a file with what the hub told of it; a wrong one is removed (`ChecksumError`)."""
    if file.sha256:
        digest, expected = hashlib.sha256(), file.sha256.lower()
    elif file.blob:
        digest, expected = hashlib.sha1(usedforsecurity=False), file.blob.lower()
        digest.update(f"blob {file.size}\0".encode())  # as git names its blobs
    else:
        return
    try:
        with path.open("rb") as content:
            while block := content.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise storage_error(f"{path} cannot be read", error) from error
    if digest.hexdigest() != expected:
        path.unlink()
        raise ChecksumError(file.name, expected=expected, actual=digest.hexdigest())


def _repository(repo: str, answer: Any, url: str) -> HubRepository:
    files = {}
    for entry in answer["siblings"]:
        large = entry.get("lfs") or {}
        size = int(large.get("size", entry.get("size", -1)))
        if size < 0:
            raise ValueError(entry)
        name = str(entry["rfilename"])
        files[name] = HubFile(name, size, large.get("sha256"), entry.get("blobId"))
    commit = str(answer["sha"])
    if not commit.isalnum():
        raise ValueError(commit)
    licence = (answer.get("cardData") or {}).get("license")
    return HubRepository(repo, commit, files, licence if isinstance(licence, str) else None, url)


def _check_range(answer: httpx.Response, have: int, file: HubFile) -> None:
    told = answer.headers.get("Content-Range", "")
    if not told.startswith(f"bytes {have}-"):
        raise _TransientError(f"the server sent {told!r:.60} instead of bytes from {have}")
    total = told.rpartition("/")[2]
    if total.isdigit() and int(total) != file.size:
        raise FormatError(
            f"{file.name} has {total} bytes on the server, but the hub told {file.size}. "
            "Pull it again."
        )


@contextlib.contextmanager
def _writable(part: Path) -> Iterator[int]:
    """A descriptor that writes at once, so that what arrived survives whatever comes next."""
    try:
        descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise storage_error(f"{part} cannot be written", error) from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, block: bytes) -> None:
    view = memoryview(block)
    try:
        while view:
            view = view[os.write(descriptor, view) :]
    except OSError as error:
        raise storage_error("The download cannot be written", error) from error


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__


def _token() -> str | None:
    """The token as the hub's own tools keep it."""
    if token := os.environ.get("HF_TOKEN", "").strip():
        return token
    home = Path(os.environ.get("HF_HOME") or "~/.cache/huggingface").expanduser()
    path = Path(os.environ.get("HF_TOKEN_PATH") or home / "token")
    try:
        return path.read_text("utf-8").strip() or None
    except OSError:
        return None


def _card_licence(readme: Path) -> str | None:
    """The `license:` of a model card's YAML front matter."""
    try:
        lines = readme.read_text("utf-8", "replace")[:20_000].splitlines()
    except OSError:
        return None
    if not lines or lines[0].strip() != "---":
        return None
    for line in lines[1:]:
        if line.strip() == "---":
            return None
        if line.startswith("license:"):
            return line.partition(":")[2].strip().strip("'\"") or None
    return None
