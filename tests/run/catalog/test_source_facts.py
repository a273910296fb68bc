"""The catalogue's own reading of encoder-decoders against the model that will be built."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kataribe.base.errors import FormatError
from kataribe.base.workspace import Workspace
from kataribe.cli.opening import open_catalog
from kataribe.make.model.configs.encoder_decoder_config import SOURCE_FAMILIES, EncoderDecoderConfig
from kataribe.make.model.families.encoder_decoder import SOURCE_DEFAULTS, source_config_from_hf
from kataribe.make.model.weights.encoder_decoder_folder import open_encoder_decoder
from kataribe.make.model.weights.encoder_decoder_shapes import (
    source_cache_bytes,
    source_parameter_count,
)
from kataribe.run.catalog import layout
from kataribe.run.catalog.cards import ModelFacts
from kataribe.run.catalog.facts import config_facts, read_facts
from kataribe.run.catalog.memory import kv_bytes_per_token
from tests.parity.tiny_source import SOURCES, build_source
from tests.source_models import make_source_model

VARIANTS: dict[str, list[dict[str, Any]]] = {
    "t5": [{}, {"num_decoder_layers": 3}, {"d_model": 96, "d_kv": 7, "num_layers": 2},
           {"n_positions": 100, "num_decoder_layers": None}],
    "bart": [{}, {"decoder_layers": 3, "encoder_layers": 5}, {"max_position_embeddings": 77},
             {"d_model": 96, "decoder_attention_heads": 3, "decoder_ffn_dim": 11}],
}  # fmt: skip


def same(facts: ModelFacts, config: EncoderDecoderConfig) -> None:
    stack = config.decoder
    got = (facts.family, facts.layers, facts.hidden_size, facts.heads, facts.kv_heads)
    assert got == (config.family, stack.layers, config.hidden_size, stack.heads, stack.kv_heads)
    got = (facts.head_dim, facts.intermediate_size, facts.vocab_size, facts.context_length)
    wanted = (stack.head_dim, stack.intermediate_size, config.vocab_size, config.context_length)
    assert got == wanted
    assert kv_bytes_per_token(facts, "float32") == source_cache_bytes(config, 4)
    assert facts.decodes


def test_the_same_families_of_encoder_decoders_are_known() -> None:
    assert set(layout.SOURCES) == set(SOURCE_FAMILIES) == set(SOURCE_DEFAULTS)


@pytest.mark.parametrize("family", SOURCE_FAMILIES)
def test_sizes_left_out_are_the_same(family: str) -> None:
    for change in VARIANTS["t5" if "d_kv" in SOURCE_DEFAULTS[family] else "bart"]:
        raw = {"model_type": family, "decoder_start_token_id": 0, **change}
        same(config_facts(raw, (), None, "x"), source_config_from_hf(raw))


@pytest.mark.parametrize("name", SOURCES)
def test_weights_of_a_folder_are_counted(tmp_path: Path, name: str) -> None:
    build_source(name, 71).save_pretrained(tmp_path)
    config = open_encoder_decoder(tmp_path).config
    facts = read_facts(tmp_path)
    same(facts, config)
    bias = config.vocab_size if config.logits_bias else 0
    tables = 0
    if name == "pegasus":  # its sines are stored
        tables = (config.source_length + config.target_length) * config.hidden_size
    assert facts.parameters == source_parameter_count(config) + bias + tables
    roles = {group.role: group.rows for group in facts.groups}
    assert roles["embedding"] == config.vocab_size


def test_sizes_that_are_none_are_refused() -> None:
    for change in ({"n_positions": "many"}, {"num_heads": -3}, {"d_kv": 0.5}):
        with pytest.raises(FormatError, match="whole number above 0"):
            config_facts({"model_type": "t5", **change}, (), None, "x")


def test_the_catalogue_takes_only_whole_ones(tmp_path: Path) -> None:
    folder = tmp_path / "given"
    make_source_model("t5", folder)
    catalog = open_catalog(Workspace(tmp_path / "home"))
    catalog.import_(folder, as_name="small", link=True)
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(FormatError):
        catalog.import_(folder, as_name="broken")


def test_the_card_in_the_folder_says_what_it_does(tmp_path: Path) -> None:
    folder = tmp_path / "given"
    make_source_model("bart", folder)
    catalog = open_catalog(Workspace(tmp_path / "home"))
    catalog.import_(folder, as_name="small")
    written = (tmp_path / "home" / "models" / "small" / "README.md").read_text("utf-8")
    assert '"text2text-generation"' in written
