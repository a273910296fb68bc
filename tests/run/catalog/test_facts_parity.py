"""The catalogue's own reading of headers against the decoder's, which is what will be built."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from catalog_tiny import make_folder

from kataribe.base.errors import FormatError
from kataribe.base.workspace import Workspace
from kataribe.make.model.configs.config import FAMILIES, ModelConfig
from kataribe.make.model.families import DEFAULTS, MODEL_TYPES, config_from_hf
from kataribe.make.model.weights.gguf_settings import ARCHITECTURES
from kataribe.run.catalog import layout
from kataribe.run.catalog.cards import ModelFacts
from kataribe.run.catalog.catalog import Catalog
from kataribe.run.catalog.facts import config_facts, is_tied, read_facts

SIZES = (
    "family", "layers", "hidden_size", "heads", "kv_heads", "head_dim", "intermediate_size",
    "vocab_size", "context_length",
)  # fmt: skip
# What published files say differently from each other; None is a JSON null.
VARIANTS: list[dict[str, Any]] = [
    {},
    {"num_key_value_heads": None},
    {"num_key_value_heads": 2},
    {"num_key_value_heads": 0},
    {"head_dim": None},
    {"head_dim": 0},
    {"head_dim": 32},
    {"head_dim": 64, "num_attention_heads": 16, "num_key_value_heads": 4},
    {"hidden_size": 1280.0, "num_hidden_layers": 3},
    {"tie_word_embeddings": True},
    {"tie_word_embeddings": False},
    {"vocab_size": 1000, "max_position_embeddings": 640, "intermediate_size": 96},
]
GPT2_VARIANTS: list[dict[str, Any]] = [
    {"n_inner": 100},
    {"n_inner": None, "n_embd": 96, "n_head": 4},
    {"n_inner": 0},
    {"hidden_size": 96, "num_attention_heads": 4, "num_hidden_layers": 2},
    {"max_position_embeddings": 77, "tie_word_embeddings": False},
]

ATTENDING = [name for name, family in MODEL_TYPES.items() if family not in layout.RECURRENT]
"""The others have words of their own: see test_recurrent_facts.py."""


def same(facts: ModelFacts, config: ModelConfig) -> None:
    assert {name: getattr(facts, name) for name in SIZES} == {
        name: getattr(config, name) for name in SIZES
    }


def test_the_same_families_are_known() -> None:
    assert {*layout.FAMILIES, *layout.RECURRENT} == set(FAMILIES) == set(DEFAULTS)
    assert set(ARCHITECTURES) <= set(layout.FAMILIES)
    for model_type, family in MODEL_TYPES.items():
        assert layout.check_family({"model_type": model_type}, "x") == family


@pytest.mark.parametrize("model_type", ATTENDING)
def test_a_config_means_what_it_means_to_the_decoder(model_type: str) -> None:
    for variant in GPT2_VARIANTS if model_type == "gpt2" else VARIANTS:
        raw = {"model_type": model_type, **variant}
        config = config_from_hf(raw)
        same(config_facts(raw, (), None, "x"), config)
        assert is_tied(raw, config.family) == config.tied


@pytest.mark.parametrize("inner", [{}, {"num_key_value_heads": 1}, {"tie_word_embeddings": False}])
@pytest.mark.parametrize("outer", [{}, {"tie_word_embeddings": False}])
def test_a_text_decoder_inside_of_another_model(
    inner: dict[str, Any], outer: dict[str, Any]
) -> None:
    sizes = {"hidden_size": 2560, "num_hidden_layers": 34, "intermediate_size": 10240}
    text = {"model_type": "gemma3_text", "sliding_window": 1024, **sizes, **inner}
    raw = {"model_type": "gemma3", "vision_config": {"hidden_size": 7}, "text_config": text}
    raw |= outer
    config = config_from_hf(raw)
    facts = config_facts(raw, (), None, "x")
    same(facts, config)
    assert (facts.layers, facts.vocab_size) == (34, 262208)
    assert is_tied(raw, "gemma3") == config.tied


@pytest.mark.parametrize("model_type", ATTENDING)
@pytest.mark.parametrize(
    "lie",
    [
        {
            "hidden_size": 100,
            "n_embd": 100,
            "head_dim": None,
            "num_attention_heads": 7,
            "n_head": 7,
        },
        {"num_hidden_layers": 0, "n_layer": 0},
        {"vocab_size": "many"},
        {"max_position_embeddings": None, "n_positions": None},
    ],
)
def test_what_the_decoder_refuses_is_refused(model_type: str, lie: dict[str, Any]) -> None:
    raw = {"model_type": model_type, **lie}
    for read in (config_from_hf, lambda config: config_facts(config, (), None, "x")):
        with pytest.raises(FormatError):
            read(raw)


def test_real_files(smollm2_path: Path, pico_path: Path) -> None:
    from kataribe.make.model.weights.checkpoint import open_checkpoint

    for path in (smollm2_path, pico_path):
        same(read_facts(path), open_checkpoint(path).config)


@pytest.mark.parametrize("tied", [None, True])
def test_a_gemma_with_eyes_can_be_imported(tmp_path: Path, tied: bool | None) -> None:
    sizes = {
        "hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4,
        "num_key_value_heads": 2, "head_dim": 16, "intermediate_size": 128, "vocab_size": 96,
        "max_position_embeddings": 256,
    }  # fmt: skip
    config = {"model_type": "gemma3", "text_config": sizes, "tie_word_embeddings": tied}
    catalog = Catalog(Workspace(tmp_path / "home"))
    model = catalog.import_(make_folder(tmp_path / "gemma-3-tiny", config))
    assert model.card.family == "gemma3"
    second = make_folder(tmp_path / "gemma-2-tiny", {"model_type": "gemma2", **sizes})
    assert catalog.import_(second).card.family == "gemma2"


EXPERTS = {
    "vocab_size": 96, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64,
}  # fmt: skip
MIXTURES: dict[str, tuple[str, dict[str, Any]]] = {
    "mixtral": ("Mixtral", {"num_local_experts": 4}),
    "qwen2moe": (
        "Qwen2Moe",
        {
            "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32,
            "shared_expert_intermediate_size": 96,
        },
    ),
    "qwen3moe": (
        "Qwen3Moe", {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
    ),
    "bitnet": ("BitNet", {"bos_token_id": 1, "eos_token_id": 2}),
}  # fmt: skip


@pytest.mark.parametrize("precision", ["auto", "float32", "int8", "int4"])
@pytest.mark.parametrize("family", MIXTURES)
def test_memory_of_mixtures_counts_every_expert(
    tmp_path: Path, family: str, precision: str
) -> None:
    import transformers

    from kataribe.make.model.configs.counting import parameter_count
    from kataribe.make.model.weights.checkpoint import open_checkpoint
    from kataribe.run.catalog.memory import predict_memory

    prefix, changes = MIXTURES[family]
    config = getattr(transformers, f"{prefix}Config")(**EXPERTS, **changes)
    model = getattr(transformers, f"{prefix}ForCausalLM")(config)
    model.save_pretrained(tmp_path)
    facts = read_facts(tmp_path)
    assert facts.family == family
    values = sum(group.values for group in facts.groups)
    assert values == model.num_parameters() == parameter_count(open_checkpoint(tmp_path).config)
    memory = predict_memory(facts, precision, 64)
    least = {"float32": 4, "int8": 1, "int4": 0.5, "auto": 2}[precision]
    assert memory.weights >= least * values
