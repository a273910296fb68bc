"""The PyTorch way from an open checkpoint to a runner: any device, any family, float32 too."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import torch

from kataribe.base.errors import SettingsError
from kataribe.make.adapt.precision import Precision, activation_dtype, load_quantized
from kataribe.make.model.configs.encoder_decoder_config import EncoderDecoderConfig
from kataribe.make.model.weights.checkpoint import Checkpoint
from kataribe.make.model.weights.encoder_decoder_files import load_encoder_decoder
from kataribe.run.inference.runner import TorchRunner
from kataribe.run.inference.source_runner import EncoderDecoderRunner


def load_torch_runner(
    checkpoint: Checkpoint,
    precision: Precision,
    device: str,
    *,
    blocks: int,
    block_size: int,
    context: int,
    threads: int | None,
) -> TorchRunner:
    """A runner over the checkpoint's `Decoder`; arguments as in `LoadOptions`."""
    if threads is not None:
        torch.set_num_threads(threads)
    chosen = pick_device(device)
    # Weights are packed in a thread that ends. OpenMP keeps a team of threads for every thread that
    # ever computed; with one left over beside the engine's, there are more than cores, waits no
    # longer spin, and a token took three times as long.
    with ThreadPoolExecutor(max_workers=1) as beside:
        model = beside.submit(load_quantized, checkpoint, precision, chosen).result()
    # Positions that stretch with the length must not depend on who else is served.
    model.fixed_length = context
    return TorchRunner(model, blocks=blocks, block_size=block_size, device=chosen)


def load_source_runner(
    checkpoint: Checkpoint[EncoderDecoderConfig],
    precision: Precision,
    device: str,
    *,
    blocks: int,
    block_size: int,
    threads: int | None,
) -> EncoderDecoderRunner:
    """A runner over the checkpoint's `EncoderDecoder`; arguments as in `LoadOptions`.

    `SettingsError` for a precision in which these models are not held.
    """
    if precision in ("int8", "int4"):
        raise SettingsError(
            f"Precision {precision} is for decoders; an encoder-decoder is held in float32 or "
            "bfloat16. Choose one of these, or auto.",
            param="precision",
        )
    if threads is not None:
        torch.set_num_threads(threads)
    chosen = pick_device(device)
    dtype = activation_dtype(precision, chosen)
    with ThreadPoolExecutor(max_workers=1) as beside:  # as above
        loading = beside.submit(load_encoder_decoder, checkpoint, dtype=dtype, device=chosen)
        model = loading.result()
    return EncoderDecoderRunner(model, blocks=blocks, block_size=block_size, device=chosen)


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
