"""A model in another form: written beside its target, opened again, compared, and only then named.

What `kataribe export` does, without its words.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from kataribe.base.errors import InputError, StorageError
from kataribe.cli.exporting_texts import MOST_PROMPTS

if TYPE_CHECKING:
    from kataribe.make.adapt.same_answers import Checked
    from kataribe.make.adapt.same_tensors import Compared
    from kataribe.make.model.weights.checkpoint import Checkpoint
    from kataribe.make.tokens.tokenizer import Tokenizer

Form: TypeAlias = Literal["gguf", "folder"]
FORMS: tuple[Form, ...] = get_args(Form)
FOLDER_KINDS = ("F32", "F16", "BF16")
DEFAULT_KIND = {"gguf": "Q8_0", "folder": "F32"}
SPARE_BYTES = 64 << 20
"""Left free on the disk."""
PROMPTS = (
    "The capital of Japan is Tokyo. Its streets are quiet in the early morning, and",
    "To make bread, mix the flour with water and salt. Then",
    "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。",
    "日本の首都は東京です。東京には",
    'def fibonacci(n: int) -> int:\n    """Return the n-th Fibonacci number."""\n    if n < 2:',
    'import json\n\nwith open("data.json") as file:\n    data = json.load(file)\n\nfor item in',
)
"""English, Japanese and code, for a model that brings no samples of its own."""


@dataclass(frozen=True)
class Order:
    """What is wanted.

    Attributes:
        source: The model: a folder in Hugging Face layout, or a GGUF file.
        name: What it is called in the new file.
        target: Where to.
        form: The layout.
        kind: Of the matrices, as GGUF names it.
        replace: Whether an existing target may be replaced.
        texts: What the models are compared on; empty for the card's samples and `PROMPTS`.
    """

    source: Path
    name: str
    target: Path
    form: Form
    kind: str
    replace: bool = False
    texts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        from kataribe.make.model.weights.gguf_saving import FILE_TYPES

        known = tuple(FILE_TYPES) if self.form == "gguf" else FOLDER_KINDS
        if self.kind not in known:
            raise InputError(
                f"{self.kind.lower()!r} is no kind of a {self.form}; choose "
                f"{', '.join(kind.lower() for kind in known)}.",
                param="kind",
            )


@dataclass(frozen=True)
class Exported:
    """What came of it.

    Attributes:
        size: Bytes on the disk.
        ids: Token ids that were compared and are the same.
        pieces: The same for the pieces of the vocabulary.
        tensors: How far the tensors moved, all of them compared.
        checked: How far the answers moved.
        notes: What a user of the new file should know.
    """

    size: int
    ids: int
    pieces: int
    tensors: Compared
    checked: Checked
    notes: tuple[str, ...]


class Export:
    """One export, planned: nothing is written before `run`."""

    def __init__(self, order: Order) -> None:
        """Opens the model; raises what `open_checkpoint` and `load_tokenizer` raise."""
        from kataribe.cli.exporting_card import card_of
        from kataribe.make.model.weights.checkpoint import open_checkpoint
        from kataribe.make.tokens.load import load_tokenizer

        self.order = order
        self._refuse_target()
        self.checkpoint: Checkpoint = open_checkpoint(order.source)
        self.tokenizer: Tokenizer = load_tokenizer(order.source)
        self._card = card_of(order.source)
        self.notes: list[str] = []
        self._composed = self._unigram = False
        self._expected = self.checkpoint.config
        self._write, self.size = self._gguf() if order.form == "gguf" else self._folder()

    def _refuse_target(self) -> None:
        """What cannot go well, before anything is read."""
        from kataribe.files.replacing import check_replaceable

        target, source = self.order.target, self.order.source
        if not os.path.lexists(target):
            return
        if not self.order.replace:
            raise InputError(f"{target} exists already. Choose another name, or add --replace.")
        if target.resolve() in (source.resolve(), *source.resolve().parents):
            raise InputError(f"{target} is where the model itself is. Choose another name.")
        check_replaceable(target)

    def check_room(self) -> int:
        """Bytes that are free where the target goes; `StorageError` when they are too few."""
        place = self.order.target.absolute().parent
        while not place.exists():
            place = place.parent
        free = shutil.disk_usage(place).free
        if self.size + SPARE_BYTES > free:
            raise StorageError(
                f"The export needs {self.size / 1e6:,.0f} MB, and {place} has {free / 1e6:,.0f} MB "
                "free. Free some space, or choose a kind with fewer bits."
            )
        return free

    def run(self, tell: Callable[[str], None]) -> Exported:
        """Writes, opens what was written, compares, and gives it its name.

        Raises `FormatError` with figures and limits when the comparison fails: then nothing is
        left at the target, or what was there before.
        """
        from kataribe.files.replacing import check_replaceable, mark_folder
        from kataribe.files.staging import staged
        from kataribe.make.adapt.same_answers import ask, check_answers

        order = self.order
        with staged(order.target, may_replace=check_replaceable if order.replace else None) as path:
            tell(f"Writing {order.target}")
            self._write(path)
            if order.form == "folder":
                mark_folder(path)
            tell("Comparing tensors")
            tensors = self._same_tensors(path)
            tell("Comparing token ids")
            ids, pieces = self._same_ids(path)
            tell("Asking the model")
            expected = ask(self.checkpoint, self._prompts())
            tell("Asking what was written")
            checked = check_answers(expected, path, order.kind)
            size = sum(file.stat().st_size for file in _files(path))
        return Exported(size, ids, pieces, tensors, checked, tuple(self.notes))

    def _gguf(self) -> tuple[Callable[[Path], None], int]:
        from kataribe.files.gguf_keys import check_keys
        from kataribe.files.gguf_writer import write_gguf
        from kataribe.files.replacing import KEY, UNMARKED, mark_gguf
        from kataribe.make.model.weights.card import gguf_card
        from kataribe.make.model.weights.gguf_saving import gguf_content
        from kataribe.make.tokens.gguf_saving import gguf_vocabulary

        content = gguf_content(self.checkpoint, self.order.kind)
        vocabulary = gguf_vocabulary(self.order.source, self.checkpoint.config.vocab_size)
        self._composed, self._unigram = vocabulary.composes, vocabulary.is_unigram
        self._expected = content.expected
        if vocabulary.composes:
            self.notes.append(
                "llama.cpp does not compose characters (NFC) as this tokenizer does; the ids are "
                "the same for composed text."
            )
        if content.uneven:
            self.notes.append(
                f"{len(content.uneven)} matrices are F16: their rows are no multiple of 32."
            )
        card = gguf_card(dict(self._card.front), self.order.name)
        metadata = {**content.metadata, **card, **vocabulary.metadata, KEY: UNMARKED}

        def write(path: Path) -> None:
            write_gguf(path, metadata, content.tensors)
            check_keys(path, metadata)
            mark_gguf(path)

        words = sum(len(piece) + 8 for piece in metadata["tokenizer.ggml.tokens"])
        return write, content.size_bytes + 3 * words

    def _folder(self) -> tuple[Callable[[Path], None], int]:
        from kataribe.files.atomic import write_atomic
        from kataribe.files.ggml_blocks import packed_size
        from kataribe.make.model.families import config_to_hf
        from kataribe.make.model.weights.saving import save_pretrained
        from kataribe.make.tokens.folder_saving import folder_files

        source = self.order.source
        config_to_hf(self.checkpoint.config)  # refuses before anything is written
        texts = {} if source.is_dir() else folder_files(source)
        ends = sorted(self.tokenizer.eos_ids)
        ids = None if source.is_dir() else {
            "bos_token_id": self.tokenizer.bos_id,
            "eos_token_id": ends[0] if len(ends) == 1 else ends or None,
            "pad_token_id": self.tokenizer.pad_id,
        }  # fmt: skip

        def write(path: Path) -> None:
            folder = source if source.is_dir() else None
            dtype = _dtype(self.order.kind)
            save_pretrained(self.checkpoint, path, folder, token_ids=ids, dtype=dtype)
            for name, text in texts.items():
                (path / name).parent.mkdir(exist_ok=True)
                write_atomic(path / name, text)
            self._card.write(path)

        size = sum(
            packed_size(self.order.kind, tensor.shape)
            for tensor in self.checkpoint.tensors.values()
        )
        return write, size

    def _same_tensors(self, path: Path) -> Compared:
        from kataribe.make.adapt.same_tensors import check_settings, check_tensors
        from kataribe.make.model.weights.checkpoint import open_checkpoint
        from kataribe.make.model.weights.names import hf_places

        after = open_checkpoint(path)
        check_settings(self._expected, after.config)
        places = hf_places(after.config) if self.order.form == "folder" else None
        return check_tensors(self.checkpoint, after, self.order.kind, places)

    def _same_ids(self, path: Path) -> tuple[int, int]:
        """Ids and pieces that were compared and are the same."""
        from kataribe.make.tokens import same_ids
        from kataribe.make.tokens.load import load_tokenizer

        before, after = self.tokenizer, load_tokenizer(path)
        what, unigram = f"The {self.order.form}", self._unigram
        pieces = same_ids.check_same_pieces(
            before, after, what=what, composed=self._composed, unigram=unigram
        )
        texts = same_ids.probing_texts(before, composed=self._composed)
        ids = same_ids.check_same_ids(before, after, texts, what=what, unigram=unigram)
        if same_ids.check_same_chat(before, after, what=what):
            self.notes.append("llama.cpp begins a chat with BOS, which the folder does not.")
        return ids, pieces

    def _prompts(self) -> list[list[int]]:
        from kataribe.make.model.weights.card import samples

        texts = self.order.texts or (*samples(dict(self._card.front)), *PROMPTS)
        rows = self.checkpoint.config.vocab_size
        ids = [self.tokenizer.encode_prompt(text) for text in texts[:MOST_PROMPTS]]
        return [[each for each in prompt if each < rows] for prompt in ids]


def _files(path: Path) -> Sequence[Path]:
    return [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]


def _dtype(kind: str) -> Any:
    import torch

    return {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}[kind]
