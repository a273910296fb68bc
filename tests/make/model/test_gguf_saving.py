"""Models written as GGUF: llama.cpp computes from them what `transformers` computes."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from pico_model import build as build_pico

from kataribe.base.errors import ArchitectureError, FormatError, InputError
from kataribe.files.ggml_blocks import quantize
from kataribe.files.gguf import open_gguf
from kataribe.files.gguf_writer import DeferredTensor, write_gguf
from kataribe.make.adapt.compare import compare_logits
from kataribe.make.model.weights.checkpoint import open_checkpoint
from kataribe.make.model.weights.gguf_saving import FILE_TYPES, gguf_content
from tests.make.llama_logits import LlamaModel
from tests.parity.test_parity_families import ROPES, VARIANTS
from tests.parity.tiny import CLASSES, build, random_ids

IDS = random_ids(91, batch=1)[0].tolist()
NO_TOKENIZER = {"tokenizer.ggml.model": "no_vocab"}
QWEN2 = {"use_sliding_window": False, "head_dim": 8}
QWEN2MOE = QWEN2 | {"mlp_only_layers": []}
GEMMA = {"query_pre_attn_scalar": 10}
GEMMA3 = GEMMA | {"sliding_window_pattern": 6, "num_hidden_layers": 7}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", {}),
    "mistral_wide_window": ("mistral", {"sliding_window": 64}),
    "mistral_yarn": ("mistral", {"sliding_window": None, **ROPES["yarn"]}),
    "qwen2": ("qwen2", QWEN2),
    "qwen2_tied_yarn": ("qwen2", QWEN2 | {"tie_word_embeddings": True} | ROPES["yarn"]),
    "qwen3": ("qwen3", {}),
    "qwen3_linear": ("qwen3", ROPES["linear"]),
    "gemma2": ("gemma2", GEMMA),
    "gemma3": ("gemma3", GEMMA3),
    "gemma3_untied": ("gemma3", GEMMA3 | {"tie_word_embeddings": False}),
    "gemma3_softcap": ("gemma3", GEMMA3 | VARIANTS["gemma3_softcap"][1]),
    "gemma3_thetas": ("gemma3", GEMMA3 | VARIANTS["gemma3_thetas"][1]),
    "gpt2": ("gpt2", {}),
    "gpt2_untied": ("gpt2", {"tie_word_embeddings": False}),
    **{
        name: VARIANTS[name]
        for name in ("llama_tied", "llama_biases", "llama_one_kv_head", "qwen3_tied")
    },
    "mixtral": ("mixtral", {}),
    "mixtral_llama3": ("mixtral", ROPES["llama3"]),
    "qwen2moe": ("qwen2moe", QWEN2MOE),
    "qwen3moe": ("qwen3moe", {"norm_topk_prob": True}),
    "qwen3moe_tied": ("qwen3moe", {"norm_topk_prob": True, "tie_word_embeddings": True}),
    **{
        f"rope_{name}": ("llama", ROPES[name])
        for name in ("linear", "yarn_attention", "yarn_betas", "longrope", "llama3")
    },
}
WHOLE_BLOCKS = {
    "hidden_size": 64, "intermediate_size": 96, "head_dim": 16, "num_attention_heads": 4,
}  # fmt: skip
TOLERANCE = {"gpt2": 5e-3, "gemma2": 5e-3, "gemma3": 1e-2}
"""Their GELU is a table of 16-bit numbers in llama.cpp; others are compared within 1e-4."""
REFUSED = {
    "llama_gelu": (*VARIANTS["llama_gelu"], "activation = 'gelu'"),
    "rope_dynamic": ("llama", ROPES["dynamic"], "dynamic"),
    "yarn_not_truncated": ("llama", ROPES["yarn_not_truncated"], "truncate"),
    "qwen3_longrope": ("qwen3", ROPES["longrope"], "longrope"),
    "mistral_window": ("mistral", {}, "windows"),
    "qwen3_window": (*VARIANTS["qwen3_window"], "windows"),
    "qwen3_biases": (*VARIANTS["qwen3_biases"], "qkv_bias"),
    "qwen2_head": ("qwen2", QWEN2 | {"head_dim": 12}, "head_dim = 12"),
    "gemma2_untied": ("gemma2", GEMMA | {"tie_word_embeddings": False}, "tied"),
    "gemma3_scalar": ("gemma3", GEMMA3 | {"query_pre_attn_scalar": 17}, "query_scalar"),
    "qwen2moe_dense_layer": ("qwen2moe", QWEN2 | {"mlp_only_layers": [1, 2]}, r"experts \(1, 2\)"),
    "qwen2moe_head": ("qwen2moe", QWEN2MOE | {"head_dim": 12}, "head_dim = 12"),
    "qwen2moe_normalized": (
        "qwen2moe",
        QWEN2MOE | {"norm_topk_prob": True},
        "experts normalized = True",
    ),
    "qwen2moe_window": (
        "qwen2moe",
        QWEN2MOE | {"use_sliding_window": True, "sliding_window": 9, "max_window_layers": 2},
        "windows",
    ),
    "qwen2moe_tied": ("qwen2moe", QWEN2MOE | {"tie_word_embeddings": True}, "tied = True"),
    "qwen3moe_not_normalized": (
        "qwen3moe",
        {"norm_topk_prob": False},
        "experts normalized = False",
    ),
    "qwen3moe_biases": ("qwen3moe", {"attention_bias": True}, "qkv_bias"),
    "mixtral_gelu": ("mixtral", {"hidden_act": "gelu"}, "activation"),
    "gpt2_by_layer": (*VARIANTS["gpt2_scaled_by_layer"], "scale_by_layer"),
}


def saved(tmp_path: Path, family: str, seed: int, changes: dict[str, Any]) -> Any:
    model = build(family, seed, **changes)
    model.save_pretrained(tmp_path / "model")
    return model


def exported(tmp_path: Path, kind: str) -> Path:
    content = gguf_content(open_checkpoint(tmp_path / "model"), kind)
    path = tmp_path / f"{kind}.gguf"
    write_gguf(path, {**content.metadata, **NO_TOKENIZER}, content.tensors)
    assert abs(path.stat().st_size - content.size_bytes) < 20_000
    return path


@pytest.mark.parametrize("name", CASES)
def test_llama_cpp_says_what_transformers_says(tmp_path: Path, name: str) -> None:
    family, changes = CASES[name]
    original = saved(tmp_path, family, 92, changes)
    with torch.inference_mode():
        expected = original(torch.tensor([IDS])).logits[0].numpy()
    path = exported(tmp_path, "F32")
    llama = LlamaModel(path, context=64)
    found = llama.logits(IDS)
    error = np.abs(found - expected).max() / expected.std()
    assert error < TOLERANCE.get(family, 1e-4)
    again, before = open_checkpoint(path), open_checkpoint(tmp_path / "model")
    assert set(again.tensors) == set(before.tensors)
    for tensor, values in before.tensors.items():
        assert np.array_equal(again.tensors[tensor].values(), values.values()), tensor
    llama.close()


@pytest.mark.parametrize("name", REFUSED)
def test_what_llama_cpp_cannot_compute_is_refused(tmp_path: Path, name: str) -> None:
    family, changes, word = REFUSED[name]
    saved(tmp_path, family, 93, changes)
    with pytest.raises(ArchitectureError, match=word):
        gguf_content(open_checkpoint(tmp_path / "model"), "F32")


def test_too_many_experts_are_refused(tmp_path: Path) -> None:
    small = {"hidden_size": 8, "intermediate_size": 1, "num_local_experts": 513, "head_dim": 2,
             "num_hidden_layers": 1}  # fmt: skip
    saved(tmp_path, "mixtral", 93, small)
    with pytest.raises(ArchitectureError, match=r"513 experts.*512"):
        gguf_content(open_checkpoint(tmp_path / "model"), "F32")


@pytest.mark.parametrize("family", sorted(set(CLASSES) - {family for family, _ in CASES.values()}))
def test_other_families_are_refused_with_those_that_can_be(tmp_path: Path, family: str) -> None:
    saved(tmp_path, family, 94, {})
    with pytest.raises(ArchitectureError, match=r"llama, .*can"):
        gguf_content(open_checkpoint(tmp_path / "model"), "F32")


def test_an_unknown_kind_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    saved(tmp_path, "llama", 94, {})
    with pytest.raises(InputError, match=r"q5_1.*q8_0"):
        gguf_content(open_checkpoint(tmp_path / "model"), "Q5_1")


@pytest.mark.parametrize("kind", FILE_TYPES)
def test_matrices_are_packed_as_the_gguf_package_packs_them(tmp_path: Path, kind: str) -> None:
    original = saved(tmp_path, "llama", 95, WHOLE_BLOCKS)
    path = exported(tmp_path, kind)
    found = {tensor.name: tensor for tensor in gguf.GGUFReader(path).tensors}
    down = original.model.layers[1].mlp.down_proj.weight.detach().numpy()
    expected = gguf.quants.quantize(down, gguf.GGMLQuantizationType[kind])
    got = found["blk.1.ffn_down.weight"]
    assert got.tensor_type.name == kind
    assert np.array_equal(got.data.view(np.uint8), expected.view(np.uint8))
    assert found["blk.1.ffn_norm.weight"].tensor_type.name == "F32"
    wider = "Q8_0" if kind == "Q4_0" else kind
    assert found["token_embd.weight"].tensor_type.name == wider


def test_rows_that_are_no_whole_blocks_stay_in_16_bits(tmp_path: Path) -> None:
    saved(tmp_path, "llama", 96, {"intermediate_size": 96, "head_dim": 16})  # rows of 48 values
    content = gguf_content(open_checkpoint(tmp_path / "model"), "Q8_0")
    kinds = {name: tensor.kind for name, tensor in content.tensors.items()}
    assert kinds["blk.0.ffn_up.weight"] == "F16"
    assert kinds["blk.0.ffn_down.weight"] == "Q8_0"
    assert "blk.0.ffn_up.weight" in content.uneven
    assert "blk.0.ffn_down.weight" not in content.uneven
    assert LlamaModel(exported(tmp_path, "Q8_0"), context=64).logits(IDS).shape == (40, 96)


def test_blocks_are_copied_where_they_are_of_the_kind_already(tmp_path: Path) -> None:
    saved(tmp_path, "llama", 97, WHOLE_BLOCKS)
    first = exported(tmp_path, "Q4_0")
    content = gguf_content(open_checkpoint(first), "Q4_0")
    write_gguf(tmp_path / "second.gguf", {**content.metadata, **NO_TOKENIZER}, content.tensors)
    assert (tmp_path / "second.gguf").read_bytes() == first.read_bytes()


def test_writing_takes_a_few_rows_of_memory(tmp_path: Path) -> None:
    rows, columns = 20_000, 1024
    values = np.random.default_rng(98).standard_normal((500, columns)).astype(np.float32)

    def pieces():
        for _ in range(rows // 500):
            yield quantize(values, "Q8_0")

    tracemalloc.start()
    write_gguf(tmp_path / "m.gguf", {}, {"m": DeferredTensor("Q8_0", (rows, columns), pieces)})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (tmp_path / "m.gguf").stat().st_size > 20e6
    assert peak < 8e6
    last = open_gguf(tmp_path / "m.gguf").tensors["m"].raw()[-500:]
    assert np.array_equal(last, quantize(values, "Q8_0"))


def test_a_tensor_of_the_wrong_length_leaves_no_file(tmp_path: Path) -> None:
    short = DeferredTensor("F32", (2, 3), lambda: iter([np.zeros(8, np.uint8)]))
    with pytest.raises(FormatError, match="'m' has 8 bytes"):
        write_gguf(tmp_path / "m.gguf", {}, {"m": short})
    assert not list(tmp_path.iterdir())
    unknown = DeferredTensor("Q9_9", (2, 3), lambda: iter([]))
    with pytest.raises(FormatError, match="Q9_9"):
        write_gguf(tmp_path / "m.gguf", {}, {"m": unknown})


def test_greedy_tokens_are_the_same_in_llama_cpp(tmp_path: Path) -> None:
    from kataribe.make.model.reference import generate_reference
    from kataribe.make.model.weights.loading import load_model

    build_pico(tmp_path / "model")
    checkpoint = open_checkpoint(tmp_path / "model")
    model = load_model(checkpoint)
    llama = LlamaModel(exported(tmp_path, "F32"), context=128)
    for prompt in ([5, 9, 31], [200, 17], [90, 91, 92, 93], [2]):
        assert llama.greedy(prompt, 24) == generate_reference(model, prompt, 24)
    llama.close()


@pytest.mark.parametrize("family", ["mixtral", "qwen2moe", "qwen3moe"])
def test_experts_are_packed_and_routers_are_not(tmp_path: Path, family: str) -> None:
    changes = WHOLE_BLOCKS | CASES[family][1] | {"head_dim": 16}
    if family == "qwen2moe":
        changes |= {"shared_expert_intermediate_size": 64}
    original = saved(tmp_path, family, 99, changes)
    path = exported(tmp_path, "Q8_0")
    found = {tensor.name: tensor for tensor in gguf.GGUFReader(path).tensors}
    stacked = found["blk.1.ffn_down_exps.weight"]
    before = open_checkpoint(tmp_path / "model").tensors
    count = 5 if family == "mixtral" else 6
    whole = np.stack([before[f"blocks.1.mlp.experts.{n}.down.weight"].values()
                      for n in range(count)])  # fmt: skip
    expected = gguf.quants.quantize(whole, gguf.GGMLQuantizationType.Q8_0)
    assert np.array_equal(stacked.data, expected)
    assert found["blk.1.ffn_gate_inp.weight"].tensor_type.name == "F32"
    if family == "qwen2moe":
        assert found["blk.1.ffn_gate_inp_shexp.weight"].tensor_type.name == "F32"
        assert found["blk.1.ffn_down_shexp.weight"].tensor_type.name == "Q8_0"
    with torch.inference_mode():
        ours = original(torch.tensor([IDS])).logits[0]
    llama = LlamaModel(path, context=64)
    moved = compare_logits(ours, torch.tensor(llama.logits(IDS)))
    llama.close()
    print(family, moved)
    assert moved.agreement > 0.7  # a token whose experts are nearly tied may go elsewhere
