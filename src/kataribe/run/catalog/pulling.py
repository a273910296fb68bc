"""Bringing a model's files into a folder of its own, from each kind of source."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from kataribe.base.errors import ChecksumError, FormatError, InputError, StorageError
from kataribe.files.checksum import sha256_file, verify_sha256
from kataribe.run.catalog.cards import Card, Terms, WheelPart
from kataribe.run.catalog.checking import Checker, check_source
from kataribe.run.catalog.installed import (
    InstalledCard,
    InstalledFile,
    all_or_nothing,
    from_card,
    prepare,
)
from kataribe.run.catalog.layout import (
    INDEX,
    MAX_TEXT_BYTES,
    check_family,
    check_whole_gguf,
    choose_weights,
    companions,
    read_json,
    step_files,
)
from kataribe.run.catalog.local import copy_files, copy_steps, files_of, link_files, recognise
from kataribe.run.catalog.machine import disk_free
from kataribe.run.catalog.packed_e5 import unpack_e5
from kataribe.run.catalog.sources import (
    FileSource,
    HubSource,
    PullProgress,
    Report,
    Source,
    WheelSource,
    check_disk_error,
)
from kataribe.run.catalog.wheels import fetch_wheels

if TYPE_CHECKING:
    from kataribe.run.catalog.hub import FolderHub, Hub, HubFile, HubRepository

_KNOWN_TERMS = {
    "gemma": Terms("Gemma Terms of Use", "https://ai.google.dev/gemma/terms"),
    "llama3": Terms("Llama 3 Community License", "https://www.llama.com/llama3/license/"),
    "llama3.1": Terms("Llama 3.1 Community License", "https://www.llama.com/llama3_1/license/"),
    "llama3.2": Terms("Llama 3.2 Community License", "https://www.llama.com/llama3_2/license/"),
}
"""Licences of the hub that ask for consent, whoever publishes a model under them."""
_ROOM_FOR_WHEEL = 128 << 20


@dataclass(frozen=True, slots=True)
class Order:
    """What is wanted: a card, its source, whether its terms are accepted, and whom to tell.

    `checker` is asked before bytes are fetched or copied that nobody could open.
    """

    card: Card
    source: Source
    accept_terms: bool
    report: Report
    checker: Checker
    link: bool = False


def card_of(source: Source) -> Card:
    """A card with nothing but the source, for what has no built-in one.

    A file that holds the very bytes of a built-in one gets all that is known of them.
    """
    name = source.model_name
    if isinstance(source, FileSource):
        known = recognise(source.path)
        if known is None:
            return Card(name, name, str(source))
        # Terms are asked for before a download; whoever has the file has gone by them already.
        return replace(known, source=str(source), terms=None)
    if isinstance(source, WheelSource):
        part = WheelPart(source.package, source.version, source.member)
        return Card(name, name, str(source), file=f"{name}.gguf", parts=(part,))
    return Card(name, name, str(source))


def check_terms(name: str, terms: Terms | None, accepted: bool) -> None:
    """`InputError` unless there are no terms or they are accepted."""
    if terms is not None and not accepted:
        raise InputError(
            f"{name} may be used only under the {terms.name} ({terms.url}). Read them; if you "
            "accept them, pull it again with --accept-terms.",
            param="accept_terms",
            code="terms_not_accepted",
        )


def stage(order: Order, folder: Path) -> InstalledCard:
    """Brings all files of an order into `folder`, continuing what an earlier try left there."""
    check_terms(order.card.name, order.card.terms, order.accept_terms)
    match order.source:
        case WheelSource():
            return _stage_wheels(order, folder)
        case HubSource():
            from kataribe.run.catalog.hub import open_hub  # brings httpx, which only pulls need

            with open_hub() as hub:
                return _stage_hub(order, order.source, hub, folder)
        case FileSource(path):
            with all_or_nothing(folder):
                return _stage_files(order, path, folder)


def _stage_wheels(order: Order, folder: Path) -> InstalledCard:
    card = order.card
    if card.file is None:
        raise FormatError(f"The card of {card.name} names no file; it cannot be pulled.")
    prepare(folder, card.source)
    have = sum(path.stat().st_size for path in folder.glob("*.part"))
    if card.size is not None:
        _check_disk(card.name, card.size - have + _ROOM_FOR_WHEEL, folder)
    fetch_wheels(card.parts, folder, card.file, card.size, order.report)
    target = folder / card.file

    def tell(done: int, total: int) -> None:
        order.report(PullProgress("checking", done, total, target.name))

    digest = card.sha256
    if digest is None:
        digest = sha256_file(target, tell)
    else:
        try:
            verify_sha256(target, digest, tell)
        except ChecksumError:
            target.unlink()
            raise
    if card.packed == "e5":
        target, digest = _unpack(order, target, folder)
    files = (InstalledFile(target.name, digest, target.stat().st_size),)
    return from_card(card, files=files, terms=card.terms and card.terms.url)


def _unpack(order: Order, packed: Path, folder: Path) -> tuple[Path, str]:
    """Turns the packed file into a folder that everybody opens; its weights and their sha256."""
    with all_or_nothing(folder):

        def tell(done: int, total: int) -> None:
            order.report(PullProgress("copying", done, total, packed.name))

        unpack_e5(packed, folder, tell)
        packed.unlink()
        weights = folder / "model.safetensors"
        return weights, sha256_file(weights)


def _stage_hub(
    order: Order, source: HubSource, hub: Hub | FolderHub, folder: Path
) -> InstalledCard:
    found = hub.repository(source.repo, source.revision)
    terms = order.card.terms or _KNOWN_TERMS.get((found.licence or "").lower())
    check_terms(order.card.name, terms, order.accept_terms)
    prepare(folder, f"{source} {found.commit}")
    weights, texts = choose_files(source, found, hub, folder)
    if "config.json" in texts:
        _fetch_all(hub, found, ["config.json"], folder, order.report)
        check_family(read_json(folder / "config.json"), found.url)
    elif not weights[0].endswith(".gguf"):
        raise FormatError(f"{found.url} has weights but no config.json, so it cannot be built.")
    wanted = [*texts, *weights]
    here = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
    need = sum(found.files[name].size for name in wanted)
    _check_disk(order.card.name, need - here, folder)
    if "config.json" in texts:
        _fetch_all(hub, found, texts, folder, order.report)
        for name in step_files(found.files):
            _check_text(found.files[name])
            (folder / name).parent.mkdir(exist_ok=True)
            hub.fetch(found, found.files[name], folder / name, _nobody)
        with all_or_nothing(folder):
            order.checker.check_texts(folder)
    _fetch_all(hub, found, wanted, folder, order.report)
    files = tuple(_installed_file(folder, found.files[name]) for name in weights)
    return from_card(
        order.card,
        files=files,
        revision=found.commit,
        licence=order.card.licence or found.licence,
        terms=terms and terms.url,
    )


def choose_files(
    source: HubSource, found: HubRepository, hub: Hub | FolderHub, folder: Path
) -> tuple[list[str], list[str]]:
    """The weight files to fetch, and the texts to fetch with them."""
    root = [name for name in found.files if "/" not in name]
    if source.file is not None:
        if source.file not in found.files:
            near = ", ".join(name for name in found.files if name.endswith(".gguf"))
            raise FormatError(f"{found.url} has no file {source.file}; GGUF files there: {near}.")
        if not source.file.endswith(".gguf"):
            raise FormatError(
                f"{source.file} is no GGUF file. Files that can run code (.bin, .pt) are refused; "
                "a model in safetensors is pulled as a whole (hf:OWNER/NAME)."
            )
        weights = [check_whole_gguf(source.file)]
    else:
        index: Any = None
        if INDEX in root:
            _check_text(found.files[INDEX])
            hub.fetch(found, found.files[INDEX], folder / INDEX, _nobody)
            index = read_json(folder / INDEX)
        weights = choose_weights(root, index, found.url)
    texts = companions(root, weights)
    for name in texts:
        _check_text(found.files[name])
    return weights, texts


def _fetch_all(
    hub: Hub | FolderHub, found: HubRepository, names: list[str], folder: Path, report: Report
) -> None:
    total = sum(found.files[name].size for name in names)
    before = 0
    for name in names:
        file = found.files[name]
        target = folder / PurePosixPath(name).name

        def tell(done: int, what: str = name, start: int = before) -> None:
            report(PullProgress("downloading", start + done, total, what))

        if not (target.exists() and target.stat().st_size == file.size):
            hub.fetch(found, file, target, tell)
        before += file.size
        report(PullProgress("downloading", before, total, name))


def _installed_file(folder: Path, file: HubFile) -> InstalledFile:
    path = folder / PurePosixPath(file.name).name
    return InstalledFile(path.name, file.sha256 or sha256_file(path), path.stat().st_size)


def _stage_files(order: Order, path: Path, folder: Path) -> InstalledCard:
    files = files_of(path)
    check_source(files, order.checker)
    prepare(folder, f"{order.source} {'link' if order.link else 'copy'}")
    card = from_card(order.card)
    if path.is_dir():
        copy_steps(path, folder)
    if order.link:
        linked = link_files(files, folder, card.name, order.report)
        return replace(card, files=linked, adopted_from=str(path))
    _check_disk(card.name, sum(file.stat().st_size for file in files), folder)
    return replace(card, files=copy_files(files, folder, order.report))


def _check_text(file: HubFile) -> None:
    if file.size > MAX_TEXT_BYTES:
        raise FormatError(
            f"{file.name} has {file.size} bytes; a text beside a model has at most "
            f"{MAX_TEXT_BYTES}. It is not what its name says."
        )


def _check_disk(name: str, need: int, folder: Path) -> None:
    free = disk_free(folder)
    if need > free:
        raise StorageError(check_disk_error(name, need, free, folder))


def _nobody(done: int) -> None:
    """Is told of an index, which is too small to report."""
