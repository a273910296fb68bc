"""Fit before the download of models that are named by their source."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from catalog_tiny import CONFIG, FakeHub, make_folder, make_gguf

from kataribe.base.errors import ArchitectureError, NotFoundError
from kataribe.files.safetensors import save_safetensors
from kataribe.run.catalog.cards import built_in_cards
from kataribe.run.catalog.catalog import Catalog
from kataribe.run.catalog.machine import Machine

GIB = 1 << 30
MACHINE = Machine(
    cores=2, memory=16 * GIB, available=12 * GIB, disk_free=100 * GIB, bandwidth=30e9,
    matrix_rate=180e9, fast_bfloat16=True,
)  # fmt: skip
REPO = "maker/Tiny-1B"
WIDE = {**CONFIG, "hidden_size": 256, "vocab_size": 4000, "tie_word_embeddings": False}


@pytest.fixture(autouse=True)
def known_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kataribe.run.catalog.catalog.look_at", lambda workspace: MACHINE)


def publish(hub: FakeHub, folder: Path) -> str:
    hub.files[REPO] = {path.name: path.read_bytes() for path in folder.iterdir()}
    return f"hf:{REPO}"


def wide(folder: Path, config: dict[str, object]) -> Path:
    make_folder(folder, config)
    shapes = {
        "model.embed_tokens.weight": (4000, 256),
        "model.layers.0.mlp.gate_proj.weight": (1024, 256),
        "model.norm.weight": (256,),
    }
    if not config["tie_word_embeddings"]:
        shapes["lm_head.weight"] = (4000, 256)
    kind = np.float16 if config.get("dtype") == "float16" else np.float32
    tensors = {name: np.ones(shape, kind) for name, shape in shapes.items()}
    save_safetensors(folder / "model.safetensors", tensors)
    return folder


@pytest.mark.parametrize("name", ["qwen2.5-0.5b", "smollm2-135m"])
def test_the_source_of_a_card_is_the_card(catalog: Catalog, name: str) -> None:
    source = built_in_cards()[name].source
    found = catalog.fit(source)
    assert (found.name, found.verdict) == (name, "fits")
    assert found.memory == catalog.fit(name).memory
    assert found.download == catalog.fit(name).download


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("dtype", [None, "float16"])
def test_a_hub_source_tells_beforehand_what_its_files_tell_afterwards(
    catalog: Catalog, hub: FakeHub, tmp_path: Path, tied: bool, dtype: str | None
) -> None:
    config = {**WIDE, "tie_word_embeddings": tied} | ({"dtype": dtype} if dtype else {})
    source = publish(hub, wide(tmp_path / "wide", config))
    before = catalog.fit(source)
    fetched = {path.rpartition("/")[2] for path, _, _ in hub.log if path.startswith("/cdn/")}
    assert fetched == {"config.json"}
    assert (before.name, before.verdict, before.ctx) == ("Tiny-1B", "fits", 256)
    assert before.download == sum(map(len, hub.files[REPO].values()))
    catalog.pull(source)
    after = catalog.fit("Tiny-1B")
    assert before.memory is not None
    assert after.memory is not None
    assert before.memory.weights == pytest.approx(after.memory.weights, rel=0.01)
    assert before.memory.kv_cache == after.memory.kv_cache
    assert before.memory.total == pytest.approx(after.memory.total, rel=0.01)
    asked = len(hub.log)
    assert catalog.fit(source).download == 0  # it is here now
    assert len(hub.log) == asked


def test_what_cannot_be_known_is_said(catalog: Catalog, hub: FakeHub, tmp_path: Path) -> None:
    packed = wide(tmp_path / "packed", {**WIDE, "quantization_config": {"bits": 4}})
    found = catalog.fit(publish(hub, packed))
    assert (found.verdict, found.memory) == ("unknown", None)
    assert "how many bytes" in found.reason
    folder = tmp_path / "gguf"
    folder.mkdir()
    make_gguf(folder / "a.gguf")
    found = catalog.fit(publish(hub, folder))
    assert (found.verdict, found.download) == ("unknown", (folder / "a.gguf").stat().st_size)
    assert "header of the GGUF file" in found.reason
    found = catalog.fit("pypi:somebody-else==1.0")
    assert (found.name, found.verdict, found.download) == ("somebody-else", "unknown", None)
    assert "package" in found.reason


def test_a_source_that_cannot_be_pulled_is_refused(
    catalog: Catalog, hub: FakeHub, tmp_path: Path
) -> None:
    with pytest.raises(NotFoundError, match="nobody/nothing"):
        catalog.fit("hf:nobody/nothing")
    with pytest.raises(ArchitectureError, match="foreign"):
        catalog.fit(publish(hub, make_folder(tmp_path / "x", {**CONFIG, "model_type": "foreign"})))


def test_a_file_tells_itself(catalog: Catalog, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "Here")
    found = catalog.fit(f"file:{folder}")
    assert (found.name, found.verdict, found.download) == ("Here", "fits", 0)
    assert json.loads((folder / "config.json").read_text())["vocab_size"] == 96
