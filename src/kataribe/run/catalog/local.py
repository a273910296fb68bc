"""Models that lie on this machine already: copied in, or adopted by link.

Adoption knows the folders of Hugging Face's cache, Ollama (manifests and blobs; the model blob
is a GGUF file) and LM Studio. Links are symbolic: the bytes stay where they are and stay their
owner's, and a link whose target goes says so when it is asked for.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from kataribe.base.errors import ChecksumError, FormatError, KataribeError, NotFoundError
from kataribe.files.atomic import storage_error
from kataribe.files.checksum import sha256_file
from kataribe.run.catalog.cards import Card, built_in_cards, card_of_bytes
from kataribe.run.catalog.installed import InstalledFile
from kataribe.run.catalog.layout import (
    MAX_TEXT_BYTES,
    check_whole_gguf,
    model_files,
    read_json,
    step_files,
)
from kataribe.run.catalog.sources import PullProgress, Report

Origin = Literal["huggingface", "ollama", "lmstudio"]
_WEIGHTS = (".safetensors", ".gguf")
_OLLAMA_MODEL = "application/vnd.ollama.image.model"
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Adoptable:
    """A model that another program keeps on this machine.

    Attributes:
        reference: "ollama:llama3.2:1b": what `adopt` is asked for.
        origin: Which program's folder it lies in.
        name: The name that it would get here.
        files: Its files, weights first.
        size: Bytes of all of them.
    """

    reference: str
    origin: Origin
    name: str
    files: tuple[Path, ...]
    size: int


def files_of(path: Path) -> list[Path]:
    """The files of a model that a person points at: one GGUF file, or a folder.

    Raises `NotFoundError`, or `FormatError` for pickles and other kinds.
    """
    if path.is_dir():
        return model_files(path)
    if not path.exists():
        raise NotFoundError(f"{path} does not exist.", param="model")
    if path.suffix != ".gguf" or not path.is_file():
        raise FormatError(
            f"{path} is no model: a .gguf file, or a folder with config.json and safetensors, is "
            "needed. Pickle files (.bin, .pt) can run code and are refused."
        )
    check_whole_gguf(path.name)
    return [path]


def recognise(path: Path) -> Card | None:
    """The built-in card whose very bytes a file holds; read only where its size is a card's."""
    if not path.is_file():
        return None
    size = path.stat().st_size
    if not any(card.size == size for card in built_in_cards().values()):
        return None
    return card_of_bytes([sha256_file(path)])


def copy_files(files: Sequence[Path], folder: Path, report: Report) -> tuple[InstalledFile, ...]:
    """Copies files into `folder`; returns checksums of the weights."""
    total = sum(path.stat().st_size for path in files)
    done = 0
    weights = []
    for path in files:
        digest = hashlib.sha256()
        try:
            with path.open("rb") as source, (folder / path.name).open("wb") as target:
                while block := source.read(1 << 20):
                    digest.update(block)
                    target.write(block)
                    done += len(block)
                    report(PullProgress("copying", done, total, path.name))
                target.flush()
                os.fsync(target.fileno())
        except OSError as error:
            raise storage_error(f"{path} cannot be copied to {folder}", error) from error
        if path.suffix in _WEIGHTS:
            size = path.stat().st_size
            weights.append(InstalledFile(path.name, digest.hexdigest(), size))
    return tuple(weights)


def copy_steps(source: Path, folder: Path) -> None:
    """Copies the settings of an embedder's steps, which lie in folders of their own."""
    try:
        names = [path.relative_to(source).as_posix() for path in source.glob("*/config.json")]
        for name in step_files(names):
            if (source / name).stat().st_size > MAX_TEXT_BYTES:
                raise FormatError(f"{source / name} is too large for settings.")
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes((source / name).read_bytes())
    except OSError as error:
        raise storage_error(f"{source} cannot be copied to {folder}", error) from error


def link_files(
    files: Sequence[Path], folder: Path, name: str, report: Report
) -> tuple[InstalledFile, ...]:
    """Links files into `folder`; weights are read once for their checksum.

    A blob whose name is its sha256 must have it (`ChecksumError`). A GGUF blob without a suffix
    is linked as `NAME.gguf`.
    """
    weights = []
    for path in files:
        real = path.resolve()
        packed = path.suffix not in _WEIGHTS and path.name.startswith("sha256-")
        target = folder / (f"{name}.gguf" if packed else path.name)
        try:
            target.unlink(missing_ok=True)
            target.symlink_to(real)
        except OSError as error:
            raise storage_error(f"{target} cannot be linked to {real}", error) from error
        if target.suffix in _WEIGHTS:

            def tell(done: int, total: int, what: str = target.name) -> None:
                report(PullProgress("checking", done, total, what))

            actual = sha256_file(real, tell)
            told = real.name.removeprefix("sha256-")
            if _SHA256.fullmatch(told) and told != actual:
                raise ChecksumError(str(real), expected=told, actual=actual)
            weights.append(InstalledFile(target.name, actual, real.stat().st_size))
    return tuple(weights)


def adoptable() -> tuple[Adoptable, ...]:
    """Every model that other programs keep here and that Kataribe could open, by its files."""
    found = [*_hugging_face(), *_ollama(), *_lm_studio()]
    return tuple(sorted(found, key=lambda model: model.reference))


def find_adoptable(reference: str) -> Adoptable:
    """The one with that reference (or only that name); `NotFoundError` lists what is there."""
    every = adoptable()
    wanted = reference.casefold()
    found = [model for model in every if model.reference.casefold() == wanted]
    found = found or [model for model in every if model.name.casefold() == wanted]
    if len(found) == 1:
        return found[0]
    listed = ", ".join(model.reference for model in (found or every)[:20]) or "nothing"
    raise NotFoundError(
        f"{reference!r} names {'several models' if found else 'no model'} of other programs on "
        f"this machine; there is: {listed}.",
        param="model",
    )


def _hugging_face() -> Iterator[Adoptable]:
    home = Path(os.environ.get("HF_HOME") or "~/.cache/huggingface").expanduser()
    cache = Path(os.environ.get("HF_HUB_CACHE") or home / "hub").expanduser()
    for folder in _folders(cache, "models--*"):
        repo = folder.name.removeprefix("models--").replace("--", "/")
        snapshot = _snapshot(folder)
        if snapshot is None:
            continue
        whole: list[Path] = []
        with contextlib.suppress(KataribeError, OSError):  # half a download is no model
            whole = model_files(snapshot)
            name = repo.rpartition("/")[2]
            yield _adoptable(f"huggingface:{repo}", "huggingface", name, whole)
        for path in _files(snapshot, "**/*.gguf"):  # repositories of one model in many sizes
            if path in whole or "mmproj" in path.name.lower():
                continue
            with contextlib.suppress(KataribeError, OSError):
                check_whole_gguf(path.name)
                reference = f"huggingface:{repo}:{path.relative_to(snapshot).as_posix()}"
                yield _adoptable(reference, "huggingface", path.stem, [path])


def _snapshot(folder: Path) -> Path | None:
    """The snapshot that `main` points at, or the only one."""
    with contextlib.suppress(OSError):
        commit = (folder / "refs" / "main").read_text("utf-8").strip()
        if commit.isalnum() and (folder / "snapshots" / commit).is_dir():
            return folder / "snapshots" / commit
    every = _folders(folder / "snapshots", "*")
    return every[0] if len(every) == 1 else None


def _ollama() -> Iterator[Adoptable]:
    named = os.environ.get("OLLAMA_MODELS")
    homes = [Path(named)] if named else [
        Path("~/.ollama/models").expanduser(),
        Path("/usr/share/ollama/.ollama/models"),
    ]  # fmt: skip
    for home in homes:
        manifests = home / "manifests"
        for manifest in _files(manifests, "*/*/*/*"):
            registry, owner, model, tag = manifest.relative_to(manifests).parts
            short = model if owner == "library" else f"{owner}/{model}"
            if registry != "registry.ollama.ai":
                short = f"{registry}/{owner}/{model}"
            with contextlib.suppress(KataribeError, OSError):
                blob = _ollama_blob(read_json(manifest, 1 << 20), home / "blobs")
                name = re.sub(r"[^A-Za-z0-9._-]", "-", f"{model}-{tag}")
                yield _adoptable(f"ollama:{short}:{tag}", "ollama", name, [blob])


def _ollama_blob(manifest: Any, blobs: Path) -> Path:
    layers = manifest.get("layers") if isinstance(manifest, dict) else None
    for layer in layers if isinstance(layers, list) else []:
        if isinstance(layer, dict) and layer.get("mediaType") == _OLLAMA_MODEL:
            digest = _DIGEST.fullmatch(str(layer.get("digest")))
            if digest is not None:
                return (blobs / f"sha256-{digest[1]}").resolve(strict=True)
    raise FormatError("An Ollama manifest names no model layer.")


def _lm_studio() -> Iterator[Adoptable]:
    seen = set()
    for home in ("~/.lmstudio/models", "~/.cache/lm-studio/models"):
        root = Path(os.environ.get("LMSTUDIO_MODELS") or home).expanduser()
        for path in _files(root, "*/*/*.gguf"):
            if path in seen or "mmproj" in path.name.lower():
                continue
            seen.add(path)
            with contextlib.suppress(KataribeError, OSError):
                check_whole_gguf(path.name)
                short = path.relative_to(root).with_suffix("").as_posix()
                yield _adoptable(f"lmstudio:{short}", "lmstudio", path.stem, [path])


def _adoptable(reference: str, origin: Origin, name: str, files: Sequence[Path]) -> Adoptable:
    size = sum(path.stat().st_size for path in files)
    clean = re.sub(r"[^A-Za-z0-9._-]", "-", name).lstrip("._-")[:128]
    return Adoptable(reference, origin, clean, tuple(files), size)


def _folders(root: Path, pattern: str) -> list[Path]:
    return [path for path in _listed(root, pattern) if path.is_dir()]


def _files(root: Path, pattern: str) -> list[Path]:
    return [path for path in _listed(root, pattern) if path.is_file()]


def _listed(root: Path, pattern: str) -> list[Path]:
    try:
        return sorted(root.glob(pattern))
    except OSError:  # another user's folder
        return []
