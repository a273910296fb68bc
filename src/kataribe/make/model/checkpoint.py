"""Model files in: a Hugging Face folder or a GGUF file, tensor by tensor.

Opening reads headers only, and checks that every parameter is there in the right shape and that
nothing is left over. The files stay mapped; a tensor is read when somebody asks for its values.
Nothing here needs PyTorch; `loading` fills a `Decoder`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kataribe.base.errors import FormatError, NotFoundError
from kataribe.files.gguf import open_gguf
from kataribe.make.model.config import ModelConfig
from kataribe.make.model.families import config_from_hf
from kataribe.make.model.folder import PICKLES, open_weights, read_json, refuse_pickle
from kataribe.make.model.gguf_settings import FACTOR_TENSORS, config_from_gguf
from kataribe.make.model.names import Place, gguf_places, hf_places
from kataribe.make.model.sources import SourceTensor, StoredTensor, place_tensor


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """An open model.

    Attributes:
        path: The folder or file.
        config: What it is.
        tensors: Parameters by the names of `Decoder.named_parameters()`; a tied head has none.
        generation: Default sampling, from generation_config.json; empty where there is none.
        settings: config.json as it is, or the metadata of a GGUF file.
    """

    path: Path
    config: ModelConfig
    tensors: Mapping[str, SourceTensor]
    generation: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def size_bytes(self) -> int:
        """Bytes of all parameters as they lie in the files."""
        return sum(tensor.size_bytes for tensor in self.tensors.values())


def open_checkpoint(path: Path) -> Checkpoint:
    """Opens a folder with config.json and safetensors, or a GGUF file.

    Raises:
        NotFoundError: There is nothing.
        ArchitectureError: The model is of a family that is not built here.
        FormatError: A file is corrupt or hostile, is a pickle, or lacks a tensor, has one too
            many or one of another shape; the message names it.
        StorageError: A file cannot be read.
    """
    if not path.exists():
        raise NotFoundError(f"{path} does not exist.")
    if path.is_dir():
        return _open_folder(path)
    if path.suffix.lower() in PICKLES:
        raise refuse_pickle(path)
    return _open_gguf(path)


def _open_folder(folder: Path) -> Checkpoint:
    settings = read_json(folder / "config.json")
    config = config_from_hf(settings)
    stored = open_weights(folder, config)
    generation = folder / "generation_config.json"
    return Checkpoint(
        folder,
        config,
        _gather(hf_places(config), stored, folder),
        read_json(generation) if generation.is_file() else {},
        settings,
    )


def _open_gguf(path: Path) -> Checkpoint:
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
    return Checkpoint(path, config, _gather(places, stored, path), {}, file.metadata)


def _gather(
    places: Mapping[str, Place], stored: Mapping[str, StoredTensor], path: Path
) -> dict[str, SourceTensor]:
    """Each parameter from its place; what is missing, misshaped or left over is refused."""
    for place in places.values():
        found = stored.get(place.source)
        if found is None:
            raise FormatError(f"{path.name} lacks the tensor {place.source!r}.")
        if found.shape != place.source_shape:
            raise FormatError(
                f"{path.name}: tensor {place.source!r} has shape {found.shape}, but the model's "
                f"settings ask for {place.source_shape}."
            )
    extra = set(stored) - {place.source for place in places.values()}
    if extra:
        raise FormatError(
            f"{path.name} has {len(extra)} tensors that the model has no place for, such as "
            f"{min(extra)!r}. It is not the model that its settings describe."
        )
    return {name: place_tensor(stored[place.source], place) for name, place in places.items()}
