"""What a published family is: how its config.json becomes a `ModelConfig`, and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kataribe.make.model.configs.config import Family, ModelConfig
from kataribe.make.model.configs.fields import Fields


@dataclass(frozen=True)
class FamilyLayout:
    """One family's config.json.

    Attributes:
        family: Its name here.
        class_name: The class of `transformers` that a saved config.json names.
        defaults: What a setting is where config.json leaves it out; published files leave out
            a lot.
        read: The settings, with the defaults filled in, to the model. What it does not ask for
            is refused afterwards.
        write: The model to its settings; without those that all families share (`model_type`,
            `architectures`, `vocab_size`, `tie_word_embeddings`).
        model_types: Values of `model_type` that mean this family; the first is written.
        aliases: Other names of settings, each with the name that `read` asks for.
    """

    family: Family
    class_name: str
    defaults: Mapping[str, Any]
    read: Callable[[Fields], ModelConfig]
    write: Callable[[ModelConfig], dict[str, Any]]
    model_types: tuple[str, ...]
    aliases: Mapping[str, str] = field(default_factory=dict)
