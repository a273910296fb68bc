"""Encoder-decoders against `transformers`: logits, every setting set wrong, greedy generation."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from kataribe.base.errors import ContextLengthError, FormatError
from kataribe.make.model.configs.encoder_decoder_config import EncoderDecoderConfig, StackConfig
from kataribe.make.model.encoder_decoder import EncoderDecoder
from kataribe.make.model.layers.source_attention import CachedTarget
from kataribe.make.model.source_reference import generate_from_source
from kataribe.make.model.weights import encoder_decoder_folder
from kataribe.make.model.weights.encoder_decoder_files import save_encoder_decoder
from tests.parity.tiny import TOLERANCE
from tests.parity.tiny_source import (
    SOURCES,
    build_source,
    load_source,
    open_source,
    pairs,
    source_error,
    source_padding,
    their_logits,
)

FAR = 3 * TOLERANCE
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "t5_gelu": ("t5", {"feed_forward_proj": "gelu"}),
    "t5_gelu_by_tanh": ("t5", {"feed_forward_proj": "gelu_new"}),
    "t5_gated_silu": ("t5", {"feed_forward_proj": "gated-silu"}),
    "t5_gated_relu": ("t5_v11", {"feed_forward_proj": "gated-relu"}),
    "t5_gated_exact_gelu": ("t5_v11", {"feed_forward_proj": "gated-gelu_python"}),
    "t5_as_deep": ("t5", {"num_decoder_layers": None}),
    "t5_untied": ("t5_v11", {"untied": True}),
    "t5_untied_scaled": ("t5", {"untied": True}),
    "mt5_untied": ("mt5", {"untied": True}),
    "bart_unscaled": ("bart", {"scale_embedding": False}),
    "bart_relu": ("bart", {"activation_function": "relu"}),
    "bart_silu": ("bart", {"activation_function": "silu"}),
    "pegasus_odd_width": ("pegasus", {"d_model": 45, "encoder_attention_heads": 5,
                                      "decoder_attention_heads": 3}),
}  # fmt: skip


def check(folder: Path, name: str, changes: dict[str, Any], seed: int, side: str = "") -> None:
    print(f"{name} seed {seed} side {side!r} {changes}")
    theirs = build_source(name, seed, **changes)
    theirs.save_pretrained(folder)
    source, target = pairs(seed)
    mask = source_padding(side, *source.shape)
    reference = their_logits(theirs, source, target, mask)
    error = source_error(load_source(folder), source, target, mask, reference)
    assert error <= TOLERANCE, f"{name} {changes}: {error:.2e}"


@pytest.mark.parametrize("side", ["", "left", "right"])
@pytest.mark.parametrize("name", SOURCES)
def test_source_family(tmp_path: Path, name: str, side: str) -> None:
    check(tmp_path, name, {}, seed=21, side=side)


@pytest.mark.parametrize("name", VARIANTS)
def test_source_variant(tmp_path: Path, name: str) -> None:
    base, changes = VARIANTS[name]
    check(tmp_path, base, changes, seed=22)


@pytest.mark.slow
@pytest.mark.parametrize("name", SOURCES)
def test_random_source_sizes(tmp_path: Path, name: str) -> None:
    for seed in range(2):
        draw = random.Random(f"{name} {seed}")
        changes: dict[str, Any] = {"vocab_size": draw.randint(96, 140)}
        if "d_kv" in SOURCES[name][2]:
            changes |= {"num_heads": draw.choice([1, 3, 4]), "d_kv": draw.choice([5, 8, 16]),
                        "d_model": draw.choice([32, 40]), "num_layers": draw.randint(1, 3),
                        "relative_attention_num_buckets": draw.choice([4, 16, 32])}  # fmt: skip
        else:
            changes |= {"d_model": draw.choice([24, 48]), "encoder_layers": draw.randint(1, 3),
                        "decoder_attention_heads": draw.choice([1, 3, 8])}  # fmt: skip
        check(tmp_path / str(seed), name, changes, seed, draw.choice(["", "left", "right"]))


@pytest.mark.parametrize("name", ["t5", "bart"])
def test_long_sources_and_targets(tmp_path: Path, name: str) -> None:
    changes = {"max_position_embeddings": 300} if name == "bart" else {}
    theirs = build_source(name, 23, **changes)
    theirs.save_pretrained(tmp_path)
    source, target = pairs(24, 300, 280)
    mask = source_padding("right", *source.shape)
    reference = their_logits(theirs, source, target, mask)
    assert source_error(load_source(tmp_path), source, target, mask, reference) <= TOLERANCE


def test_what_is_taught_gives_the_same_loss_and_gradients(tmp_path: Path) -> None:
    for name in ("t5", "bart"):
        theirs = build_source(name, 25)
        theirs.save_pretrained(tmp_path / name)
        source, target = pairs(26)
        mask = source_padding("right", *source.shape)
        loss = theirs(source, attention_mask=mask.long(), labels=target).loss
        loss.backward()
        ours = load_source(tmp_path / name)
        logits = ours(source, target, mask)
        ours_loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), target.flatten())
        ours_loss.backward()
        assert torch.isclose(ours_loss, loss, rtol=1e-5)
        wanted = theirs.get_input_embeddings().weight.grad
        got = ours.embed.weight.grad
        assert wanted is not None
        assert got is not None
        if name == "bart":  # an embedding with a padding id is given no gradient there
            got[theirs.config.pad_token_id] = wanted[theirs.config.pad_token_id]
        assert (got - wanted).abs().max() <= 1e-4 * wanted.abs().max()


# -- every setting, set wrong, is caught

Change = Callable[[Any], Any]
CONFIG_CHANGES: dict[str, tuple[str, Change]] = {
    "family": ("t5", lambda _: "bart"),
    "vocab_size": ("t5", lambda value: value + 1),
    "hidden_size": ("t5", lambda value: value + 1),
    "source_length": ("bart", lambda value: value - 1),
    "target_length": ("bart", lambda value: value - 1),
    "positions": ("bart", lambda _: "sinusoidal"),
    "relative_buckets": ("t5", lambda value: value - 2),
    "relative_distance": ("t5", lambda value: value * 2),
    "position_offset": ("bart", lambda value: value - 1),
    "norm": ("bart", lambda _: "rms"),
    "norm_eps": ("t5", lambda value: value * 3),
    "norm_first": ("bart", lambda value: not value),
    "final_norm": ("t5", lambda value: not value),
    "embedding_norm": ("bart", lambda value: not value),
    "activation": ("t5_v11", lambda _: "gelu"),
    "gated": ("t5_v11", lambda value: not value),
    "bias": ("bart", lambda value: not value),
    "embedding_scale": ("bart", lambda _: 1.0),
    "output_scale": ("t5", lambda _: 1.0),
    "logits_bias": ("bart", lambda value: not value),
    "tied": ("bart", lambda value: not value),
    "start_id": ("t5", lambda value: value + 1),
    "pad_id": ("t5", lambda value: value + 1),
}
STACK_CHANGES: dict[str, tuple[str, Change]] = {
    "layers": ("t5", lambda value: value - 1),
    "heads": ("bart", lambda value: value // 2),
    "head_dim": ("t5", lambda value: value + 1),
    "intermediate_size": ("bart", lambda value: value + 1),
    "query_scalar": ("t5", lambda _: 1.2),
}
STACK_FIELDS = [
    f"{stack}.{field.name}"
    for stack in ("encoder", "decoder")
    for field in dataclasses.fields(StackConfig)
]
CONFIG_FIELDS = [field.name for field in dataclasses.fields(EncoderDecoderConfig)
                 if field.name not in ("encoder", "decoder")]  # fmt: skip


@pytest.fixture(scope="module")
def references(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Any]:
    made: dict[str, Any] = {}

    def get(name: str) -> Any:
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            theirs = build_source(name, 31)
            theirs.save_pretrained(folder)
            source, target = pairs(32)
            mask = source_padding("right", *source.shape)
            made[name] = folder, source, target, mask, their_logits(theirs, source, target, mask)
        return made[name]

    return get


@pytest.mark.parametrize("name", ["t5", "t5_v11", "bart"])
def test_unchanged_settings_agree(references: Any, name: str) -> None:
    folder, *given = references(name)
    assert source_error(load_source(folder), *given) <= TOLERANCE


@pytest.mark.parametrize("field", [*CONFIG_FIELDS, *STACK_FIELDS])
def test_a_wrong_source_setting_is_caught(
    references: Any, monkeypatch: pytest.MonkeyPatch, field: str
) -> None:
    stack, _, leaf = field.rpartition(".")
    name, change = (STACK_CHANGES if stack else CONFIG_CHANGES)[leaf]
    folder, *given = references(name)
    read = encoder_decoder_folder.source_config_from_hf
    tried: list[str] = []

    def wrong(raw: Any) -> EncoderDecoderConfig:
        config = read(raw)
        owner = getattr(config, stack) if stack else config
        value = getattr(owner, leaf)
        assert change(value) != value
        tried.append(field)
        with_value: Any = dataclasses.replace(owner, **{leaf: change(value)})
        return dataclasses.replace(config, **{stack: with_value}) if stack else with_value

    monkeypatch.setattr(encoder_decoder_folder, "source_config_from_hf", wrong)
    try:
        error = source_error(load_source(folder), *given)
    except FormatError:
        assert tried, "refused before the setting was wrong"
        return
    assert error > FAR, f"only {error:.2e} off: the comparison would miss it"


# -- writing


@pytest.mark.parametrize("name", SOURCES)
def test_greedy_replies_are_those_of_transformers(tmp_path: Path, name: str) -> None:
    theirs = build_source(name, 41)
    theirs.save_pretrained(tmp_path)
    ours = load_source(tmp_path)
    eos = theirs.config.eos_token_id
    theirs.generation_config.bad_words_ids = None
    for seed in range(3):
        source = pairs(seed, source=5 + 11 * seed)[0][:1]
        wanted = theirs.generate(
            source, attention_mask=torch.ones_like(source), max_new_tokens=30, do_sample=False,
            num_beams=1, eos_token_id=eos,
        )[0].tolist()  # fmt: skip
        got = generate_from_source(ours, source[0].tolist(), 30, eos_ids={eos})
        assert [theirs.config.decoder_start_token_id, *got] == wanted


def _uncached(model: EncoderDecoder, source: list[int], count: int) -> list[int]:
    target = [model.config.start_id]
    for _ in range(count):
        with torch.inference_mode():
            taught = torch.tensor([[*target[1:], 0]])  # its last token is not looked at
            logits = model(torch.tensor([source]), taught)
        target.append(int(logits[0, -1].argmax()))
    return target[1:]


@pytest.mark.parametrize("name", ["t5", "t5_v11", "bart", "pegasus"])
def test_cached_writing_equals_uncached(tmp_path: Path, name: str) -> None:
    build_source(name, 42).save_pretrained(tmp_path)
    model = load_source(tmp_path)
    calls = 0
    encode = model.encode

    def counted(source: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        nonlocal calls
        calls += 1
        return encode(source, mask)

    source = pairs(43)[0][0].tolist()
    wanted = _uncached(model, source, 25)
    model.encode = counted  # type: ignore[method-assign]
    assert generate_from_source(model, source, 25) == wanted
    assert calls == 1, "the source is read once"


@pytest.mark.parametrize("name", ["t5", "bart"])
def test_cached_logits_equal_whole_targets_in_any_pieces(tmp_path: Path, name: str) -> None:
    build_source(name, 44).save_pretrained(tmp_path)
    model = load_source(tmp_path)
    source, target = pairs(45)
    mask = source_padding("left", *source.shape)
    given = model.shift_right(target)
    with torch.inference_mode():
        whole = model(source, target, mask)
        looked_at = model.look_at(model.encode(source, mask))
        attend = CachedTarget(model.config, looked_at, target.shape[1], mask)
        parts = []
        for first, last in ((0, 1), (1, 9), (9, 10), (10, 25)):
            positions = torch.arange(first, last)
            parts.append(model.logits(model.decode(given[:, first:last], positions, attend)))
    assert torch.allclose(torch.cat(parts, dim=1), whole, rtol=1e-4, atol=1e-4)
    with pytest.raises(ContextLengthError):
        model.decode(given[:, :1], torch.tensor([25]), attend)


@pytest.mark.parametrize("name", [*SOURCES, "untied"])
def test_saved_folders_open_in_transformers(tmp_path: Path, name: str) -> None:
    base, changes = VARIANTS["t5_untied"] if name == "untied" else (name, {})
    theirs = build_source(base, 51, **changes)
    theirs.save_pretrained(tmp_path / "theirs")
    ours = load_source(tmp_path / "theirs")
    save_encoder_decoder(
        ours, tmp_path / "ours", token_ids={"eos_token_id": 7}, shard_bytes=100_000
    )
    assert open_source(tmp_path / "ours").config == ours.config
    back, report = type(theirs).from_pretrained(
        tmp_path / "ours", output_loading_info=True, attn_implementation="eager"
    )
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    assert back.config.eos_token_id == 7
    source, target = pairs(52)
    mask = source_padding("", *source.shape)
    reference = their_logits(theirs, source, target, mask)
    assert torch.equal(their_logits(back.eval(), source, target, mask), reference)
