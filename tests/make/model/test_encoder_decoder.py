"""Encoder-decoders: exact figures, folders as they are found, and files that are refused."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import FlopCounterMode

from kataribe.base.errors import (
    ArchitectureError,
    ContextLengthError,
    FormatError,
    InputError,
    UnsupportedError,
)
from kataribe.files.safetensors import open_safetensors, save_safetensors
from kataribe.make.model.configs.encoder_decoder_config import EncoderDecoderConfig, StackConfig
from kataribe.make.model.encoder_decoder import Packed
from kataribe.make.model.encoder_decoder_fresh import fresh_encoder_decoder
from kataribe.make.model.families.encoder_decoder import (
    source_config_from_hf,
    source_config_to_hf,
)
from kataribe.make.model.layers.source_attention import CachedTarget
from kataribe.make.model.source_reference import generate_from_source
from kataribe.make.model.weights.encoder_decoder_files import save_encoder_decoder
from kataribe.make.model.weights.encoder_decoder_folder import (
    forced_start,
    holds_encoder_decoder,
    open_encoder_decoder,
)
from kataribe.make.model.weights.encoder_decoder_shapes import (
    decoder_flops,
    encoder_flops,
    source_cache_bytes,
    source_parameter_count,
    source_shapes,
)
from tests.parity.tiny_source import SOURCES, build_source, load_source, open_source


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    made: dict[str, Path] = {}

    def get(name: str) -> Path:
        if name not in made:
            made[name] = tmp_path_factory.mktemp(name)
            build_source(name, 61).save_pretrained(made[name])
        return made[name]

    return get


def _counted(work: Callable[[], Any]) -> int:
    plain = sdpa_kernel(SDPBackend.MATH)  # torch does not count its fused attention on the CPU
    with FlopCounterMode(display=False) as counter, torch.no_grad(), plain:
        work()
    return int(counter.get_total_flops())


@pytest.mark.parametrize("name", SOURCES)
def test_figures_are_exact(folders: Any, name: str) -> None:
    model = load_source(folders(name))
    config = model.config
    shapes = {key: tuple(value.shape) for key, value in model.named_parameters()}
    assert source_shapes(config) == shapes
    learned = sum(value.numel() for value in model.parameters())
    assert source_parameter_count(config) == learned
    source = torch.arange(17)[None]
    looked_at: list[Any] = []
    work = _counted(lambda: looked_at.extend(model.look_at(model.encode(source))))
    assert work == encoder_flops(config, 17)
    kept = sum(part.nbytes for pair in looked_at for part in pair)
    assert kept == 17 * source_cache_bytes(config, 4)
    attend = CachedTarget(config, looked_at, 8)
    kept = attend._keys.nbytes + attend._values.nbytes
    assert kept == 8 * source_cache_bytes(config, 4)
    with torch.no_grad():
        model.decode(torch.arange(7)[None], torch.arange(7), attend)

    def last() -> None:
        model.logits(model.decode(torch.tensor([[5]]), torch.tensor([7]), attend))

    assert _counted(last) == decoder_flops(config, 7, 17)


def test_published_models_are_counted_without_their_files() -> None:
    small = source_config_from_hf({"model_type": "t5", "n_positions": 512})
    assert source_parameter_count(small) == 60_506_624  # t5-small
    large = source_config_from_hf({"model_type": "bart"})
    assert source_parameter_count(large) == 406_291_456  # bart-large
    assert large.context_length == 2048


@pytest.mark.parametrize("name", SOURCES)
def test_settings_go_out_and_come_back(folders: Any, name: str) -> None:
    config = open_source(folders(name)).config
    back = source_config_from_hf(source_config_to_hf(config))
    assert dataclasses.replace(back, tied=config.tied) == config
    with pytest.raises(FormatError, match="cannot say target_length"):
        source_config_to_hf(dataclasses.replace(config, target_length=config.target_length + 1))


def _changed(folder: Path, to: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """A copy with other tensors."""
    shutil.copytree(folder, to)
    file = open_safetensors(to / "model.safetensors")
    tensors = {
        name: (tensor.dtype, tensor.shape, tensor.raw().copy())
        for name, tensor in file.tensors.items()
    }
    change(tensors)
    save_safetensors(to / "model.safetensors", tensors, {"format": "pt"})
    return to


def test_what_old_programs_stored_beside_is_passed_over(folders: Any, tmp_path: Path) -> None:
    def t5(tensors: dict[str, Any]) -> None:
        for stack in ("encoder", "decoder"):
            tensors[f"{stack}.embed_tokens.weight"] = tensors["shared.weight"]
        tensors["lm_head.weight"] = tensors["shared.weight"]
        first = "decoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
        unread = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
        tensors[unread] = tensors[first]

    def bart(tensors: dict[str, Any]) -> None:  # as the model without its head saves itself
        for name in list(tensors):
            tensors[name.removeprefix("model.")] = tensors.pop(name)
        del tensors["final_logits_bias"]
        tensors["encoder.version"] = ("F32", (1,), tensors["shared.weight"][2][:4])

    for name, change in (("t5", t5), ("bart", bart)):
        changed = _changed(folders(name), tmp_path / name, change)
        wanted, got = load_source(folders(name)), load_source(changed)
        assert got.config == wanted.config
        theirs = dict(wanted.named_parameters())
        assert all(torch.equal(value, theirs[key]) for key, value in got.named_parameters())
        if name == "bart":
            assert got.logits_bias is not None
            assert not got.logits_bias.any()


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("t5", lambda tensors: tensors.pop("encoder.final_layer_norm.weight"), "lacks the tensor"),
        ("t5", lambda tensors: tensors.update(extra=tensors["shared.weight"]), "has no place for"),
        (
            "t5",
            lambda tensors: tensors.update(
                {"encoder.embed_tokens.weight": ("F32", (96, 48), 1 + tensors["shared.weight"][2])}
            ),
            "share one embedding",
        ),
        (
            "bart",
            lambda tensors: tensors.update(
                {"lm_head.weight": ("F32", (96, 48), 1 + tensors["model.shared.weight"][2])}
            ),
            "another matrix",
        ),
    ],
    ids=["lacking", "left over", "two embeddings", "another head"],
)
def test_tensors_that_do_not_fit_are_refused(
    folders: Any, tmp_path: Path, name: str, change: Any, says: str
) -> None:
    with pytest.raises(FormatError, match=says):
        open_encoder_decoder(_changed(folders(name), tmp_path / "changed", change))


@pytest.mark.parametrize(
    ("name", "settings", "says"),
    [
        ("t5", {"feed_forward_proj": "gated-what"}, "feed_forward_proj is 'gated-what'"),
        ("t5", {"dense_act_fn": "silu"}, "dense_act_fn is 'silu'"),
        ("t5", {"num_layers": 10**9}, "possible are 1 to"),
        ("t5", {"num_layers": 4000, "num_decoder_layers": 4000}, "claims 8000 layers"),
        ("t5", {"relative_attention_num_buckets": 7}, "relative_buckets is 7"),
        ("t5", {"relative_attention_max_distance": 4}, "relative_distance is 4"),
        ("t5", {"d_model": "wide"}, "d_model is 'wide'"),
        ("t5", {"decoder_start_token_id": 96}, "start_id is 96"),
        ("t5", {"mystery": 3}, "sets 'mystery'"),
        ("t5", {"quantization_config": {"bits": 4}}, "quantization_config"),
        ("bart", {"normalize_before": True}, "normalize_before is True"),
        ("bart", {"static_position_embeddings": True}, "static_position_embeddings"),
        ("bart", {"tie_word_embeddings": False}, "is not built here"),
        ("bart", {"encoder_attention_heads": 5}, "cannot be divided"),
        ("bart", {"is_encoder_decoder": False}, "is_encoder_decoder is False"),
        ("marian", {"share_encoder_decoder_embeddings": False}, "share_encoder_decoder"),
        ("marian", {"decoder_vocab_size": 12}, "decoder_vocab_size is 12"),
        ("mbart", {"decoder_start_token_id": None}, "lacks 'decoder_start_token_id'"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(
    folders: Any, tmp_path: Path, name: str, settings: dict[str, Any], says: str
) -> None:
    shutil.copytree(folders(name), tmp_path / "changed")
    path = tmp_path / "changed" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))
    with pytest.raises(FormatError, match=says):
        open_encoder_decoder(tmp_path / "changed")


def test_other_architectures_are_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"}))
    assert not holds_encoder_decoder(tmp_path)
    with pytest.raises(ArchitectureError, match="'llama', and what is asked for"):
        open_encoder_decoder(tmp_path)
    for raw in ({"model_type": "umt5"}, {"model_type": "t5", "auto_map": {"AutoModel": "b"}}):
        with pytest.raises(ArchitectureError, match="encoder-decoders built here"):
            source_config_from_hf(raw)


def test_a_forced_beginning_must_be_an_id(folders: Any) -> None:
    checkpoint = open_encoder_decoder(folders("bart"))
    assert forced_start(checkpoint) == (2,)
    told = dataclasses.replace(checkpoint, generation={"forced_bos_token_id": 0})
    assert forced_start(told) == (2, 0)
    told = dataclasses.replace(checkpoint, generation={"forced_bos_token_id": 96})
    with pytest.raises(FormatError, match="go from 0 to 95"):
        forced_start(told)


STACK = StackConfig(1, 2, 4, 8, 4.0)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"family": "t5"}, "has no learned positions"),
        ({"family": "lamp"}, "family is 'lamp'"),
        ({"pad_id": 30}, "pad_id is 30"),
        ({"norm_eps": 0.0}, "norm_eps is 0.0"),
        ({"relative_buckets": 8}, "need such positions"),
        ({"position_offset": -1}, "position_offset is -1"),
        ({"tied": False}, "whose head is not its embedding"),
        ({"source_length": 0}, "source_length is 0"),
    ],
)
def test_impossible_configurations_are_refused(changes: dict[str, Any], says: str) -> None:
    good: dict[str, Any] = {
        "family": "bart", "vocab_size": 30, "hidden_size": 8, "encoder": STACK, "decoder": STACK,
        "source_length": 10, "target_length": 10, "positions": "learned",
    }  # fmt: skip
    EncoderDecoderConfig(**good)
    with pytest.raises(FormatError, match=says):
        EncoderDecoderConfig(**{**good, **changes})
    with pytest.raises(FormatError, match="heads is 0"):
        StackConfig(1, 0, 4, 8, 4.0)


def test_the_reference_says_what_does_not_fit(folders: Any) -> None:
    model = load_source(folders("bart"))
    with pytest.raises(InputError, match="source needs at least one token"):
        generate_from_source(model, [], 4)
    with pytest.raises(InputError, match="from 0 to 95"):
        generate_from_source(model, [5], 4, start=[96])
    with pytest.raises(ContextLengthError, match="65 tokens"):
        generate_from_source(model, [5] * 65, 4)
    with pytest.raises(ContextLengthError, match="65 more"):
        generate_from_source(model, [5], 65)
    assert len(generate_from_source(model, [5], 64)) == 64


def test_what_is_no_plain_model_is_not_saved(folders: Any, tmp_path: Path) -> None:
    model = load_source(folders("t5"))
    model.set_submodule("encoder.blocks.0.mlp.up", torch.nn.Identity())
    with pytest.raises(UnsupportedError, match=r"mlp\.up\.weight is packed or replaced"):
        save_encoder_decoder(model, tmp_path)
    model = load_source(folders("t5"))
    model.head.weight = torch.nn.Parameter(model.head.weight.detach().clone())
    with pytest.raises(UnsupportedError, match="The head is not the embedding"):
        save_encoder_decoder(model, tmp_path)
    with pytest.raises(InputError, match="dtype is"):
        save_encoder_decoder(model, tmp_path, dtype=torch.int8)


def test_a_new_model_learns(tmp_path: Path) -> None:
    """Teaching one source and target makes the model write it: shift, masks and loss agree."""
    config = EncoderDecoderConfig(
        "t5", 40, 32, StackConfig(1, 4, 8, 64, 1.0), StackConfig(1, 4, 8, 64, 1.0), 32, 32,
        "relative", relative_buckets=8, relative_distance=16, norm="rms", norm_first=True,
        final_norm=True, bias=False, activation="relu", output_scale=32**-0.5, start_id=0,
        pad_id=0,
    )  # fmt: skip
    model = fresh_encoder_decoder(config, 3)
    again = fresh_encoder_decoder(config, 3)
    assert all(map(torch.equal, model.parameters(), again.parameters()))
    source = torch.tensor([[5, 6, 7, 8, 1], [9, 8, 1, 0, 0]])
    target = torch.tensor([[11, 12, 13, 14, 1], [21, 22, 1, -100, -100]])
    mask = source > 0
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(80):
        logits = model(source, target, mask)
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), target.flatten())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    save_encoder_decoder(model, tmp_path, token_ids={"eos_token_id": 1})
    learned = load_source(tmp_path)
    assert generate_from_source(learned, [5, 6, 7, 8, 1], 9, eos_ids={1}) == [11, 12, 13, 14, 1]
    assert generate_from_source(learned, [9, 8, 1], 9, eos_ids={1}) == [21, 22, 1]


@pytest.mark.parametrize("kind", ["t5", "bart", "pegasus"])
def test_first_weights_say_nothing_loud(folders: Any, kind: str) -> None:
    """A new model's loss is near that of guessing, in every layout."""
    config = open_source(folders(kind)).config
    model = fresh_encoder_decoder(config, 4)
    source, target = torch.arange(240).view(8, 30) % 90, torch.arange(160).view(8, 20) % 77
    with torch.no_grad():
        logits = model(source, target)
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), target.flatten())
    guessing = torch.tensor(96.0).log()
    assert guessing - 0.1 < loss < guessing + 1.5


@pytest.mark.parametrize("name", ["t5", "t5_v11", "bart", "marian"])
def test_pairs_side_by_side_learn_as_pairs_alone(folders: Any, name: str) -> None:
    model = load_source(folders(name)).train()
    generator = torch.Generator().manual_seed(9)
    pairs = [
        (torch.randint(5, 96, (source,), generator=generator),
         torch.randint(5, 96, (target,), generator=generator))
        for source, target in ((7, 4), (12, 9), (3, 6))
    ]  # fmt: skip
    alone = [model(source[None], target[None])[0] for source, target in pairs]
    given = [model.shift_right(target[None])[0] for _, target in pairs]

    def packed(rows: list[torch.Tensor], length: int) -> Packed:
        gap = length - sum(map(len, rows))
        ids = torch.cat([*rows, torch.zeros(gap, dtype=torch.int64)])[None]
        positions = torch.cat([torch.arange(len(row)) for row in (*rows, torch.empty(gap))])[None]
        numbers = [torch.full((len(row),), at) for at, row in enumerate(rows)]
        return Packed(ids, positions, torch.cat([*numbers, torch.full((gap,), -1)])[None])

    hidden = model.taught(packed([source for source, _ in pairs], 30), packed(given, 25))[0]
    logits = hidden @ model.head.weight.T
    if model.logits_bias is not None:
        logits = logits + model.logits_bias
    assert torch.isfinite(logits).all()
    wanted = torch.cat(alone)
    assert torch.allclose(logits[: len(wanted)], wanted, rtol=1e-4, atol=2e-4)


def test_blocks_may_be_computed_a_second_time(folders: Any) -> None:
    """Activation checkpointing changes no gradient: nothing of a pass is kept inside a block."""
    gradients = []
    for twice in (False, True):
        model = load_source(folders("t5")).train()
        for block in (*model.encoder.blocks, *model.decoder.blocks):
            if twice:
                forward = block.forward
                block.forward = lambda *given, run=forward: checkpoint(
                    run, *given, use_reentrant=False
                )
        source, target = torch.arange(5, 29).view(2, 12), torch.arange(40, 58).view(2, 9)
        model(source, target).square().sum().backward()
        gradients.append({name: value.grad for name, value in model.named_parameters()})
    for name, wanted in gradients[0].items():
        assert wanted is not None, name
        assert torch.equal(gradients[1][name], wanted), name
