"""An open model: what it is, and its parameters as they lie in files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeAlias

from typing_extensions import TypeVar

from kataribe.base.errors import FormatError
from kataribe.make.model.configs.config import ModelConfig
from kataribe.make.model.configs.encoder_config import EncoderConfig
from kataribe.make.model.configs.encoder_decoder_config import EncoderDecoderConfig
from kataribe.make.model.weights.names import Place
from kataribe.make.model.weights.sources import SourceTensor, StoredTensor, place_tensor

AnyConfig: TypeAlias = ModelConfig | EncoderConfig | EncoderDecoderConfig
"""The configurations of all kinds of models."""
ConfigT_co = TypeVar("ConfigT_co", bound=AnyConfig, covariant=True, default=ModelConfig)


@dataclass(frozen=True, eq=False)
class Checkpoint(Generic[ConfigT_co]):
    """An open model.

    Attributes:
        path: The folder or file.
        config: What it is.
        tensors: Parameters by the names of the module's `named_parameters()`; a tied head has none.
        generation: Default sampling, from generation_config.json; empty where there is none.
        settings: config.json as it is, or the metadata of a GGUF file.
    """

    path: Path
    config: ConfigT_co
    tensors: Mapping[str, SourceTensor]
    generation: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def size_bytes(self) -> int:
        """Bytes of all parameters as they lie in the files."""
        return sum(tensor.size_bytes for tensor in self.tensors.values())


def gather(
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
