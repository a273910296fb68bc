"""Whether a config.json says all that a configuration does: it is read again and compared."""

from __future__ import annotations

import dataclasses
from typing import TypeVar

from kataribe.base.errors import FormatError
from kataribe.make.model.configs.config import ModelConfig
from kataribe.make.model.configs.encoder_config import EncoderConfig
from kataribe.make.model.configs.encoder_decoder_config import EncoderDecoderConfig

Config = TypeVar("Config", ModelConfig, EncoderConfig, EncoderDecoderConfig)


def check_reads_back(config: Config, back: Config) -> None:
    """Raises `FormatError`, naming the field, where what was read again is another."""
    for field in dataclasses.fields(config):
        wanted, got = getattr(config, field.name), getattr(back, field.name)
        if wanted != got:
            raise FormatError(
                f"A {config.family} config.json cannot say {field.name} = {wanted!r:.80}: it would "
                f"be read as {got!r:.80}. Change the model, or save it as another family."
            )
