"""Hugging Face folders: sound, sharded, hostile."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from kataribe.base.errors import ArchitectureError, FormatError, NotFoundError
from kataribe.files.safetensors import open_safetensors, save_safetensors
from kataribe.make.model.weights.checkpoint import open_checkpoint
from kataribe.make.model.weights.loading import load_model
from tests.parity.tiny import build, our_logits, padding, random_ids, relative_error

INDEX = "model.safetensors.index.json"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    build("llama", 31).save_pretrained(folder)
    return folder


@pytest.fixture
def sharded(tmp_path: Path) -> Path:
    folder = tmp_path / "sharded"
    build("llama", 31).save_pretrained(folder, max_shard_size="40KB")
    assert len(list(folder.glob("model-*.safetensors"))) > 2
    return folder


def change_index(folder: Path, change: Callable[[dict[str, str]], Any]) -> None:
    index = json.loads((folder / INDEX).read_text())
    index["weight_map"] = change(index["weight_map"]) or index["weight_map"]
    (folder / INDEX).write_text(json.dumps(index))


def change_tensors(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = folder / "model.safetensors"
    arrays = {name: np.array(t.array()) for name, t in open_safetensors(path).tensors.items()}
    change(arrays)
    save_safetensors(path, arrays)


def copy(whole: Path, target: Path) -> Path:
    return Path(shutil.copytree(whole, target / "copy"))


def test_shards_hold_the_same_model(whole: Path, sharded: Path) -> None:
    one, many = load_model(open_checkpoint(whole)), load_model(open_checkpoint(sharded))
    for name, value in one.named_parameters():
        assert torch.equal(value, many.get_parameter(name)), name


def test_parameters_are_exactly_those_of_the_decoder(whole: Path) -> None:
    checkpoint = open_checkpoint(whole)
    model = load_model(checkpoint)
    assert set(checkpoint.tensors) == {name for name, _ in model.named_parameters()}
    assert checkpoint.size_bytes == sum(4 * value.numel() for value in model.parameters())
    assert all(
        tuple(model.get_parameter(n).shape) == t.shape for n, t in checkpoint.tensors.items()
    )
    assert not model.training


@pytest.mark.parametrize("where", ["../x.safetensors", "/etc/passwd", "a/b.safetensors", INDEX, ""])
def test_an_index_cannot_point_outside_nor_at_itself(sharded: Path, where: str) -> None:
    change_index(sharded, lambda table: table | {"model.norm.weight": where})
    with pytest.raises(FormatError, match=r"model\.norm\.weight"):
        open_checkpoint(sharded)


def test_a_missing_shard_is_named(sharded: Path) -> None:
    shard = sorted(sharded.glob("model-*.safetensors"))[1]
    shard.unlink()
    with pytest.raises(FormatError, match=shard.name):
        open_checkpoint(sharded)


def test_an_index_that_lies_is_refused(sharded: Path) -> None:
    first = min(sharded.glob("model-*.safetensors")).name
    change_index(sharded, lambda table: table | {"model.ghost": first})
    with pytest.raises(FormatError, match=r"model\.ghost.*does not hold"):
        open_checkpoint(sharded)


def test_an_index_that_leaves_a_tensor_out_is_refused(sharded: Path) -> None:
    change_index(sharded, lambda table: table.pop("model.norm.weight") and None)
    with pytest.raises(FormatError, match=r"model\.norm\.weight"):
        open_checkpoint(sharded)


@pytest.mark.parametrize(
    "text", ["{}", "[]", '{"weight_map": []}', '{"weight_map": {"a": 1}}', "x"]
)
def test_a_senseless_index_is_refused(sharded: Path, text: str) -> None:
    (sharded / INDEX).write_text(text)
    with pytest.raises(FormatError, match="index"):
        open_checkpoint(sharded)


def test_missing_extra_and_misshaped_tensors_are_named(whole: Path, tmp_path: Path) -> None:
    name = "model.layers.1.mlp.up_proj.weight"

    def cut(arrays: dict[str, Any]) -> None:
        arrays[name] = arrays[name][:-1]

    cases: list[tuple[Callable[[dict[str, Any]], Any], str]] = [
        (lambda arrays: arrays.pop(name), "lacks the tensor"),
        (lambda arrays: arrays.update({"model.extra.weight": arrays[name]}), "no place for"),
        (cut, "has shape"),
        (lambda arrays: arrays.update({name: arrays[name].T.copy()}), "has shape"),
        (lambda arrays: arrays.update({name: arrays[name].astype(np.int32)}), "has type I32"),
        (lambda arrays: arrays.update({name[6:]: arrays[name]}), "twice"),
    ]
    for number, (change, word) in enumerate(cases):
        folder = copy(whole, tmp_path / str(number))
        change_tensors(folder, change)
        with pytest.raises(FormatError, match=word) as caught:
            open_checkpoint(folder)
        assert "extra" in str(caught.value) or name in str(caught.value)


def test_a_config_that_disagrees_with_the_tensors_is_refused(whole: Path, tmp_path: Path) -> None:
    folder = copy(whole, tmp_path)
    settings = json.loads((folder / "config.json").read_text())
    for layers, word in ((5, "lacks the tensor"), (3, "no place for"), (4000, "4000 layers")):
        (folder / "config.json").write_text(json.dumps(settings | {"num_hidden_layers": layers}))
        with pytest.raises(FormatError, match=word):
            open_checkpoint(folder)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "last.ckpt"])
def test_pickles_are_refused_unread(whole: Path, tmp_path: Path, name: str) -> None:
    folder = copy(whole, tmp_path)
    (folder / "model.safetensors").rename(folder / name)
    for path in (folder, folder / name):
        with pytest.raises(FormatError, match=rf"{name} is a pickle.*safetensors"):
            open_checkpoint(path)


def test_what_is_not_there_is_said(tmp_path: Path, whole: Path) -> None:
    with pytest.raises(NotFoundError, match="nowhere"):
        open_checkpoint(tmp_path / "nowhere")
    with pytest.raises(NotFoundError, match=r"config\.json"):
        open_checkpoint(tmp_path)
    shutil.copy(whole / "config.json", tmp_path)
    with pytest.raises(NotFoundError, match=r"model\.safetensors"):
        open_checkpoint(tmp_path)


@pytest.mark.parametrize("text", ["", "[1]", "{", "[" * 100_000, '"' + "x" * 99, "\ud800"])
def test_a_config_that_is_no_object_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text, encoding="utf-8", errors="surrogatepass")
    with pytest.raises(FormatError, match=r"config\.json"):
        open_checkpoint(tmp_path)


def test_an_unknown_architecture_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "rwkv"}')
    with pytest.raises(ArchitectureError, match="rwkv"):
        open_checkpoint(tmp_path)


def test_names_without_their_prefix_are_understood(whole: Path, tmp_path: Path) -> None:
    folder = copy(whole, tmp_path)

    def strip(arrays: dict[str, Any]) -> None:
        for name in list(arrays):
            arrays[name.removeprefix("model.")] = arrays.pop(name)
        arrays["layers.0.self_attn.rotary_emb.inv_freq"] = np.zeros(5, np.float32)

    change_tensors(folder, strip)
    same_logits(whole, folder)


def test_gpt2_as_it_was_first_published(tmp_path: Path) -> None:
    model = build("gpt2", 32)
    model.save_pretrained(tmp_path / "a")
    folder = copy(tmp_path / "a", tmp_path)

    def strip(arrays: dict[str, Any]) -> None:
        for name in list(arrays):
            arrays[name.removeprefix("transformer.")] = arrays.pop(name)
        arrays["h.0.attn.bias"] = np.ones((1, 1, 64, 64), np.float32)
        arrays["h.0.attn.masked_bias"] = np.float32(-1e4).reshape(1)[0:1]

    change_tensors(folder, strip)
    same_logits(tmp_path / "a", folder)


def test_a_tied_head_may_be_stored_twice_but_not_differ(tmp_path: Path) -> None:
    build("llama", 33, tie_word_embeddings=True).save_pretrained(tmp_path / "a")
    for number, factor in enumerate((1.0, 2.0)):
        folder = copy(tmp_path / "a", tmp_path / str(number))

        def double(arrays: dict[str, Any], factor: float = factor) -> None:
            arrays["lm_head.weight"] = arrays["model.embed_tokens.weight"] * np.float32(factor)

        change_tensors(folder, double)
        if factor == 1.0:
            same_logits(tmp_path / "a", folder)
        else:
            with pytest.raises(FormatError, match="tie_word_embeddings"):
                open_checkpoint(folder)


def test_gemma3_with_images_gives_its_text_decoder(tmp_path: Path) -> None:
    text = build("gemma3", 34)
    vision = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
    vision |= {"num_attention_heads": 2, "image_size": 28, "patch_size": 14}
    config = transformers.Gemma3Config(
        text_config=text.config.to_dict(), vision_config=vision, mm_tokens_per_image=4,
        image_token_index=90, boi_token_index=91, eoi_token_index=92,
    )  # fmt: skip
    both = transformers.Gemma3ForConditionalGeneration(config)
    both.model.language_model.load_state_dict(text.model.state_dict())
    both.save_pretrained(tmp_path / "both")
    text.save_pretrained(tmp_path / "text")
    same_logits(tmp_path / "text", tmp_path / "both")


def test_half_precision_folders_load_as_they_are(tmp_path: Path) -> None:
    model = build("gemma3", 35).to(torch.bfloat16)
    model.save_pretrained(tmp_path)
    checkpoint = open_checkpoint(tmp_path)
    assert checkpoint.tensors["embed.weight"].kind == "BF16"
    ours = load_model(checkpoint, dtype=torch.bfloat16)
    assert torch.equal(ours.embed.weight, model.model.embed_tokens.weight)
    wanted = 1 + model.model.norm.weight.float()  # the 1 is added in float32
    assert torch.equal(ours.norm.weight, wanted)


def test_generation_defaults_come_along(whole: Path, tmp_path: Path) -> None:
    folder = copy(whole, tmp_path)
    (folder / "generation_config.json").write_text('{"temperature": 0.6}')
    assert open_checkpoint(folder).generation == {"temperature": 0.6}


def same_logits(one: Path, other: Path) -> None:
    ids = random_ids(36)
    mask, positions = padding("", *ids.shape)
    a, b = our_logits(one, ids, mask, positions), our_logits(other, ids, mask, positions)
    assert relative_error(a, b, mask) == 0
