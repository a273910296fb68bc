"""New models: first weights."""

from __future__ import annotations

import math

import torch
from torch import nn

from kataribe.make.model.configs.config import ModelConfig
from kataribe.make.model.decoder import Decoder
from kataribe.make.model.layers.mixers import own_values, recurrent_mixers
from kataribe.make.training.optimisers import is_outer


def fresh_decoder(config: ModelConfig, seed: int) -> Decoder:
    """A decoder with drawn weights: the same for the same seed, whatever was drawn before."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Decoder(config)
        draw_weights(model, config.layers)
    return model.train()


def draw_weights(model: nn.Module, layers: int) -> None:
    """Normal weights, 1 / sqrt(inputs) wide; 0.02 for embeddings and heads; biases are 0.

    Decays, step sizes, convolutions and filters of recurrent layers keep what they drew.

    What is added to the residual stream is smaller by sqrt(2 * layers), so that its size does not
    depend on the depth (Radford et al. 2019).
    """
    kept = {id(parameter) for mixer in recurrent_mixers(model) for parameter in own_values(mixer)}
    for name, parameter in model.named_parameters():
        if id(parameter) in kept:
            continue
        if parameter.dim() < 2:
            if name.endswith("bias"):
                nn.init.zeros_(parameter)
            continue
        width = 0.02 if is_outer(name) else 1 / math.sqrt(parameter.shape[-1])
        if name.endswith(("attention.output.weight", "mixer.output.weight", "mlp.down.weight")):
            width /= math.sqrt(2 * layers)
        nn.init.normal_(parameter, std=width)
