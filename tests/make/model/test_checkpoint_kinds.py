"""Other kinds of models than decoders: opened by name, refused where a decoder is wanted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from kataribe.base.errors import ArchitectureError, NotFoundError
from kataribe.make.model.weights import checkpoint as checkpoints
from kataribe.make.model.weights.checkpoint import Checkpoint, FolderKind, open_any, open_checkpoint
from tests.parity.tiny import build


def test_a_decoder_is_opened_either_way(tmp_path: Path) -> None:
    build("llama", 31).save_pretrained(tmp_path)
    assert open_any(tmp_path).config == open_checkpoint(tmp_path).config
    with pytest.raises(NotFoundError, match="nothing"):
        open_any(tmp_path / "nothing")


def test_another_kind_is_opened_by_its_own_reader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build("llama", 32).save_pretrained(tmp_path / "decoder")
    decoder = open_checkpoint(tmp_path / "decoder")

    def reader(folder: Path, settings: Mapping[str, Any]) -> Checkpoint:
        assert settings["model_type"] == "tales"
        return Checkpoint(folder, decoder.config, {})

    kind = FolderKind("a teller", "It tells; ask it to.", frozenset({"tales"}), reader)
    monkeypatch.setattr(checkpoints, "KINDS", (*checkpoints.KINDS, kind))
    folder = tmp_path / "teller"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "tales"}))
    assert open_any(folder).path == folder
    with pytest.raises(ArchitectureError, match=r"a teller \(tales\).*decoder.*It tells"):
        open_checkpoint(folder)
