"""From an encoder's folder to a model that makes vectors or labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from kataribe.base.errors import UnsupportedError
from kataribe.base.freeing import give_back
from kataribe.base.lm import LM
from kataribe.make.model.weights.encoder_folder import open_encoder
from kataribe.make.model.weights.sentences import read_sentence_settings
from kataribe.make.model.weights.sources import SourceTensor
from kataribe.make.tokens.encoder_texts import open_encoder_texts
from kataribe.run.inference.embedding.local import (
    EncoderThread,
    LocalClassifier,
    LocalEmbedder,
)

_Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class LoadedEncoder:
    """An encoder in memory: what makes vectors of it, or labels where it has a head of them."""

    name: str
    thread: EncoderThread
    embedder: LocalEmbedder | None
    classifier: LocalClassifier | None

    @property
    def lm(self) -> LM:
        """It is none: `UnsupportedError` says what it is for."""
        raise refuse_chat(self.name, classifies=self.classifier is not None)

    @property
    def is_open(self) -> bool:
        """It still computes."""
        return self.thread.is_open

    def close(self, grace: float) -> None:
        """Lets the batch that runs end. Blocks."""
        del grace  # a batch takes less than any grace
        self.thread.close()


def refuse_chat(name: str, *, classifies: bool) -> UnsupportedError:
    """The error for an encoder that is asked to continue text."""
    use = "labels (/v1/classify)" if classifies else "vectors (/v1/embeddings)"
    return UnsupportedError(
        f"{name} reads texts and makes {use}; it cannot continue text or chat. Choose a chat model "
        "for that.",
        param="model",
    )


def load_local_encoder(
    name: str,
    path: Path,
    *,
    precision: str = "auto",
    device: str = "auto",
    threads: int | None = None,
    queue: int = 256,
    progress: _Progress | None = None,
) -> LoadedEncoder:
    """Opens the encoder at `path` and makes it ready; `progress` hears bytes read and in all.

    `queue` requests may wait beside the one that computes. Raises `FormatError` and its kin for
    files that are no encoder, `SettingsError` for a precision or device that is not there.
    """
    checkpoint = open_encoder(path)
    config = checkpoint.config
    settings = read_sentence_settings(path)
    limit = min(settings.max_tokens or config.context_length, config.context_length)
    texts = open_encoder_texts(path, limit=limit, vocab_size=config.vocab_size)
    give_back()  # the words of tokenizer.json take more than the tokenizer: before weights come
    from kataribe.run.inference.embedding.runner import load_torch_encoder

    told = replace(checkpoint, tensors=_Told(checkpoint.tensors, checkpoint.size_bytes, progress))
    runner = load_torch_encoder(told, settings, precision=precision, device=device, threads=threads)
    thread = EncoderThread(runner, name, queue)
    labelled = config.head in ("classify", "tag")
    return LoadedEncoder(
        name,
        thread,
        None if labelled else LocalEmbedder(name, thread, texts, settings, config.hidden_size),
        LocalClassifier(name, thread, texts, config) if labelled else None,
    )


class _Told(Mapping[str, SourceTensor]):
    """Tensors; whoever takes one tells how many bytes were taken so far."""

    def __init__(
        self, tensors: Mapping[str, SourceTensor], total: int, progress: _Progress | None
    ) -> None:
        self._tensors = tensors
        self._total = total
        self._progress = progress
        self._bytes = 0

    def __getitem__(self, name: str) -> SourceTensor:
        tensor = self._tensors[name]
        self._bytes = min(self._total, self._bytes + tensor.size_bytes)
        if self._progress is not None:
            self._progress(self._bytes, self._total)
        return tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)
