"""Models that lie in the workspace: `models/NAME/` with weights, `card.json` and `README.md`.

A model is prepared under `downloads/` and takes its place by one rename, so `models/` never
holds half a model. A lock beside it keeps two processes from preparing the same one at once.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import errno
import json
import shutil
import stat
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import filelock

from kataribe.base.errors import FormatError, NotFoundError
from kataribe.base.workspace import Workspace
from kataribe.files.atomic import storage_error, sync_folder, write_atomic
from kataribe.run.catalog.cards import Card, match_name
from kataribe.run.catalog.layout import SOURCES
from kataribe.run.catalog.sources import PullProgress, Report

CARD = "card.json"
_POLL_SECONDS = 0.3


def now() -> str:
    """This moment, ISO 8601, UTC, to the second."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")


@dataclass(frozen=True, slots=True)
class InstalledFile:
    """A weight file: its checksum and bytes."""

    name: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class InstalledCard:
    """What `card.json` keeps.

    Attributes:
        name: The folder's name.
        title: What its makers call it.
        source: Where it came from.
        family: "llama", "qwen2", ...
        kind: "chat", "base", "embedding", or None where nobody said.
        languages: As on the card.
        licence: SPDX name or the hub's word; None where nobody said.
        terms: Address of the terms that were accepted, and when.
        parameters: Numbers in all weights.
        context_length: Tokens.
        size: Bytes of all files.
        files: The weight files.
        installed: When, as ISO 8601 in UTC.
        revision: The hub's commit.
        adopted_from: Where the files that it links to lie.
        note: As on the card.
        task: As on the card.
    """

    name: str
    title: str
    source: str
    family: str | None = None
    kind: str | None = None
    languages: tuple[str, ...] = ()
    licence: str | None = None
    terms: str | None = None
    parameters: int | None = None
    context_length: int | None = None
    size: int = 0
    files: tuple[InstalledFile, ...] = ()
    installed: str = field(default_factory=now)
    revision: str | None = None
    adopted_from: str | None = None
    note: str = ""
    task: str | None = None


@dataclass(frozen=True, slots=True)
class Installed:
    """A model in the workspace: `path` is what opens it, a folder or one GGUF file."""

    name: str
    folder: Path
    path: Path
    card: InstalledCard


def from_card(card: Card, **changes: Any) -> InstalledCard:
    """The beginning of an installed card."""
    kept = InstalledCard(
        name=card.name,
        title=card.title,
        source=card.source,
        family=card.family,
        kind=card.kind,
        task=card.task,
        languages=card.languages,
        licence=card.licence,
        parameters=card.parameters,
        context_length=card.context_length,
        note=card.note,
    )
    return replace(kept, **changes)


def installed_names(workspace: Workspace) -> list[str]:
    """Names of all folders that hold a model, in order."""
    try:
        entries = list(workspace.models.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise storage_error(f"{workspace.models} cannot be read", error) from error
    return sorted(
        (entry.name for entry in entries if entry.is_dir() and not entry.name.startswith(".")),
        key=str.casefold,
    )


def read_installed(workspace: Workspace, name: str) -> Installed:
    """The model of that name, whatever its case.

    Raises `NotFoundError` when there is none, or when the files that it links to are gone.
    """
    found = match_name(name, installed_names(workspace))
    folder = workspace.models / found
    card = read_card(folder)
    return Installed(found, folder, _openable(folder, card), card)


def read_card(folder: Path) -> InstalledCard:
    """The card of a model's folder; a bare one where `card.json` is missing or damaged."""
    bare = InstalledCard(folder.name, folder.name, f"file:{folder}", installed="")
    try:
        told = json.loads((folder / CARD).read_text("utf-8"))
        files = tuple(InstalledFile(**entry) for entry in told.pop("files", ()))
        told["languages"] = tuple(told.get("languages", ()))
        return replace(InstalledCard(**{**told, "name": folder.name}), files=files)
    except FileNotFoundError:
        return bare
    except OSError as error:
        raise storage_error(f"{folder / CARD} cannot be read", error) from error
    except (ValueError, TypeError, AttributeError, RecursionError):
        return replace(bare, note=f"{CARD} is damaged; pull or import the model again to mend it.")


def install(workspace: Workspace, staged: Path, card: InstalledCard) -> None:
    """Gives a prepared folder its card, its README and its place under `models/`.

    An older model of the same name goes. Raises `StorageError`.
    """
    text = json.dumps(asdict(card), ensure_ascii=False, indent=2)
    write_atomic(staged / CARD, text + "\n")
    if not (staged / "README.md").exists():
        write_atomic(staged / "README.md", model_readme(card))
    target = workspace.models / card.name
    try:
        workspace.models.mkdir(parents=True, exist_ok=True)
        staged = _same_disk(workspace, staged, card.name)
        old = workspace.models / f".old-{card.name}"
        shutil.rmtree(old, ignore_errors=True)
        if target.exists():
            target.rename(old)
        staged.rename(target)
        sync_folder(workspace.models)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise storage_error(f"{target} cannot be written", error) from error


def remove(workspace: Workspace, name: str) -> InstalledCard:
    """Removes a model's folder (never what it links to) and returns its card."""
    found = match_name(name, installed_names(workspace))
    folder = workspace.models / found
    card = read_card(folder)
    gone = workspace.models / f".old-{found}"
    try:
        shutil.rmtree(gone, ignore_errors=True)
        folder.rename(gone)  # the name is free at once, and never names half a model
        shutil.rmtree(gone)
    except OSError as error:
        raise storage_error(f"{folder} cannot be removed", error) from error
    return card


def own_bytes(folder: Path) -> int:
    """Bytes that removing a model's folder frees: links, symbolic or hard, free nothing."""
    total = 0
    for path in folder.rglob("*"):
        told = path.lstat()
        if stat.S_ISREG(told.st_mode) and told.st_nlink == 1:
            total += told.st_size
    return total


def forget_download(workspace: Workspace, name: str) -> bool:
    """Removes what arrived of a model; False when somebody is fetching it and it stays.

    Raises `StorageError`.
    """
    folder = workspace.downloads / name.casefold()
    lock = filelock.FileLock(workspace.downloads / ".locks" / f"{name.casefold()}.lock")
    try:
        if not folder.exists():
            return True
        with lock.acquire(blocking=False):
            shutil.rmtree(folder)
    except filelock.Timeout:
        return False
    except OSError as error:
        raise storage_error(f"{folder} cannot be removed", error) from error
    return True


@contextlib.contextmanager
def hold(workspace: Workspace, name: str, report: Report) -> Iterator[Path]:
    """Holds the lock on preparing `name`; yields the folder to prepare it in.

    Waits, and reports `waiting`, while another process holds it. The lock goes with its process,
    however that ends; the folder stays, so that the next try continues.
    """
    try:
        locks = workspace.downloads / ".locks"
        locks.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(locks / f"{name.casefold()}.lock")
        while True:
            try:
                lock.acquire(timeout=_POLL_SECONDS)
                break
            except filelock.Timeout:
                report(PullProgress("waiting", 0, None, name))
    except OSError as error:
        raise storage_error(f"{workspace.downloads} cannot be written", error) from error
    try:
        yield workspace.downloads / name.casefold()
    finally:
        lock.release()


@contextlib.contextmanager
def all_or_nothing(folder: Path) -> Iterator[None]:
    """Removes `folder` when the block fails: nobody could go on with what it left there."""
    with contextlib.ExitStack() as undo:
        undo.callback(shutil.rmtree, folder, ignore_errors=True)
        yield
        undo.pop_all()


def prepare(folder: Path, source: str) -> None:
    """Makes the folder ready for `source`: what an earlier try left of another one goes."""
    origin = folder / ".source"
    try:
        if folder.exists():
            kept = origin.read_text("utf-8") if origin.exists() else None
            if kept == source:
                return
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
    except OSError as error:
        raise storage_error(f"{folder} cannot be written", error) from error
    write_atomic(origin, source)


def model_readme(card: InstalledCard) -> str:
    """A model card in the hub's style: YAML front matter, then words."""
    front: dict[str, Any] = {"license": (card.licence or "unknown").lower()}
    if card.languages:
        front["language"] = list(card.languages)
    task = "feature-extraction" if card.kind == "embedding" else "text-generation"
    if card.family in SOURCES:
        task = "text2text-generation"
    front |= {"pipeline_tag": task, "tags": ["kataribe"]}
    lines = ["---"]
    lines += [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in front.items()]
    lines += ["---", "", f"# {card.title}", ""]
    rows: Mapping[str, object] = {
        "Source": card.source,
        "Revision": card.revision,
        "Licence": card.licence or "not stated by the source",
        "Terms accepted": card.terms,
        "Family": card.family,
        "Parameters": card.parameters and f"{card.parameters:,}",
        "Context": card.context_length and f"{card.context_length:,} tokens",
        "Installed": card.installed,
        "Linked from": card.adopted_from,
    }
    lines += [f"- {label}: {value}" for label, value in rows.items() if value]
    lines += [
        f"- `{file.name}`: {file.size:,} bytes, sha256 `{file.sha256}`" for file in card.files
    ]
    if card.note:
        lines += ["", card.note]
    return "\n".join(lines) + "\n"


def _openable(folder: Path, card: InstalledCard) -> Path:
    """A folder in Hugging Face's layout opens as a whole, anything else through its GGUF file."""
    entries = list(folder.iterdir())
    dangling = [entry for entry in entries if entry.is_symlink() and not entry.exists()]
    if dangling:
        raise NotFoundError(
            f"{folder.name} was linked from {card.adopted_from or dangling[0].readlink()}, which "
            f"is gone. Remove it (`kataribe models rm {folder.name}`) and pull it, or put the "
            "original back.",
            param="model",
        )
    if (folder / "config.json").exists():
        return folder
    packed = sorted(entry for entry in entries if entry.suffix == ".gguf")
    if len(packed) == 1:
        return packed[0]
    raise FormatError(
        f"{folder} holds {len(packed)} GGUF files and no config.json; one model was expected. "
        "Remove it and pull or import the model again."
    )


def _same_disk(workspace: Workspace, staged: Path, name: str) -> Path:
    """The prepared folder, copied first when `models/` lies on another disk than `downloads/`."""
    probe = workspace.models / f".new-{name}"
    shutil.rmtree(probe, ignore_errors=True)
    try:
        staged.rename(probe)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        try:
            probe.mkdir()
            for path in staged.iterdir():
                if path.is_dir():  # the steps of an embedder
                    shutil.copytree(path, probe / path.name, symlinks=True)
                else:
                    shutil.copy2(path, probe / path.name, follow_symlinks=False)
        except OSError:
            shutil.rmtree(probe, ignore_errors=True)
            raise
        shutil.rmtree(staged)
    (probe / ".source").unlink(missing_ok=True)
    return probe
