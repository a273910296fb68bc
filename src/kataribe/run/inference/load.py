"""From a model's files to a model that answers: checkpoint, precision, runner, engine, LM."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch

from kataribe.base.errors import SettingsError
from kataribe.base.lm import Sampling
from kataribe.make.adapt.precision import load_quantized
from kataribe.make.model.checkpoint import Checkpoint, open_checkpoint
from kataribe.make.model.sources import SourceTensor
from kataribe.make.tokens.load import load_tokenizer
from kataribe.make.tokens.tokenizer import Tokenizer
from kataribe.run.inference.engine import Engine
from kataribe.run.inference.local import LocalLM
from kataribe.run.inference.requests import EngineLimits
from kataribe.run.inference.residents import LoadProgress
from kataribe.run.inference.runner import TorchRunner

Precision = Literal["auto", "float32", "bfloat16", "int8", "int4"]

BLOCK_SIZE = 16
"""Tokens in each block of the KV cache. Smaller reuses prefixes more exactly, larger costs less."""


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How a model is brought into memory.

    Attributes:
        context: Tokens of one prompt and reply together.
        cache_tokens: Tokens that the KV cache holds for all replies together.
        precision: How weights are held; `auto` keeps 4-bit blocks as they are and takes what is
            fastest here for the rest.
        device: cpu, cuda, cuda:1, mps, or auto.
        threads: For products on the CPU; None leaves PyTorch's own choice.
        queue: Requests that may wait.
        sampling: What its makers recommend, where the model's files do not say.
    """

    context: int
    cache_tokens: int
    precision: Precision = "auto"
    device: str = "auto"
    threads: int | None = None
    queue: int = 256
    sampling: Sampling | None = None


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A model in memory."""

    lm: LocalLM
    engine: Engine
    tokenizer: Tokenizer

    @property
    def is_open(self) -> bool:
        """It answers: its engine has neither been shut down nor broken."""
        return self.engine.is_open

    def close(self, grace: float) -> None:
        """Frees everything; running replies get `grace` seconds to end. Blocks."""
        self.engine.shutdown(grace)


def load_local(
    name: str, path: Path, options: LoadOptions, progress: LoadProgress | None = None
) -> LocalModel:
    """Opens the model at `path` (a folder or a GGUF file) and makes it ready to answer.

    `progress` hears bytes read and bytes in all. Raises `FormatError` and its kin for files that
    are no model, `SettingsError` for a context beyond what the model was made for.
    """
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    checkpoint = open_checkpoint(path)
    if progress is not None:
        progress(0, checkpoint.size_bytes)
    config = checkpoint.config
    if options.context > config.context_length:
        raise SettingsError(
            f"The context is set to {options.context} tokens, but {name} was made for "
            f"{config.context_length}. Set --ctx to at most that.",
            param="ctx",
        )
    device = pick_device(options.device)
    # Weights are packed in a thread that ends. OpenMP keeps a team of threads for every thread that
    # ever computed; with one left over beside the engine's, there are more than cores, waits no
    # longer spin, and a token took three times as long.
    told = replace(checkpoint, tensors=_Told(checkpoint, progress))
    with ThreadPoolExecutor(max_workers=1) as beside:
        packing = beside.submit(load_quantized, told, options.precision, device)
        tokenizer = load_tokenizer(path)
        model = packing.result()
    # Positions that stretch with the length must not depend on who else is served.
    model.fixed_length = options.context
    blocks = -(-options.cache_tokens // BLOCK_SIZE)
    runner = TorchRunner(model, blocks=blocks, block_size=BLOCK_SIZE, device=device)
    engine = Engine(
        runner,
        tokenizer,
        EngineLimits(context=options.context, queue=options.queue),
        name=f"engine {name}",
    )
    lm = LocalLM(
        name,
        engine,
        tokenizer,
        context_length=engine.context_length,
        vocab_size=config.vocab_size,
        defaults=_defaults(checkpoint.generation, options.sampling),
    )
    return LocalModel(lm, engine, tokenizer)


def pick_device(wanted: str) -> str:
    """The device that `auto` means here; `SettingsError` for one that is not there."""
    found = ["cpu"]
    if torch.cuda.is_available():
        found = ["cuda", *(f"cuda:{i}" for i in range(torch.cuda.device_count())), *found]
    if torch.backends.mps.is_available():
        found = ["mps", *found]
    if wanted == "auto":
        return found[0]
    if wanted not in found:
        raise SettingsError(
            f"There is no device {wanted!r} here; there is {', '.join(found)}.", param="device"
        )
    return wanted


def _defaults(generation: Mapping[str, Any], recommended: Sampling | None) -> Sampling:
    """Sampling from generation_config.json first, then what the card recommends."""
    names = ("temperature", "top_k", "top_p", "repetition_penalty")
    said = {name: generation[name] for name in names if generation.get(name) is not None}
    if generation.get("do_sample") is False:
        said = {"temperature": 0.0}
    for name in names:
        if name not in said and recommended is not None:
            said[name] = getattr(recommended, name)
    return Sampling(**said)


class _Told(Mapping[str, SourceTensor]):
    """A checkpoint's tensors; whoever takes one tells how many bytes were taken so far."""

    def __init__(self, checkpoint: Checkpoint, progress: LoadProgress | None) -> None:
        self._tensors = checkpoint.tensors
        self._total = checkpoint.size_bytes
        self._progress = progress
        self._taken: set[str] = set()
        self._bytes = 0

    def __getitem__(self, name: str) -> SourceTensor:
        tensor = self._tensors[name]
        if name not in self._taken:
            self._taken.add(name)
            self._bytes += tensor.size_bytes
            if self._progress is not None:
                self._progress(self._bytes, self._total)
        return tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)
