"""`hf:OWNER/NAME`: a data set of the Hugging Face hub, its Parquet, JSON lines or text files.

`HF_ENDPOINT` names another server, or a folder laid out `datasets/OWNER/NAME/FILE`; `HF_TOKEN`
opens gated data sets. Files are kept by commit, so the same data set is fetched once; a download
that broke off goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from kataribe.base.errors import (
    AccessError,
    ChecksumError,
    DownloadError,
    FormatError,
    NotFoundError,
    StorageError,
)
from kataribe.make.text.hub_subsets import DataSetName, chosen_files

_README = "README.md"
_MOST_README_BYTES = 4 << 20
_TRIES = 4
_PAUSE_SECONDS = 0.5
_MOST_ANSWER_BYTES = 32 << 20
_TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class _File:
    name: str
    size: int
    sha256: str | None


def fetch_data_set(name: DataSetName, cache: Path) -> list[tuple[str, Path]]:
    """Label and path of each file that is meant.

    Raises what `chosen_files` raises, `NotFoundError`, `AccessError`, `DownloadError`,
    `ChecksumError` and `StorageError`.
    """
    repository = name.repository
    address = (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")
    if address.startswith("file://") or Path(address).is_absolute():
        return _from_folder(Path(address.removeprefix("file://")), name)
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "TRUE", "YES", "ON"}:
        raise DownloadError("HF_HUB_OFFLINE is set, so nothing is fetched from the hub. Unset it.")
    token = os.environ.get("HF_TOKEN", "").strip()
    headers = {"User-Agent": "kataribe", "Accept-Encoding": "identity"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    timeout = httpx.Timeout(30.0, connect=10.0)
    with httpx.Client(headers=headers, timeout=timeout, follow_redirects=True) as client:
        commit, files = _list(client, address, repository)
        folder = cache / repository.replace("/", "--") / commit
        base = f"{address}/datasets/{repository}/resolve/{commit}"

        def fetch(file: _File) -> Path:
            return _fetch(client, f"{base}/{quote(file.name)}", file, folder)

        readme = "".join(
            _text(fetch(file))
            for file in files
            if file.name == _README and file.size <= _MOST_README_BYTES
        )
        chosen = chosen_files(name, [file.name for file in files], readme)
        return [(file.name, fetch(file)) for file in files if file.name in chosen]


def _from_folder(root: Path, name: DataSetName) -> list[tuple[str, Path]]:
    folder = root / "datasets" / name.repository
    if not folder.is_dir():
        raise NotFoundError(f"{root} has no folder datasets/{name.repository}.", param="source")
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    readme = _text(folder / _README) if _README in names else ""
    return [(each, folder / each) for each in chosen_files(name, names, readme)]


def _text(readme: Path) -> str:
    return readme.read_bytes()[:_MOST_README_BYTES].decode("utf-8", "replace")


def _list(client: httpx.Client, address: str, repository: str) -> tuple[str, list[_File]]:
    url = f"{address}/api/datasets/{repository}/revision/main"
    answer = _json(client, url, repository)
    try:
        files = []
        for entry in answer["siblings"]:
            large = entry.get("lfs") or {}
            name, size = str(entry["rfilename"]), int(large.get("size", entry.get("size", -1)))
            if name.startswith("/") or ".." in name.split("/"):
                raise ValueError(name)
            files.append(_File(name, size, large.get("sha256")))
        commit = str(answer["sha"])
        if not commit.isalnum():
            raise ValueError(commit)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise FormatError(f"{address} answered nonsense about {repository}.") from None
    return commit, sorted(files, key=lambda file: file.name)


def _json(client: httpx.Client, url: str, repository: str) -> Any:
    for attempt in _tries(url):
        try:
            answer = client.get(url, params={"blobs": "true"})
        except httpx.HTTPError as error:
            attempt.append(str(error) or type(error).__name__)
            continue
        if answer.status_code in _TRANSIENT:
            attempt.append(f"the server answered {answer.status_code}")
            continue
        _check_status(answer, repository)
        if len(answer.content) > _MOST_ANSWER_BYTES:
            raise FormatError(f"{url} answered too much.")
        try:
            return answer.json()
        except (ValueError, RecursionError):
            raise FormatError(f"{url} answered no JSON.") from None
    raise AssertionError("the tries end with an error")


def _fetch(client: httpx.Client, url: str, file: _File, folder: Path) -> Path:
    """One file, from where an earlier try broke off; checked and kept."""
    target = folder / file.name
    if target.is_file():
        return target
    part = target.with_name(target.name + ".part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        for attempt in _tries(url):
            try:
                _stream(client, url, part)
            except httpx.HTTPError as error:
                attempt.append(str(error) or type(error).__name__)
                continue
            if file.size < 0 or part.stat().st_size >= file.size:
                break
            attempt.append(f"{part.stat().st_size} of {file.size} bytes came")
        _check(part, file)
        part.replace(target)
    except OSError as error:
        raise StorageError(
            f"{target} cannot be written: {error.strerror}. Free some space, or move the "
            "workspace (KATARIBE_HOME)."
        ) from error
    return target


def _stream(client: httpx.Client, url: str, part: Path) -> None:
    have = part.stat().st_size if part.exists() else 0
    headers = {"Range": f"bytes={have}-"} if have else {}
    with client.stream("GET", url, headers=headers) as answer:
        if answer.status_code == 416:  # nothing is missing
            return
        if answer.status_code in _TRANSIENT:
            raise httpx.RemoteProtocolError(f"the server answered {answer.status_code}")
        _check_status(answer, url)
        with part.open("ab" if answer.status_code == httpx.codes.PARTIAL_CONTENT else "wb") as out:
            for block in answer.iter_raw():
                out.write(block)


def _tries(url: str) -> Iterator[list[str]]:
    """A list for each try, into which it writes why it failed; `DownloadError` after the last."""
    reasons: list[str] = []
    for number in range(_TRIES):
        if number:
            time.sleep(_PAUSE_SECONDS * 2**number)
        yield reasons
    raise DownloadError(
        f"{url} was not delivered ({reasons[-1]}). Check the network, or name a mirror with "
        "HF_ENDPOINT; what arrived is kept."
    )


def _check(part: Path, file: _File) -> None:
    if file.sha256 is None:
        return
    with part.open("rb") as content:
        actual = hashlib.file_digest(content, "sha256").hexdigest()
    if actual != file.sha256.lower():
        part.unlink()
        raise ChecksumError(file.name, expected=file.sha256, actual=actual)


def _check_status(answer: httpx.Response, what: str) -> None:
    if answer.status_code in (401, 403):
        raise AccessError(
            f"{what} is gated, private or absent. Accept its terms on its page, then set HF_TOKEN.",
            param="source",
        )
    if answer.status_code == 404:
        raise NotFoundError(f"The hub has no data set {what}.", param="source")
    if not answer.is_success:
        raise DownloadError(f"{what}: the hub answered {answer.status_code}. Try again later.")
