"""From a model's files to a model that answers: checkpoint, precision, runner, engine, LM."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from kataribe.base.errors import SettingsError
from kataribe.base.lm import Sampling
from kataribe.make.model.weights.checkpoint import AnyConfig, Checkpoint, open_checkpoint
from kataribe.make.model.weights.encoder_decoder_folder import (
    forced_start,
    holds_encoder_decoder,
    open_encoder_decoder,
)
from kataribe.make.model.weights.sources import SourceTensor
from kataribe.make.tokens.load import load_tokenizer
from kataribe.make.tokens.tokenizer import Tokenizer
from kataribe.run.inference.engine import Engine
from kataribe.run.inference.local import LocalLM
from kataribe.run.inference.native.library import native_library
from kataribe.run.inference.native.runner import BLOCK_SIZE, NativeRunner, obstacle
from kataribe.run.inference.native.weights import PRECISIONS
from kataribe.run.inference.processors import on_processor, usable_threads
from kataribe.run.inference.requests import MOST_WITH_STATES, EngineLimits
from kataribe.run.inference.residents import LoadProgress
from kataribe.run.inference.source_lm import EncoderDecoderLM, greedy_unless_told
from kataribe.run.inference.step import Runner

Precision = Literal["auto", "float32", "bfloat16", "int8", "int4"]


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How a model is brought into memory.

    Attributes:
        context: Tokens of one prompt and reply together.
        cache_tokens: Tokens that the KV cache holds for all replies together.
        precision: How weights are held; `auto` keeps 4-bit blocks as they are and takes what is
            fastest here for the rest.
        device: cpu, cuda, cuda:1, mps, or auto.
        threads: That compute on the CPU; None for one per core.
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
    if holds_encoder_decoder(path):
        return _load_source(name, path, options, progress)
    checkpoint = open_checkpoint(path)
    if progress is not None:
        progress(0, checkpoint.size_bytes)
    config = checkpoint.config
    _check_context(name, options.context, config.context_length)
    told = replace(checkpoint, tensors=_Told(checkpoint, progress))
    with ThreadPoolExecutor(max_workers=1) as beside:
        loading = beside.submit(_load_runner, told, options)
        tokenizer = load_tokenizer(path)
        runner = loading.result()
    limits = EngineLimits(context=options.context, queue=options.queue)
    if config.is_recurrent:
        limits = replace(limits, running=min(limits.running, MOST_WITH_STATES))
    engine = Engine(
        runner,
        tokenizer,
        limits,
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


def _load_source(
    name: str, path: Path, options: LoadOptions, progress: LoadProgress | None
) -> LocalModel:
    """The same for an encoder-decoder, whose source and target each have a limit."""
    checkpoint = open_encoder_decoder(path)
    if progress is not None:
        progress(0, checkpoint.size_bytes)
    config = checkpoint.config
    _check_context(name, options.context, config.context_length)
    # Importing PyTorch takes more time than all else that a small model needs to answer.
    from kataribe.run.inference.torch_load import load_source_runner

    told = replace(checkpoint, tensors=_Told(checkpoint, progress))
    with ThreadPoolExecutor(max_workers=1) as beside:
        loading = beside.submit(
            load_source_runner,
            told,
            options.precision,
            options.device,
            blocks=-(-options.cache_tokens // BLOCK_SIZE),
            block_size=BLOCK_SIZE,
            threads=options.threads,
        )
        tokenizer = load_tokenizer(path)
        runner = loading.result()
    limits = EngineLimits(
        context=options.context,
        queue=options.queue,
        source=config.source_length if config.bounded else None,
        target=config.target_length if config.bounded else None,
    )
    engine = Engine(runner, tokenizer, limits, name=f"engine {name}")
    lm = EncoderDecoderLM(
        name,
        engine,
        tokenizer,
        context_length=engine.context_length,
        start=forced_start(checkpoint),
        vocab_size=config.vocab_size,
        defaults=greedy_unless_told(_defaults(checkpoint.generation, options.sampling)),
    )
    return LocalModel(lm, engine, tokenizer)


def _check_context(name: str, wanted: int, most: int) -> None:
    if wanted > most:
        raise SettingsError(
            f"The context is set to {wanted} tokens, but {name} was made for {most}. "
            "Set --ctx to at most that.",
            param="ctx",
        )


def _load_runner(checkpoint: Checkpoint, options: LoadOptions) -> Runner:
    """The native runner where it can, else PyTorch's."""
    blocks = -(-options.cache_tokens // BLOCK_SIZE)
    library = native_library()
    precision = options.precision
    if (
        library is not None
        and precision != "float32"
        and precision in PRECISIONS
        and obstacle(checkpoint.config) is None
        and (on_processor(options.device) or _finds_nothing_else(options.device))
    ):
        return NativeRunner(
            library,
            checkpoint,
            blocks=blocks,
            context=options.context,
            precision=precision,
            threads=options.threads or usable_threads(),
        )
    # Importing PyTorch takes more time than all else that a small model needs to answer.
    from kataribe.run.inference.torch_load import load_torch_runner

    return load_torch_runner(
        checkpoint,
        precision,
        options.device,
        blocks=blocks,
        block_size=BLOCK_SIZE,
        context=options.context,
        threads=options.threads,
    )


def _finds_nothing_else(device: str) -> bool:
    """PyTorch was asked, and computes `auto` on the processor, too."""
    if device != "auto":
        return False
    from kataribe.run.inference.torch_load import pick_device

    return pick_device(device) == "cpu"


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

    def __init__(self, checkpoint: Checkpoint[AnyConfig], progress: LoadProgress | None) -> None:
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
