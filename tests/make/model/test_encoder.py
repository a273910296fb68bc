"""The encoder's shapes and figures against the thing itself; pooling settings there and back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from kataribe.base.errors import FormatError, UnsupportedError
from kataribe.make.model.configs.encoder_config import EncoderConfig
from kataribe.make.model.encoder import Encoder, FullAttend
from kataribe.make.model.families.encoder import encoder_from_hf, encoder_to_hf
from kataribe.make.model.weights.encoder_loading import save_encoder
from kataribe.make.model.weights.encoder_shapes import (
    encoder_flops,
    encoder_parameter_count,
    encoder_shapes,
)
from kataribe.make.model.weights.sentences import SentenceSettings, read_sentence_settings

SIZES: dict[str, Any] = {
    "vocab_size": 50, "hidden_size": 24, "layers": 2, "heads": 3, "intermediate_size": 40,
    "context_length": 30,
}  # fmt: skip
KINDS: dict[str, dict[str, Any]] = {
    "bare": {},
    "pooler": {"pooler": True},
    "masked": {"head": "masked", "head_activation": "gelu"},
    "untied": {"head": "masked", "head_activation": "gelu", "tied": False},
    "classify": {"head": "classify", "pooler": True, "labels": ("a", "b", "c")},
    "tag": {"head": "tag", "labels": ("O", "B", "I", "E")},
    "distilbert": {"family": "distilbert", "token_types": 0},
    "roberta": {"family": "roberta", "position_offset": 2, "padding_id": 1},
}


def made(name: str) -> EncoderConfig:
    return EncoderConfig(**{"family": "bert", **SIZES, **KINDS[name]})


@pytest.mark.parametrize("name", KINDS)
def test_shapes_are_those_of_the_model(name: str) -> None:
    model = Encoder(made(name))
    real = {key: tuple(value.shape) for key, value in model.named_parameters()}
    assert encoder_shapes(model.config) == real
    assert list(encoder_shapes(model.config)) == list(real)
    assert encoder_parameter_count(model.config) == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("name", KINDS)
def test_operations_are_those_that_are_done(name: str) -> None:
    model = Encoder(made(name)).eval()
    length = 17
    ids, positions = torch.ones(1, length, dtype=torch.int64), torch.arange(length)[None]
    # The counter knows the plain form of attention; it passes over the fused one for processors.
    plain = sdpa_kernel(SDPBackend.MATH)
    with FlopCounterMode(display=False) as counted, torch.no_grad(), plain:
        hidden = model(ids, positions, FullAttend(model.config))
        if model.config.head == "classify":
            model.logits(hidden[:, 0])
        elif model.config.head != "none":
            model.logits(hidden)
        elif model.config.pooler:
            model.pooled(hidden[:, 0])
    assert encoder_flops(model.config, length) == counted.get_total_flops()


@pytest.mark.parametrize("name", KINDS)
def test_configuration_goes_there_and_back(name: str) -> None:
    config = made(name)
    settings = json.loads(json.dumps(encoder_to_hf(config)))
    back = encoder_from_hf(settings)
    if not config.pooler and config.head == "none":
        assert back.pooler == (config.family != "distilbert")  # only the tensors can tell
    else:
        assert back == config


def test_what_config_json_cannot_say_is_refused() -> None:
    config = EncoderConfig(**{"family": "bert", **SIZES, "position_offset": 2})
    with pytest.raises(FormatError, match="context_length = 30"):
        encoder_to_hf(config)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"family": "gpt2"}, "family is 'gpt2'"),
        ({"heads": 5}, "5 heads cannot share"),
        ({"layers": 0}, "layers is 0"),
        ({"layers": 10**6}, "layers is 1000000"),
        ({"vocab_size": True}, "vocab_size is True"),
        ({"norm_eps": float("nan")}, "norm_eps is nan"),
        ({"padding_id": 50}, "padding_id is 50"),
        ({"head": "tag"}, "0 labels"),
        ({"labels": ("a",)}, "needs none"),
        ({"head": "tag", "labels": ("a", "a")}, "1 of them different"),
        ({"head": "classify", "labels": ("a",)}, "needs a pooler"),
        ({"head": "masked", "pooler": True}, "no use for a pooler"),
    ],
)
def test_impossible_configurations_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        EncoderConfig(**{"family": "bert", **SIZES, **change})


def test_a_head_that_is_not_there_is_an_error() -> None:
    model = Encoder(made("bare"))
    with pytest.raises(UnsupportedError, match="no head"):
        model.logits(torch.zeros(1, 24))
    with pytest.raises(UnsupportedError, match="no pooler"):
        model.pooled(torch.zeros(1, 24))
    distil = Encoder(made("distilbert"))
    ids = torch.ones(1, 3, dtype=torch.int64)
    with pytest.raises(UnsupportedError, match="token types"):
        distil(ids, torch.arange(3)[None], FullAttend(distil.config), ids)


SETTINGS = SentenceSettings(
    pooling="cls",
    normalize=False,
    prompts={"query": "q: ", "passage": "p: "},
    default_prompt="passage",
    max_tokens=12,
)


@pytest.mark.parametrize("settings", [SETTINGS, SentenceSettings(max_tokens=30)])
def test_sentence_settings_go_there_and_back(tmp_path: Path, settings: SentenceSettings) -> None:
    save_encoder(Encoder(made("bare")), tmp_path, sentences=settings)
    assert read_sentence_settings(tmp_path) == settings
    save_encoder(Encoder(made("bare")), tmp_path)
    assert read_sentence_settings(tmp_path) == SentenceSettings()  # nothing of before is left


def test_a_bare_folder_is_pooled_by_the_mean(tmp_path: Path) -> None:
    assert read_sentence_settings(tmp_path) == SentenceSettings("mean", normalize=True)


@pytest.mark.parametrize(
    ("modules", "pooling", "message"),
    [
        ([{"type": "sentence_transformers.models.Dense", "path": ""}], {}, "Dense"),
        ([{"type": "x.Pooling", "path": "../other"}], {}, "other"),
        ([{"type": "x.Pooling", "path": "p"}], {"pooling_mode_max_tokens": True}, "max_tokens"),
        ({"a": 1}, {}, "list of steps"),
    ],
)
def test_steps_that_are_not_built_are_refused(
    tmp_path: Path, modules: Any, pooling: dict[str, Any], message: str
) -> None:
    (tmp_path / "modules.json").write_text(json.dumps(modules))
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "config.json").write_text(json.dumps(pooling))
    with pytest.raises((UnsupportedError, FormatError), match=message):
        read_sentence_settings(tmp_path)
