"""Folders that Kataribe writes, opened by `transformers`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from gguf_files import metadata_of, tensors_of, write, write_model

from kataribe.base.errors import InputError, StorageError, UnsupportedError
from kataribe.make.model.weights.checkpoint import open_checkpoint
from kataribe.make.model.weights.loading import load_model
from kataribe.make.model.weights.saving import save_pretrained
from tests.parity.test_parity_families import ROPES, VARIANTS
from tests.parity.tiny import CLASSES, build, padding, random_ids, reference_logits

IDS = random_ids(71)


def opened(folder: Path, **options: Any) -> Any:
    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder, local_files_only=True, attn_implementation="eager", **options
    )
    return model.eval()


def assert_equal_logits(one: Any, other: Any, *, tolerance: float = 1e-5) -> None:
    mask, positions = padding("left", *IDS.shape)
    a = reference_logits(one, IDS, mask, positions)[mask]
    b = reference_logits(other, IDS, mask, positions)[mask]
    assert (a - b).abs().max() <= tolerance * a.std()


CASES = {family: (family, {}) for family in CLASSES} | {
    name: VARIANTS[name]
    for name in ("llama_tied", "llama_biases", "qwen3_window", "gemma3_local_scaled", "gpt2_untied")
} | {
    f"rope_{name}": ("llama", ROPES[name])
    for name in ("linear", "dynamic", "yarn_mscale", "longrope", "llama3")
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_transformers_opens_what_was_saved(tmp_path: Path, name: str) -> None:
    family, changes = CASES[name]
    original = build(family, 72, **changes)
    original.save_pretrained(tmp_path / "theirs")
    model = load_model(open_checkpoint(tmp_path / "theirs"))
    save_pretrained(model, tmp_path / "ours")
    again = opened(tmp_path / "ours")
    assert type(again) is type(original)
    # Files hold logarithms of decays, which come back with the last bit rounded.
    assert_equal_logits(original, again, tolerance=1e-4 if model.config.is_recurrent else 1e-5)


def test_a_large_model_is_cut_into_shards(tmp_path: Path) -> None:
    original = build("gpt2", 73)
    original.save_pretrained(tmp_path / "theirs")
    checkpoint = open_checkpoint(tmp_path / "theirs")
    save_pretrained(load_model(checkpoint), tmp_path / "ours", shard_bytes=60_000)
    shards = sorted((tmp_path / "ours").glob("model-*.safetensors"))
    assert len(shards) > 3
    assert all(shard.stat().st_size < 70_000 for shard in shards)
    index = json.loads((tmp_path / "ours" / "model.safetensors.index.json").read_text())
    assert set(index["weight_map"].values()) == {shard.name for shard in shards}
    assert index["metadata"]["total_size"] == checkpoint.size_bytes
    assert_equal_logits(original, opened(tmp_path / "ours"))
    ours = open_checkpoint(tmp_path / "ours")
    assert ours.config == checkpoint.config
    save_pretrained(ours, tmp_path / "ours2")  # and the way back, from a checkpoint
    assert [p.name for p in (tmp_path / "ours2").glob("*.safetensors")] == ["model.safetensors"]
    assert_equal_logits(original, opened(tmp_path / "ours2"))


def test_saving_over_a_sharded_folder_leaves_one_model(tmp_path: Path) -> None:
    build("llama", 74).save_pretrained(tmp_path / "theirs")
    checkpoint = open_checkpoint(tmp_path / "theirs")
    save_pretrained(checkpoint, tmp_path / "ours", shard_bytes=50_000)
    save_pretrained(checkpoint, tmp_path / "ours")
    assert open_checkpoint(tmp_path / "ours").config == checkpoint.config
    assert not (tmp_path / "ours" / "model.safetensors.index.json").exists()


def test_a_gguf_file_becomes_a_folder(tmp_path: Path) -> None:
    original = build("gemma3", 75, query_pre_attn_scalar=10, sliding_window_pattern=6)
    path = write_model(tmp_path / "m.gguf", original, "gemma3")
    save_pretrained(open_checkpoint(path), tmp_path / "ours", texts={"tokenizer.json": "{}"})
    assert (tmp_path / "ours" / "tokenizer.json").read_text() == "{}"
    assert_equal_logits(original, opened(tmp_path / "ours"), tolerance=1e-4)


def test_llama_3_frequencies_of_a_gguf_file_survive(tmp_path: Path) -> None:
    scaling = {
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 32,
    }  # fmt: skip
    original = build("llama", 76, rope_scaling=scaling, rope_theta=100.0)
    tensors = tensors_of(original, "llama")
    plain = 100.0 ** -(torch.arange(0, 10, 2) / 10)
    tensors["rope_freqs.weight"] = (plain / original.model.rotary_emb.inv_freq).numpy()
    path = write(tmp_path / "m.gguf", "llama", metadata_of(original, "llama"), tensors)
    save_pretrained(open_checkpoint(path), tmp_path / "ours")
    assert_equal_logits(original, opened(tmp_path / "ours"), tolerance=1e-4)


def test_token_ids_and_tokenizer_files_come_along(tmp_path: Path) -> None:
    source = tmp_path / "theirs"
    build("llama", 77).save_pretrained(source)
    for name in ("tokenizer.json", "chat_template.jinja", "generation_config.json"):
        (source / name).write_text("{}")
    (source / "pytorch_model.bin").write_text("not this")
    model = load_model(open_checkpoint(source))
    save_pretrained(model, tmp_path / "ours", source)
    written = {path.name for path in (tmp_path / "ours").iterdir()}
    assert written == {
        "config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja",
        "generation_config.json",
    }  # fmt: skip
    config = json.loads((tmp_path / "ours" / "config.json").read_text())
    assert (config["bos_token_id"], config["eos_token_id"], config["pad_token_id"]) == (1, 2, 0)
    save_pretrained(model, tmp_path / "bare")
    config = json.loads((tmp_path / "bare" / "config.json").read_text())
    assert config["eos_token_id"] is None  # and not the family's own default
    save_pretrained(model, tmp_path / "told", token_ids={"eos_token_id": [5, 6]})
    assert opened(tmp_path / "told").config.eos_token_id == [5, 6]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_type_can_be_chosen(tmp_path: Path, dtype: torch.dtype) -> None:
    original = build("gemma3", 78).to(dtype)
    original.save_pretrained(tmp_path / "theirs")
    checkpoint = open_checkpoint(tmp_path / "theirs")
    save_pretrained(checkpoint, tmp_path / "ours")  # keeps the type
    again = opened(tmp_path / "ours", dtype="auto")
    assert again.dtype == dtype
    for name, value in original.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
    save_pretrained(checkpoint, tmp_path / "wide", dtype=torch.float32)
    assert opened(tmp_path / "wide", dtype="auto").dtype == torch.float32


def test_packed_models_are_not_saved_as_if_they_were_plain(tmp_path: Path) -> None:
    build("llama", 79).save_pretrained(tmp_path / "theirs")
    checkpoint = open_checkpoint(tmp_path / "theirs")
    model = load_model(checkpoint, linear=lambda name, *_: Packed() if "down" in name else None)
    with pytest.raises(UnsupportedError, match=r"blocks\.0\.mlp\.down\.weight"):
        save_pretrained(model, tmp_path / "ours")
    assert not (tmp_path / "ours").exists()
    build("gemma3", 79).save_pretrained(tmp_path / "tied")
    model = load_model(open_checkpoint(tmp_path / "tied"))
    model.head = torch.nn.Linear(48, 96, bias=False)
    with pytest.raises(UnsupportedError, match=r"head\.weight"):
        save_pretrained(model, tmp_path / "ours")
    model.head = model.embed = Packed()
    with pytest.raises(UnsupportedError, match=r"embed\.weight"):
        save_pretrained(model, tmp_path / "ours")


class Packed(torch.nn.Module):
    pass


def test_what_cannot_be_done_is_said(tmp_path: Path) -> None:
    build("llama", 80).save_pretrained(tmp_path / "theirs")
    checkpoint = open_checkpoint(tmp_path / "theirs")
    with pytest.raises(InputError, match="float64"):
        save_pretrained(checkpoint, tmp_path / "ours", dtype=torch.float64)
    with pytest.raises(InputError, match="not a folder"):
        save_pretrained(checkpoint, tmp_path / "ours", tmp_path / "x.gguf")
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file"):
        save_pretrained(checkpoint, tmp_path / "file" / "ours")
