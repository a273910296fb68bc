"""config.json to `ModelConfig` and back, against the defaults that `transformers` has itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import transformers

from kataribe.base.errors import ArchitectureError, FormatError
from kataribe.make.model.families import LAYOUTS, MODEL_TYPES, config_from_hf, config_to_hf
from kataribe.make.model.families.encoder import encoder_from_hf
from kataribe.make.model.families.encoder_decoder import source_config_from_hf
from kataribe.make.model.weights.checkpoint import open_any
from tests.parity.test_parity_families import ROPES, VARIANTS
from tests.parity.tiny import BASE, CLASSES, FAMILY_SETTINGS, GPT2, RECURRENT, build

LLAMA: dict[str, Any] = {"model_type": "llama", **BASE}


def published(family: str, **changes: Any) -> dict[str, Any]:
    """config.json as `transformers` writes it."""
    settings = json.loads(CLASSES[family][0](**changes).to_json_string())
    assert isinstance(settings, dict)
    return settings


@pytest.mark.parametrize("family", CLASSES)
def test_what_is_left_out_means_what_it_means_to_transformers(family: str) -> None:
    whole = published(family)
    assert config_from_hf({"model_type": whole["model_type"]}) == config_from_hf(whole)


@pytest.mark.parametrize("name", VARIANTS)
def test_variants_survive_the_way_to_a_file_and_back(name: str) -> None:
    family, changes = VARIANTS[name]
    base = GPT2 if family == "gpt2" else {**BASE, **FAMILY_SETTINGS.get(family, {})}
    config = config_from_hf(published(family, **{**base, **changes}))
    ours = config_to_hf(config)
    assert config_from_hf(json.loads(json.dumps(ours))) == config
    theirs = CLASSES[family][0].from_dict(ours)  # their own reading of it, written down again
    assert config_from_hf(json.loads(theirs.to_json_string())) == config


@pytest.mark.parametrize("name", ROPES)
def test_ropes_survive_the_way_to_a_file_and_back(name: str) -> None:
    config = config_from_hf(published("llama", **{**BASE, **ROPES[name]}))
    ours = config_to_hf(config)
    theirs = json.loads(CLASSES["llama"][0].from_dict(ours).to_json_string())
    assert config_from_hf(ours) == config_from_hf(theirs) == config


def test_unknown_architectures_are_named_with_what_is_supported() -> None:
    with pytest.raises(ArchitectureError, match=r"'rwkv'.*llama.*gemma3"):
        config_from_hf({"model_type": "rwkv"})
    with pytest.raises(ArchitectureError, match="None"):
        config_from_hf({})
    with pytest.raises(ArchitectureError, match=r"'rwkv' with code of its own \(m.RwkvModel\)"):
        config_from_hf({"model_type": "rwkv", "auto_map": {"AutoModel": "m.RwkvModel"}})


@pytest.mark.parametrize("auto_map", [
    {"AutoModelForCausalLM": "modeling.Evil"},
    {"AutoModelForCausalLM": "someone/else--modeling.EvilLlamaForCausalLM"},
    {"AutoConfig": "c.LlamaConfig", "AutoModelForCausalLM": "m.LlamaAndMoreForCausalLM"},
    {"AutoModel": ["m.LlamaModel", "m.Evil"]}, {"AutoModel": None}, "modeling.py", ["m.LlamaModel"],
])  # fmt: skip
def test_code_that_is_not_the_familys_own_is_refused(auto_map: Any) -> None:
    with pytest.raises(ArchitectureError, match=r"'llama' with code of its own.*never run"):
        config_from_hf({**LLAMA, "auto_map": auto_map})


def test_code_from_before_transformers_had_the_family_changes_nothing(tmp_path: Path) -> None:
    # as microsoft/bitnet-b1.58-2B-4T and ai21labs/Jamba-v0.1 are published
    for name, prefix in (("llama", "Llama"), ("bitnet", "BitNet"), ("jamba", "Jamba")):
        raw = published(name, **RECURRENT.get(name, BASE))
        kinds = {"AutoConfig": "Config", "AutoModel": "Model",
                 "AutoModelForCausalLM": "ForCausalLM",
                 "AutoModelForSequenceClassification": "ForSequenceClassification"}  # fmt: skip
        own = {role: f"modeling_{name}.{prefix}{kind}" for role, kind in kinds.items()}
        own["AutoTokenizer"] = "tokenization.Anything"
        assert config_from_hf({**raw, "auto_map": own}) == config_from_hf(raw)
    for name, layout in LAYOUTS.items():  # what a family leaves out or says with null is its own
        if name == "kataribe":  # never published with code
            continue
        named = {"auto_map": {"AutoModelForCausalLM": f"m.{layout.class_name}"}}
        for one in ({"model_type": layout.model_types[0]}, published(name)):
            assert config_from_hf({**one, **named}) == config_from_hf(one), name
    assert "auto_map" not in config_to_hf(config_from_hf({**raw, "auto_map": own}))
    for name in ("made_up", "no_rope"):  # as if nothing were set
        assert config_from_hf({**LLAMA, name: False}) == config_from_hf(LLAMA)
    build("jamba", 3).save_pretrained(tmp_path)
    settings = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**settings, "auto_map": own}))
    (tmp_path / "modeling_jamba.py").write_text("raise SystemExit('it was run')")
    assert open_any(tmp_path).config.family == "jamba"


@pytest.mark.parametrize(
    ("setting", "word"),
    [
        ({"is_causal": False}, "is_causal is False; it must be True"),
        ({"no_mask": False}, "'no_mask' to False, which this family does not have.*never run"),
        ({"windows": []}, r"'windows' to \[\]"),
        ({"gate": None}, "'gate' to None"),
        ({"rope_scaling": {"rope_type": "linear", "factor": 2, "odd": False}}, "'odd' to False"),
    ],
)
def test_code_with_the_familys_names_may_not_be_told_what_the_family_is_not(
    setting: dict[str, Any], word: str
) -> None:
    # as Alibaba-NLP/gte-Qwen2-1.5B-instruct: Qwen 2 by name, and no causal mask
    own = {"AutoModel": "modeling_qwen.Qwen2Model"}
    raw = {**LLAMA, "model_type": "qwen2", "rope_parameters": None}
    with pytest.raises(FormatError, match=word):
        config_from_hf({**raw, "auto_map": own, **setting})
    config_from_hf({**raw, "auto_map": own})
    config_from_hf({**raw, "auto_map": {"AutoTokenizer": "t.Any"}, "no_mask": False})


def test_no_decoder_is_opened_that_reads_both_ways() -> None:
    for name in MODEL_TYPES:
        with pytest.raises(FormatError, match="is_causal is False; it must be True"):
            config_from_hf({"model_type": name, "is_causal": False})
    with pytest.raises(FormatError, match="'no_pooling' to False, which this family"):
        encoder_from_hf({"model_type": "bert", "auto_map": {"AutoModel": "m.BertModel"},
                         "no_pooling": False})  # fmt: skip
    with pytest.raises(FormatError, match="'no_bias' to False, which this family"):
        source_config_from_hf({"model_type": "t5", "auto_map": {"AutoModel": "m.T5Model"},
                               "no_bias": False})  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"hidden_act": "swoosh"}, "hidden_act is 'swoosh'"),
        ({"rope_scaling": {"rope_type": "mystery", "factor": 2.0}}, "rope_type is 'mystery'"),
        ({"rope_scaling": {"rope_type": "linear"}}, "lacks 'factor'"),
        ({"rope_scaling": {"rope_type": "linear", "factor": 2, "odd": 3}}, "'odd'"),
        ({"rope_scaling": "linear"}, "rope_scaling"),
        ({"rope_scaling": {"rope_type": "default", "factor": 2.0}}, "'factor'"),
        ({"partial_rotary_factor": 0.5}, "partial_rotary_factor"),
        ({"rope_interleaved": True}, "rope_interleaved"),
        ({"num_local_experts": 8}, "num_local_experts"),
        ({"sliding_window": 100}, "sliding_window"),
        ({"logit_scale": 0.5}, "logit_scale"),
        ({"quantization_config": {"quant_method": "gptq"}}, "quantization_config"),
        ({"num_hidden_layers": 1 << 60}, "num_hidden_layers"),
        ({"num_hidden_layers": 0}, "num_hidden_layers"),
        ({"num_hidden_layers": "4"}, "num_hidden_layers"),
        ({"hidden_size": True}, "hidden_size"),
        ({"hidden_size": 10**400}, "hidden_size"),
        ({"rms_norm_eps": 10**400}, "rms_norm_eps"),
        ({"num_attention_heads": 0}, "heads"),
        ({"num_key_value_heads": 4}, "kv_heads"),
        ({"attention_bias": "yes"}, "attention_bias"),
        ({"tie_word_embeddings": 1}, "tie_word_embeddings"),
        ({"is_encoder_decoder": True}, "is_encoder_decoder"),
    ],
)
def test_what_would_change_the_answer_is_refused_by_name(
    changes: dict[str, Any], word: str
) -> None:
    with pytest.raises(FormatError, match=word):
        config_from_hf({**LLAMA, **changes})


@pytest.mark.parametrize(
    "changes",
    [
        {"torch_dtype": "bfloat16", "use_cache": True, "pretraining_tp": 2},
        {"_name_or_path": "x", "unsloth_fixed": True, "transformers.js_config": {"a": 1}},
        {"rope_interleaved": False, "is_llama_config": True, "rope_scaling": None},
        {"something_new": False, "another": None, "third": {}},
    ],
)
def test_what_cannot_change_the_answer_passes(changes: dict[str, Any]) -> None:
    assert config_from_hf({**LLAMA, **changes}) == config_from_hf(LLAMA)


def test_gemma3_refuses_what_transformers_would_pass_over() -> None:
    settings = {"model_type": "gemma3_text", **BASE}
    for name, value in (("attn_logit_softcapping", 50.0), ("use_bidirectional_attention", True)):
        with pytest.raises(FormatError, match=name):
            config_from_hf({**settings, name: value})


def test_gemma3_with_images_is_read_as_its_text_decoder() -> None:
    text = {"hidden_size": 2560, "num_hidden_layers": 34, "sliding_window": 1024}
    text |= {"intermediate_size": 10240, "model_type": "gemma3_text"}
    scaling = {"rope_scaling": {"factor": 8.0, "rope_type": "linear"}}
    both = {"model_type": "gemma3", "text_config": {**text, **scaling}, "vision_config": {"a": 1}}
    config = config_from_hf(both)
    assert (config.layers, config.heads, config.kv_heads, config.vocab_size) == (34, 8, 4, 262208)
    assert config.rope is not None
    assert config.local_rope is not None
    assert (config.rope.factor, config.local_rope.kind) == (8.0, "default")
    assert config.windows.count(None) == 5


def test_layer_types_must_name_every_layer() -> None:
    settings = {"model_type": "qwen3", **BASE}
    with pytest.raises(FormatError, match="layer_types"):
        config_from_hf({**settings, "layer_types": ["full_attention"]})
    with pytest.raises(FormatError, match="chunked_attention"):
        config_from_hf({**settings, "layer_types": ["chunked_attention"] * 4})
    with pytest.raises(FormatError, match="no sliding_window"):
        config_from_hf({**settings, "layer_types": ["sliding_attention"] * 4})


def test_a_family_without_words_for_a_model_says_so() -> None:
    import dataclasses

    config = config_from_hf(LLAMA)
    with pytest.raises(FormatError, match="query_scalar"):
        config_to_hf(dataclasses.replace(config, query_scalar=5.0))
    with pytest.raises(FormatError, match="windows"):
        config_to_hf(dataclasses.replace(config, windows=(3,) * config.layers))


def test_every_model_type_is_known_to_transformers() -> None:
    assert set(MODEL_TYPES) - set(transformers.CONFIG_MAPPING) == {"kataribe"}
