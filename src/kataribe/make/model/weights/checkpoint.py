"""Model files in: a Hugging Face folder or a GGUF file, tensor by tensor, of any kind of model.

Opening reads headers only, and checks that every parameter is there in the right shape and that
nothing is left over. The files stay mapped; a tensor is read when somebody asks for its values.
Nothing here needs PyTorch; `loading` fills a `Decoder`. Decoders are opened here; another kind of
model has a `FolderKind` in `KINDS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kataribe.base.errors import ArchitectureError, NotFoundError
from kataribe.files.gguf import open_gguf
from kataribe.make.model.configs.config import ModelConfig
from kataribe.make.model.configs.encoder_decoder_config import SOURCE_FAMILIES
from kataribe.make.model.families import config_from_hf
from kataribe.make.model.families.encoder import ENCODER_MODEL_TYPES
from kataribe.make.model.weights.encoder_decoder_folder import open_encoder_decoder_folder
from kataribe.make.model.weights.encoder_folder import open_encoder_folder
from kataribe.make.model.weights.folder import PICKLES, open_weights, read_json, refuse_pickle
from kataribe.make.model.weights.gguf_settings import FACTOR_TENSORS, config_from_gguf
from kataribe.make.model.weights.names import gguf_places, hf_places
from kataribe.make.model.weights.opened import AnyConfig, Checkpoint, gather
from kataribe.make.model.weights.sources import StoredTensor


@dataclass(frozen=True)
class FolderKind:
    """Models other than decoders, kept as folders.

    Attributes:
        what: `an encoder`, for errors.
        use: What such a model is good for and what opens it, a sentence for errors.
        model_types: Values of `model_type` in config.json.
        open: Opens the folder, given its config.json.
    """

    what: str
    use: str
    model_types: frozenset[str]
    open: Callable[[Path, Mapping[str, Any]], Checkpoint[AnyConfig]]


KINDS: tuple[FolderKind, ...] = (
    FolderKind(
        "an encoder-decoder",
        "It reads a source and writes a target: serve it by name, or open it with open_any.",
        frozenset(SOURCE_FAMILIES),
        open_encoder_decoder_folder,
    ),
    FolderKind(
        "an encoder",
        "It makes vectors or labels: `kataribe embed` and /v1/embeddings, `kataribe classify` and "
        "/v1/classify serve it, and open_encoder opens it.",
        frozenset(ENCODER_MODEL_TYPES),
        open_encoder_folder,
    ),
)
"""All kinds but decoders."""


def open_any(path: Path) -> Checkpoint[AnyConfig]:
    """Opens a model of any kind; raises as `open_checkpoint` does."""
    _check_path(path)
    if not path.is_dir():
        return _open_gguf(path)
    settings = read_json(path / "config.json")
    kind = _kind(settings)
    return _open_folder(path, settings) if kind is None else kind.open(path, settings)


def open_checkpoint(path: Path) -> Checkpoint[ModelConfig]:
    """Opens a decoder: a folder with config.json and safetensors, or a GGUF file.

    Raises:
        NotFoundError: There is nothing.
        ArchitectureError: The model is of a family that is not built here, or no decoder.
        FormatError: A file is corrupt or hostile, is a pickle, or lacks a tensor, has one too
            many or one of another shape; the message names it.
        StorageError: A file cannot be read.
    """
    _check_path(path)
    if not path.is_dir():
        return _open_gguf(path)
    settings = read_json(path / "config.json")
    kind = _kind(settings)
    if kind is not None:
        raise ArchitectureError(
            f"{path.name} is {kind.what} ({settings['model_type']}), and what is asked for here is "
            f"a decoder, which continues text. {kind.use}"
        )
    return _open_folder(path, settings)


def _check_path(path: Path) -> None:
    if not path.exists():
        raise NotFoundError(f"{path} does not exist.")
    if not path.is_dir() and path.suffix.lower() in PICKLES:
        raise refuse_pickle(path)


def _kind(settings: Mapping[str, Any]) -> FolderKind | None:
    named = settings.get("model_type")
    return next((kind for kind in KINDS if named in kind.model_types), None)


def _open_folder(folder: Path, settings: Mapping[str, Any]) -> Checkpoint[ModelConfig]:
    config = config_from_hf(settings)
    stored = open_weights(folder, config, settings)
    generation = folder / "generation_config.json"
    return Checkpoint(
        folder,
        config,
        gather(hf_places(config), stored, folder),
        read_json(generation) if generation.is_file() else {},
        settings,
    )


def _open_gguf(path: Path) -> Checkpoint[ModelConfig]:
    file = open_gguf(path)
    config = config_from_gguf(file)
    stored = {
        name: StoredTensor(tensor.shape, tensor.kind, tensor.raw)
        for name, tensor in file.tensors.items()
        if name.removesuffix(".weight") not in FACTOR_TENSORS
    }
    places = gguf_places(
        config,
        interleaved=file.metadata["general.architecture"] == "llama",
        fused="blk.0.attn_qkv.weight" in stored,
    )
    return Checkpoint(path, config, gather(places, stored, path), {}, file.metadata)


__all__ = ["KINDS", "AnyConfig", "Checkpoint", "FolderKind", "open_any", "open_checkpoint"]
