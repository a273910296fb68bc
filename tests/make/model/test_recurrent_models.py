"""Decoders with recurrent layers, from files and back: shapes, packing, types, own layout."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from kataribe.base.errors import ArchitectureError, ContextLengthError, FormatError
from kataribe.make.adapt.precision import load_quantized
from kataribe.make.model.configs.config import ExpertsConfig, ModelConfig, RopeConfig
from kataribe.make.model.configs.counting import flops_per_token, parameter_count, state_bytes
from kataribe.make.model.configs.mixer_config import HyenaSpec, Mamba2Spec, MambaSpec
from kataribe.make.model.configs.shapes import shapes
from kataribe.make.model.decoder import Decoder
from kataribe.make.model.families import config_from_hf, config_to_hf
from kataribe.make.model.layers.attention import CachedAttend, CausalAttend
from kataribe.make.model.reference import generate_reference
from kataribe.make.model.weights.checkpoint import open_checkpoint
from kataribe.make.model.weights.loading import load_model
from kataribe.make.model.weights.names import gguf_places
from kataribe.make.model.weights.saving import save_pretrained
from kataribe.make.model.weights.skeleton import skeleton

MAMBA = MambaSpec(width=64, states=4, kernel=4, step_rank=3, norms=True, bias=True)
MAMBA2 = Mamba2Spec(
    heads=4, head_dim=16, states=6, groups=2, kernel=3, step_limits=(0.1, 2.0), bias=True
)
HYENA = HyenaSpec(order=3, features=5, filter_width=8, filter_layers=1)
MIX: dict[str, Any] = {
    "family": "kataribe", "vocab_size": 61, "hidden_size": 32, "layers": 4, "heads": 4,
    "kv_heads": 2, "head_dim": 8, "intermediate_size": 64, "context_length": 64,
    "windows": (None, 5, None, None), "rope": RopeConfig(500.0), "query_scalar": 8.0,
    "mixers": ("hyena", "attention", "mamba", "mamba2"), "mamba": MAMBA, "mamba2": MAMBA2,
    "hyena": HYENA,
}  # fmt: skip
PURE: dict[str, Any] = MIX | {
    "family": "mamba2", "heads": 0, "kv_heads": 0, "head_dim": 0, "intermediate_size": 0,
    "windows": (None,) * 4, "rope": None, "positionless": True, "float32_residual": True,
    "mixers": ("mamba2",) * 4, "mamba": None, "hyena": None, "query_scalar": 64.0,
}  # fmt: skip
CONFIGS = {
    "mix": ModelConfig(**MIX),
    "mix with experts": ModelConfig(
        **MIX,
        experts=ExpertsConfig(
            4, 2, 24, (True, False, True, True), shared_width=8, shared_gate=True, normalized=True
        ),
    ),
    "mix with learned positions": ModelConfig(**MIX | {"rope": None, "norm": "layer"}),
    "pure": ModelConfig(**PURE),
}


def build(config: ModelConfig) -> Decoder:
    torch.manual_seed(5)
    model = Decoder(config).eval()
    with torch.no_grad():
        for part in model.parameters():
            part.add_(0.1 * torch.randn(part.shape))
    return model


def logits(model: Decoder, ids: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        positions = torch.arange(ids.shape[1]).expand(ids.shape)
        return model.logits(model(ids, positions, CausalAttend(model.config)))


IDS = torch.randint(0, 61, (2, 20), generator=torch.Generator().manual_seed(6))


@pytest.mark.parametrize("name", CONFIGS)
def test_shapes_and_counts_are_those_of_the_decoder(name: str) -> None:
    config = CONFIGS[name]
    model = build(config)
    found = {name: tuple(part.shape) for name, part in model.named_parameters()}
    assert list(found.items()) == list(shapes(config).items())
    assert parameter_count(config) == sum(part.numel() for part in model.parameters())
    assert {n: tuple(p.shape) for n, p in skeleton(config).named_parameters()} == found
    cache = CachedAttend(config, 20, batch=1)
    with torch.inference_mode():
        model(IDS[:1], torch.arange(20)[None], cache)
    held = sum(part.nbytes for state in cache.states.values() for part in state)
    assert held == state_bytes(config, 20)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_saved_model_says_the_same(tmp_path: Path, name: str) -> None:
    model = build(CONFIGS[name])
    save_pretrained(model, tmp_path / "one")
    checkpoint = open_checkpoint(tmp_path / "one")
    assert checkpoint.config == CONFIGS[name]
    loaded = load_model(checkpoint)
    expected = logits(model, IDS)
    assert expected.std() > 0.3
    assert torch.equal(logits(loaded, IDS), expected)
    save_pretrained(checkpoint, tmp_path / "two")
    assert torch.equal(logits(load_model(open_checkpoint(tmp_path / "two")), IDS), expected)


@pytest.mark.parametrize("name", CONFIGS)
def test_written_token_by_token_it_is_what_was_read_at_once(name: str) -> None:
    model = build(CONFIGS[name])
    expected = logits(model, IDS)
    cache = CachedAttend(model.config, 20, batch=2)
    for low, high in ((0, 7), (7, 8), (8, 9), (9, 20)):
        with torch.inference_mode():
            positions = torch.arange(low, high).expand(2, -1)
            found = model.logits(model(IDS[:, low:high], positions, cache))
        torch.testing.assert_close(found, expected[:, low:high], rtol=1e-3, atol=1e-4)
    with pytest.raises(ContextLengthError), torch.inference_mode():
        model(IDS[:, :1], torch.tensor([[20], [20]]), cache)


def test_the_reference_generator_says_what_whole_sequences_say() -> None:
    model = build(CONFIGS["mix"])
    prompt = IDS[0, :5].tolist()
    reply = generate_reference(model, prompt, 12)
    history = list(prompt)
    for token in reply:
        assert int(logits(model, torch.tensor([history]))[0, -1].argmax()) == token
        history.append(token)


@pytest.mark.parametrize("name", CONFIGS)
def test_padding_and_documents_touch_nobody(name: str) -> None:
    model = build(CONFIGS[name])
    mask = torch.ones(2, 20, dtype=torch.bool)
    mask[0, :6], mask[1, 17:] = False, False
    positions = (mask.long().cumsum(1) - 1).clamp(min=0)
    with torch.inference_mode():
        found = model.logits(model(IDS, positions, CausalAttend(model.config, mask)))
    for row in range(2):
        alone = logits(model, IDS[row : row + 1, mask[row]])
        torch.testing.assert_close(found[row, mask[row]], alone[0], rtol=1e-3, atol=1e-4)
    documents = torch.tensor([[0] * 8 + [1] * 12, [0] * 1 + [1] * 18 + [-1]])
    counted = torch.tensor([[*range(8), *range(12)], [0, *range(18), 0]])
    with torch.inference_mode():
        packed = CausalAttend(model.config, documents=documents)
        found = model.logits(model(IDS, counted, packed))
    for row, low, high in ((0, 0, 8), (0, 8, 20), (1, 0, 1), (1, 1, 19)):
        alone = logits(model, IDS[row : row + 1, low:high])
        torch.testing.assert_close(found[row, low:high], alone[0], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", CONFIGS)
def test_in_bfloat16_what_runs_along_the_sequence_stays_float32(tmp_path: Path, name: str) -> None:
    save_pretrained(build(CONFIGS[name]), tmp_path)
    model = load_model(open_checkpoint(tmp_path), dtype=torch.bfloat16)
    for part, value in model.named_parameters():
        own = part.endswith(("A_log", ".D", "dt_bias")) or any(
            each in part
            for each in (".conv.", ".filter.", ".step.", ".router.", "shared_gate", "norm")
        )
        assert value.dtype == (torch.float32 if own else torch.bfloat16), part
    found, expected = logits(model, IDS), logits(load_model(open_checkpoint(tmp_path)), IDS)
    assert (found - expected).abs().max() < 0.1 * expected.std() * 4
    cache = CachedAttend(model.config, 20, dtype=torch.bfloat16)
    with torch.inference_mode():
        model(IDS[:1], torch.arange(20)[None], cache)
    assert all(part.dtype == torch.float32 for state in cache.states.values() for part in state)


def test_a_float32_residual_tells_in_bfloat16(tmp_path: Path) -> None:
    save_pretrained(build(CONFIGS["pure"]), tmp_path)
    exact = logits(load_model(open_checkpoint(tmp_path)), IDS)
    errors = {}
    for kept in (True, False):
        settings = json.loads((tmp_path / "config.json").read_text())
        (tmp_path / "config.json").write_text(json.dumps(settings | {"residual_in_fp32": kept}))
        model = load_model(open_checkpoint(tmp_path), dtype=torch.bfloat16)
        seen: list[torch.dtype] = []
        model.norm.register_forward_pre_hook(
            lambda _, given, seen=seen: seen.append(given[0].dtype)
        )
        errors[kept] = float((logits(model, IDS) - exact).abs().mean())
        assert seen == [torch.float32 if kept else torch.bfloat16]
    assert errors[True] < errors[False]


@pytest.mark.parametrize("precision", ["int8", "int4", "bfloat16"])
@pytest.mark.parametrize("name", ["mix", "pure"])
def test_packed_models_say_nearly_the_same(tmp_path: Path, name: str, precision: Any) -> None:
    model = build(CONFIGS[name])
    save_pretrained(model, tmp_path)
    packed = load_quantized(open_checkpoint(tmp_path), precision, "cpu")
    with torch.inference_mode():
        cache = CachedAttend(model.config, 20, dtype=torch.bfloat16)
        ids = IDS[:1]
        found = packed.logits(packed(ids, torch.arange(20)[None], cache))
    expected = logits(model, ids)
    most = {"int8": 0.2, "int4": 0.6, "bfloat16": 0.1}[precision]
    assert (found - expected).abs().mean() < most * expected.std()


def test_gguf_has_no_names_for_such_layers() -> None:
    with pytest.raises(FormatError, match="no name"):
        gguf_places(CONFIGS["mix"], interleaved=False, fused=False)


def test_other_families_cannot_say_a_mix() -> None:
    for family in ("llama", "mamba", "mamba2", "jamba"):
        with pytest.raises(FormatError):
            config_to_hf(dataclasses.replace(CONFIGS["mix"], family=family))
    uneven = ("attention", "attention", "mamba", "attention")
    changes = {"rope": None, "positionless": True, "windows": (None,) * 4, "mixers": uneven}
    jamba = ModelConfig(**MIX | changes | {"family": "jamba", "mamba2": None, "hyena": None})
    with pytest.raises(FormatError, match="Save the model as family kataribe"):
        config_to_hf(jamba)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"mamba": None}, "mamba must be given"),
        ({"mixers": ("attention",) * 4}, "mamba must be given"),
        ({"mixers": ("mamba",) * 3}, "mixers has 3 entries for 4"),
        ({"mixers": ("mamba", "rwkv", "mamba2", "hyena")}, "'rwkv'"),
        ({"post_norms": True}, "without post_norms"),
        ({"positionless": True}, "without rope"),
        ({"float32_residual": True}, "without attention and MLPs"),
        ({"heads": 0}, "heads is 0"),
        ({"intermediate_size": 0}, "intermediate_size is 0"),
        ({"mamba": {"width": 0}}, "mamba width is 0"),
        ({"mamba": {"norms": "yes"}}, "must be true or false"),
        ({"mamba2": {"groups": 3}}, "groups 3"),
        ({"hyena": {"order": 1}}, "at least 2"),
        ({"hyena": {"features": 4}}, "must be odd"),
        ({"hyena": {"filter_layers": 99}}, "at most 16"),
        ({"hyena": {"fast_decay": 0.0}}, "fast_decay"),
    ],
)
def test_configurations_that_cannot_be_are_refused(changes: dict[str, Any], words: str) -> None:
    settings = config_to_hf(CONFIGS["mix"])
    for name, value in changes.items():
        settings[name] = settings[name] | value if isinstance(value, dict) else value
    with pytest.raises(FormatError, match=words):
        config_from_hf(json.loads(json.dumps(settings)))


def test_heads_without_attention_are_refused() -> None:
    with pytest.raises(FormatError, match="No layer attends"):
        ModelConfig(**PURE | {"heads": 2, "kv_heads": 2, "head_dim": 8})


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"hidden_size": "wide"}, "hidden_size"),
        ({"mixers": None, "layers": None}, "layers"),
        ({"mamba": [1]}, "an object"),
        ({"mamba": {**dataclasses.asdict(MAMBA), "heads": 3}}, "sets 'heads'"),
        ({"windows": [[1], 2, 3, 4]}, "plain values"),
        ({"gated": "no"}, "true or false"),
        ({"speed": 3}, "sets 'speed'"),
    ],
)
def test_a_config_of_the_own_family_is_read_with_care(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(FormatError, match=words):
        config_from_hf(config_to_hf(CONFIGS["mix"]) | wrong)


def test_an_unknown_family_is_refused_with_all_that_are_known() -> None:
    with pytest.raises(ArchitectureError, match="kataribe"):
        config_from_hf({"model_type": "rwkv"})


def test_work_grows_with_the_position_only_where_layers_look_back() -> None:
    pure = CONFIGS["pure"]
    assert flops_per_token(pure, 3) == flops_per_token(pure, 50)
    mix = CONFIGS["mix"]
    grown = flops_per_token(mix, 50) - flops_per_token(mix, 10)
    assert grown == 2 * 32 * 2 * 40  # two long convolutions; the window of attention is full
