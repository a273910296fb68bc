"""Published families of decoders: their config.json to `ModelConfig` and back."""

from kataribe.make.model.families.registry import (
    DEFAULTS,
    LAYOUTS,
    MODEL_TYPES,
    config_from_hf,
    config_to_hf,
)

__all__ = ["DEFAULTS", "LAYOUTS", "MODEL_TYPES", "config_from_hf", "config_to_hf"]
