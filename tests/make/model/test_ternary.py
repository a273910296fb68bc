"""Ternary layers and files against `transformers`: `AutoBitLinear`, `BitLinear`, their packing."""

from __future__ import annotations

import importlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from transformers.utils.quantization_config import BitNetQuantConfig

from kataribe.base.errors import FormatError, InputError
from kataribe.make.adapt import make_ternary, settle_ternary
from kataribe.make.model.configs.config import ModelConfig
from kataribe.make.model.configs.mixer_config import MambaSpec
from kataribe.make.model.families import config_from_hf
from kataribe.make.model.layers.attention import CachedAttend, CausalAttend
from kataribe.make.model.layers.ternary import TernaryLinear, ternary_values
from kataribe.make.model.weights.checkpoint import open_checkpoint
from kataribe.make.model.weights.loading import load_model
from kataribe.make.model.weights.saving import save_pretrained
from kataribe.make.model.weights.ternary_files import is_ternary, pack
from tests.parity.tiny import (
    BASE,
    TOLERANCE,
    build,
    our_logits,
    padding,
    random_ids,
    reference_logits,
    relative_error,
)

with pytest.MonkeyPatch.context() as patch:  # theirs is compiled, which takes longer than all here
    patch.setattr(torch, "compile", lambda function: function)
    bitnet = importlib.import_module("transformers.integrations.bitnet")

ONLINE = {"linear_class": "autobitlinear", "quantization_mode": "online"}
OFFLINE = {"linear_class": "autobitlinear", "quantization_mode": "offline"}
PACKED = {"linear_class": "bitlinear", "quantization_mode": "offline"}


def theirs(mode: dict[str, Any], seed: int = 61, **changes: Any) -> Any:
    """A BitNet model of `transformers` with its ternary layers filled in.

    Their loader of such folders needs a package more; the layers themselves do not.
    """
    model = build(changes.pop("family", "bitnet"), seed, **changes)
    plain = {name: value.detach().clone() for name, value in model.state_dict().items()}
    model = bitnet.replace_with_bitnet_linear(
        model, modules_to_not_convert=["lm_head"], quantization_config=BitNetQuantConfig(**mode)
    )
    for name, module in model.named_modules():
        if not isinstance(module, bitnet.BitLinear | bitnet.AutoBitLinear):
            continue
        module.to_empty(device="cpu")
        weight = plain[f"{name}.weight"]
        if module.bias is not None:
            module.bias.data = plain[f"{name}.bias"]
        if mode is ONLINE:
            module.weight.data = weight
            continue
        values, scale = ternary_values(weight)
        if isinstance(module, bitnet.BitLinear):
            module.dtype = torch.float32
            module.weight = bitnet.pack_weights(values.clone())
            module.weight_scale = 1 / scale.reshape(1)
        else:
            module.weight.data = values
            module.weight_scale = scale.reshape(1)
    return model.eval()


def saved(model: Any, mode: dict[str, Any], folder: Path) -> Path:
    """The folder as published ones are: packed where it is offline."""
    folder.mkdir(exist_ok=True)
    tensors = {name: value.detach().clone() for name, value in model.state_dict().items()}
    if mode is OFFLINE:
        for name in [name for name in tensors if name.endswith("_scale")]:
            matrix = name.removesuffix("_scale")
            tensors[matrix] = bitnet.pack_weights(tensors[matrix].clone())
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    settings = json.loads(model.config.to_json_string())
    settings["quantization_config"] = {"quant_method": "bitnet", **mode}
    (folder / "config.json").write_text(json.dumps(settings))
    return folder


def assert_equal(ours: torch.Tensor, reference: torch.Tensor, mask: torch.Tensor) -> None:
    """Most tokens are within the tolerance; none is further than a level or two can move it.

    Where an input lies half-way between two of its 8-bit levels, the last bit of a float32 sum
    decides, and sums of other kernels have other last bits.
    """
    errors = ((ours - reference)[mask].abs().amax(-1) / reference[mask].std()).sort().values
    assert errors[len(errors) // 2] <= TOLERANCE
    assert errors[-1] <= 0.05


@pytest.mark.parametrize("mode", [ONLINE, OFFLINE, PACKED], ids=["online", "offline", "packed"])
@pytest.mark.parametrize("side", ["", "left"])
def test_ternary_folders_give_the_logits_of_transformers(
    tmp_path: Path, mode: dict[str, Any], side: str
) -> None:
    model = theirs(mode)
    saved(model, mode, tmp_path)
    ids = random_ids(62)
    mask, positions = padding(side, *ids.shape)
    reference = reference_logits(model, ids, mask, positions)
    assert_equal(our_logits(tmp_path, ids, mask, positions), reference, mask)
    plain = build("bitnet", 61)  # and the roundings matter
    assert relative_error(reference_logits(plain, ids, mask, positions), reference, mask) > 0.1


def test_other_families_can_be_ternary(tmp_path: Path) -> None:
    model = theirs(PACKED, family="llama", attention_bias=True, mlp_bias=True)
    saved(model, PACKED, tmp_path)
    ids = random_ids(63)
    mask, positions = padding("", *ids.shape)
    reference = reference_logits(model, ids, mask, positions)
    assert_equal(our_logits(tmp_path, ids, mask, positions), reference, mask)


@pytest.mark.parametrize("bias", [False, True])
def test_the_layer_and_its_gradients_are_those_of_transformers(bias: bool) -> None:
    generator = torch.Generator().manual_seed(64)
    reference = bitnet.AutoBitLinear(24, 16, bias=bias, online_quant=True)
    ours = TernaryLinear(24, 16, bias=bias, weights="rounded")
    ours.load_state_dict(reference.state_dict())
    x = torch.randn(3, 5, 24, generator=generator)
    found = []
    for layer in (reference, ours):
        taken = x.clone().requires_grad_()
        out = layer(taken)
        out.square().sum().backward()
        found.append((out.detach(), taken.grad, *(value.grad for value in layer.parameters())))
    for wanted, got in zip(*found, strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-6)


def test_training_moves_weights_through_the_rounding(tmp_path: Path) -> None:
    build("llama", 65).save_pretrained(tmp_path)
    model = make_ternary(load_model(open_checkpoint(tmp_path))).train()
    assert sum(isinstance(module, TernaryLinear) for module in model.modules()) == 7 * 4
    with pytest.raises(InputError, match="already"):
        make_ternary(model)
    ids = random_ids(66)
    positions = torch.arange(ids.shape[1]).expand(ids.shape)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    losses = []
    for _ in range(25):
        logits = model.logits(model(ids, positions, CausalAttend(model.config)))
        loss = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]


def logits_of(model: Any, ids: torch.Tensor) -> torch.Tensor:
    positions = torch.arange(ids.shape[1]).expand(ids.shape)
    with torch.inference_mode():
        return model.logits(model(ids, positions, CausalAttend(model.config)))


@pytest.mark.parametrize("shard", [1 << 40, 9000])
def test_a_settled_model_is_saved_in_two_bits(tmp_path: Path, shard: int) -> None:
    saved(theirs(ONLINE), ONLINE, tmp_path / "online")
    model = load_model(open_checkpoint(tmp_path / "online"))
    ids = random_ids(67)
    before = logits_of(model, ids)
    save_pretrained(model, tmp_path / "still", shard_bytes=shard)
    again = load_model(open_checkpoint(tmp_path / "still"))
    assert again.config == model.config
    torch.testing.assert_close(logits_of(again, ids), before)
    settle_ternary(model)
    every = torch.ones_like(ids, dtype=torch.bool)
    assert_equal(logits_of(model, ids), before, every)
    save_pretrained(model, tmp_path / "ours", shard_bytes=shard)
    checkpoint = open_checkpoint(tmp_path / "ours")
    assert checkpoint.config.ternary == "given"
    packed = load_model(checkpoint)
    assert_equal(logits_of(packed, ids), before, every)
    assert (len(list((tmp_path / "ours").glob("*.safetensors"))) > 1) == (shard < 1 << 40)
    save_pretrained(checkpoint, tmp_path / "again")  # and from a checkpoint
    torch.testing.assert_close(
        logits_of(load_model(open_checkpoint(tmp_path / "again")), ids), logits_of(packed, ids)
    )
    with pytest.raises(InputError, match="settled"):
        settle_ternary(packed)


def test_what_we_pack_fills_the_layers_of_transformers(tmp_path: Path) -> None:
    saved(theirs(ONLINE), ONLINE, tmp_path / "online")
    model = settle_ternary(load_model(open_checkpoint(tmp_path / "online")))
    save_pretrained(model, tmp_path / "ours")
    settings = json.loads((tmp_path / "ours" / "config.json").read_text())
    mode = settings.pop("quantization_config")
    assert mode.pop("quant_method") == "bitnet"
    filled = theirs(PACKED, seed=1)
    assert BitNetQuantConfig(**mode).linear_class == "bitlinear"
    from safetensors.torch import load_file

    filled.load_state_dict(load_file(tmp_path / "ours" / "model.safetensors"), strict=True)
    ids = random_ids(68)
    mask, positions = padding("", *ids.shape)
    reference = reference_logits(filled, ids, mask, positions)
    assert_equal(logits_of(model, ids), reference, mask)


def test_a_cache_gives_the_same_logits(tmp_path: Path) -> None:
    saved(theirs(OFFLINE), OFFLINE, tmp_path)
    model = load_model(open_checkpoint(tmp_path))
    ids = random_ids(69)
    attend = CachedAttend(model.config, ids.shape[1], batch=2)
    parts = []
    with torch.inference_mode():
        for start, end in ((0, 17), (17, 18), (18, ids.shape[1])):
            positions = torch.arange(start, end).expand(2, -1)
            parts.append(model.logits(model(ids[:, start:end], positions, attend)))
    assert_equal(torch.cat(parts, 1), logits_of(model, ids), torch.ones_like(ids, dtype=torch.bool))


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"quant_method": "gptq"}, "packed in a way"),
        ({"use_rms_norm": True}, "use_rms_norm"),
        ({"linear_class": "trilinear"}, "trilinear"),
        ({"quantization_mode": "sometimes"}, "sometimes"),
        ({"modules_to_not_convert": ["model.layers.0"]}, "leaves"),
        ({"group_size": 32}, "group_size"),
    ],
)
def test_other_packings_are_refused_by_name(changes: dict[str, Any], word: str) -> None:
    settings = {"model_type": "llama", **BASE}
    quantization = {"quant_method": "bitnet", **changes}
    with pytest.raises(FormatError, match=word):
        config_from_hf({**settings, "quantization_config": quantization})


def test_hostile_packings_are_refused(tmp_path: Path) -> None:
    model = theirs(PACKED)
    name = "model.layers.1.mlp.up_proj.weight"
    state = {key: value.detach().clone() for key, value in model.state_dict().items()}

    def broken(word: str, **changes: torch.Tensor | None) -> None:
        tensors = {**state, **{f"{name}{key}": value for key, value in changes.items()}}
        saved(model, PACKED, tmp_path)
        kept = {key: value for key, value in tensors.items() if value is not None}
        save_file(kept, tmp_path / "model.safetensors")
        with pytest.raises(FormatError, match=word):
            load_model(open_checkpoint(tmp_path))

    packed = state[name]
    broken("none of -1, 0 and 1", **{"": packed | 3})
    broken("type U8", _scale=None)
    broken("scale of no matrix", _scale=torch.ones(2))
    broken("is 0", _scale=torch.zeros(1))
    broken("is nan", _scale=torch.full((1,), torch.nan))
    broken("has shape", **{"": packed[:-1]})


def test_what_is_not_ternary_is_not_packed() -> None:
    with pytest.raises(FormatError, match="not ternary"):
        pack("x", np.array([[1, 0.5], [0, 1], [1, 1], [0, 0]], np.float32))
    with pytest.raises(FormatError, match="3 rows"):
        pack("x", np.ones((3, 2), np.float32))
    packed, scale = pack("x", np.zeros((4, 2), np.float32))
    assert packed.tolist() == [[0b01010101] * 2]
    assert scale.tolist() == [1.0]


def test_which_parameters_are_ternary(tmp_path: Path) -> None:
    build("qwen2moe", 70).save_pretrained(tmp_path)
    names = open_checkpoint(tmp_path).tensors
    model = make_ternary(load_model(open_checkpoint(tmp_path)))
    swapped = {
        f"{name}.weight"
        for name, module in model.named_modules()
        if isinstance(module, TernaryLinear)
    }
    assert swapped == {name for name in names if is_ternary(name)}
    assert not any(
        "router" in name or "gate.weight" in name.split("shared_")[-1:] for name in swapped
    )
    assert len(swapped) == 4 * 4 + 3 + 3 * 7 * 3


def test_layers_that_do_not_attend_are_not_ternary(tmp_path: Path) -> None:
    build("llama", 71).save_pretrained(tmp_path)
    config = open_checkpoint(tmp_path).config
    assert isinstance(config, ModelConfig)
    with pytest.raises(FormatError, match="ternary"):
        replace(
            config,
            ternary="rounded",
            mixers=("mamba", *config.mixers[1:]),
            mamba=MambaSpec(8, 4, 2, 2),
        )
