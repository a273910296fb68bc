"""Written files held to their origin, number by number: flat distributions hide what is broken."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kataribe.base.errors import FormatError
from kataribe.files.gguf import open_gguf
from kataribe.files.gguf_writer import PackedTensor, write_gguf
from kataribe.make.adapt.same_answers import Answers, ask, check_answers
from kataribe.make.adapt.same_tensors import ROUNDING, Compared, check_settings, check_tensors
from kataribe.make.model.weights.checkpoint import Checkpoint, open_checkpoint
from kataribe.make.model.weights.gguf_saving import FILE_TYPES, gguf_content
from kataribe.make.model.weights.names import hf_places
from kataribe.make.model.weights.saving import save_pretrained
from tests.make.model.test_gguf_saving import CASES, NO_TOKENIZER, WHOLE_BLOCKS
from tests.parity.tiny import build

DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
FAMILIES = ("llama_biases", "gpt2", "gemma3", "qwen2moe", "mixtral_llama3", "rope_longrope")


@pytest.fixture(scope="module")
def flat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose answers say next to nothing, as those of one that is hardly trained."""
    folder = tmp_path_factory.mktemp("flat")
    model = build("llama", 61, **WHOLE_BLOCKS)
    model.lm_head.weight.data *= 1e-3
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def said(flat: Path) -> Answers:
    return ask(open_checkpoint(flat), [[5, 9, 31, 40, 41]])


def written(folder: Path, tmp_path: Path, kind: str) -> tuple[Path, Checkpoint]:
    """The model as a GGUF file."""
    checkpoint = open_checkpoint(folder)
    content = gguf_content(checkpoint, kind)
    path = tmp_path / f"{kind}.gguf"
    write_gguf(path, {**content.metadata, **NO_TOKENIZER}, content.tensors)
    return path, checkpoint


def check(before: Checkpoint, path: Path, kind: str) -> Compared:
    """What an export does before it asks."""
    after = open_checkpoint(path)
    check_settings(gguf_content(before, kind).expected, after.config)
    return check_tensors(before, after, kind)


@pytest.mark.parametrize("kind", FILE_TYPES)
def test_a_right_file_is_as_close_as_its_kind_rounds(flat: Path, tmp_path: Path, kind: str) -> None:
    path, before = written(flat, tmp_path, kind)
    found = check(before, path, kind)
    assert found.tensors == len(before.tensors)
    assert found.values == sum(tensor.values().size for tensor in before.tensors.values())
    low, high = {"F32": (0, 0), "F16": (1e-4, 3e-4), "BF16": (1e-3, 3e-3), "Q8_0": (4e-3, 9e-3),
                 "Q4_0": (0.08, 0.12)}[kind]  # fmt: skip
    assert low <= found.error <= high
    assert found.worst in before.tensors
    assert (0.9 < found.nearest <= 1) if kind != "F32" else found.nearest == 0  # no room to spare


@pytest.mark.parametrize("name", FAMILIES)
def test_no_family_is_refused_for_nothing(tmp_path: Path, name: str) -> None:
    family, changes = CASES[name]
    build(family, 62, **changes).save_pretrained(tmp_path / "model")
    for kind in ("F32", "Q8_0"):
        path, before = written(tmp_path / "model", tmp_path, kind)
        assert check(before, path, kind).tensors == len(before.tensors)
    for kind, dtype in DTYPES.items():
        save_pretrained(before, tmp_path / kind, dtype=dtype)
        after = open_checkpoint(tmp_path / kind)
        check_settings(before.config, after.config)
        assert check_tensors(before, after, kind, hf_places(after.config)).nearest <= 1


def changed(path: Path, change: Callable[[dict[str, Any], dict[str, Any]], None]) -> None:
    """Writes a file again, with something else in it."""
    file = open_gguf(path)
    tensors: dict[str, Any] = {
        name: PackedTensor(each.kind, each.shape, np.array(each.raw()).reshape(-1))
        for name, each in file.tensors.items()
    }
    metadata = dict(file.metadata)
    change(metadata, tensors)
    write_gguf(path, metadata, tensors)


def flip(name: str) -> Callable[..., None]:
    """One byte of a tensor: for Q8_0 one number, which changes its sign."""

    def change(_: Any, tensors: dict[str, Any]) -> None:
        raw = tensors[name].raw
        place = 2 + int(np.abs(raw[2:34].view(np.int8).astype(int)).argmax())
        raw[place] = np.uint8(256 - int(raw[place]))

    return change


def swap(one: str, other: str) -> Callable[..., None]:
    def change(_: Any, tensors: dict[str, Any]) -> None:
        tensors[one], tensors[other] = tensors[other], tensors[one]

    return change


def say(**settings: float) -> Callable[..., None]:
    def change(metadata: dict[str, Any], _: Any) -> None:
        for name, value in settings.items():
            key = f"llama.{name.replace('__', '.')}"
            assert key in metadata
            metadata[key] = value

    return change


BROKEN: dict[str, tuple[Callable[..., None], str]] = {
    "one number": (flip("blk.1.ffn_down.weight"), r"1 numbers of blocks\.1\.mlp\.down\.weight"),
    "layers": (swap("blk.0.ffn_up.weight", "blk.2.ffn_up.weight"), r"blocks\.0\.mlp\.gate_up\.up"),
    "norms": (swap("blk.0.ffn_norm.weight", "blk.0.attn_norm.weight"), r"blocks\.0\.\w+_norm"),
    "sides": (swap("blk.3.attn_k.weight", "blk.3.attn_v.weight"), r"blocks\.3\.attention\.proj"),
    "rope base": (say(rope__freq_base=500_000.0), r"rope theta = 500000\.0, where .* 10000"),
    "epsilon": (say(attention__layer_norm_rms_epsilon=1e-5), r"norm_eps = .*, where .* 0\.001"),
    "context": (say(context_length=32), "context_length = 32"),
    "missing": (lambda _, tensors: tensors.pop("blk.2.ffn_up.weight"), "lacks the tensor"),
    "left over": (
        lambda _, tensors: tensors.update({"blk.9.ffn_up.weight": tensors["blk.2.ffn_up.weight"]}),
        "no place for",
    ),
    "head": (lambda _, tensors: tensors.pop("output.weight"), "tied = True, where"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_flat_answers_hide_is_found(
    flat: Path, said: Answers, tmp_path: Path, name: str
) -> None:
    change, words = BROKEN[name]
    path, before = written(flat, tmp_path, "Q8_0")
    changed(path, change)
    with pytest.raises(FormatError, match=words):
        check(before, path, "Q8_0")
    if name in ("one number", "layers", "rope base", "epsilon"):  # answers alone hide it
        assert check_answers(said, path, "Q8_0").divergence < 0.01 / 50


def test_a_narrower_kind_is_no_export_of_a_wider_one(flat: Path, tmp_path: Path) -> None:
    path, before = written(flat, tmp_path, "Q4_0")
    with pytest.raises(FormatError, match=r"was written as Q4_0 of shape .*a file of kind Q8_0"):
        check(before, path, "Q8_0")


def test_numbers_that_were_none_before_are_said(tmp_path: Path) -> None:
    model = build("llama", 63, **WHOLE_BLOCKS)
    model.model.layers[1].mlp.up_proj.weight.data[3, 5] = float("nan")
    model.save_pretrained(tmp_path / "model")
    path, before = written(tmp_path / "model", tmp_path, "F32")
    with pytest.raises(FormatError, match=r"up.weight of the model holds nan.*so before"):
        check(before, path, "F32")


def test_rounding_is_what_the_formats_can_do() -> None:
    """Random blocks come close to each limit, and none beyond: the limits are no guesses."""
    from kataribe.files.ggml_blocks import dequantize, quantize

    draw = np.random.default_rng(64)
    for scale in (1e-3, 1.0, 100.0):
        values = (draw.standard_normal((4000, 32)) * scale).astype(np.float32)
        largest = np.abs(values).max(axis=1, keepdims=True)
        for kind, rounding in ROUNDING.items():
            away = np.abs(dequantize(quantize(values, kind), kind, values.shape) - values)
            limit = np.abs(values) * rounding.own + largest * rounding.block + rounding.least
            assert (away <= limit).all()
            assert kind == "F32" or (away / limit).max() > 0.9
