"""The catalogue with a checker: what it takes in, the runners can open."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from kataribe.base.workspace import Workspace
    from kataribe.run.catalog.catalog import Catalog


def open_catalog(workspace: Workspace) -> Catalog:
    """The models of a workspace, for commands that bring one in."""
    from kataribe.run.catalog.catalog import Catalog

    return Catalog(workspace, Opening())


class Opening:
    """A `Checker` that goes the way of a load up to the weights."""

    def check_texts(self, folder: Path) -> None:
        """The settings describe a model that is built here, and the tokenizer can be read."""
        from kataribe.make.model.families import config_from_hf
        from kataribe.make.model.families.encoder import encoder_from_hf, is_encoder
        from kataribe.make.model.families.encoder_decoder import source_config_from_hf
        from kataribe.make.model.weights.encoder_decoder_folder import holds_encoder_decoder
        from kataribe.make.model.weights.folder import read_json
        from kataribe.make.tokens.load import load_tokenizer

        settings = read_json(folder / "config.json")
        if is_encoder(settings):
            encoder_from_hf(settings)
            _read_encoder_texts(folder)
            return
        if holds_encoder_decoder(folder):
            source_config_from_hf(settings)
        else:
            config_from_hf(settings)
        load_tokenizer(folder)

    def check_model(self, path: Path) -> None:
        """Every parameter has its place and shape, and the tokenizer can be read."""
        from kataribe.make.model.families.encoder import is_encoder
        from kataribe.make.model.weights.checkpoint import open_any
        from kataribe.make.model.weights.encoder_folder import open_encoder
        from kataribe.make.model.weights.folder import read_json
        from kataribe.make.model.weights.sentences import read_sentence_settings
        from kataribe.make.tokens.folder import load_folder_tokenizer
        from kataribe.make.tokens.gguf_tokenizer import load_gguf_tokenizer

        if path.is_dir() and is_encoder(read_json(path / "config.json")):
            open_encoder(path)
            read_sentence_settings(path)
            _read_encoder_texts(path)
            return
        held = open_any(path)  # a GGUF file that is open is read once
        if path.is_dir():
            load_folder_tokenizer(path)
        else:
            load_gguf_tokenizer(path)
        del held


def _read_encoder_texts(folder: Path) -> None:
    """Reads an encoder's tokenizer and holds it against the model's vocabulary."""
    from kataribe.make.model.families.encoder import encoder_from_hf
    from kataribe.make.model.weights.folder import read_json
    from kataribe.make.tokens.encoder_texts import open_encoder_texts

    config = encoder_from_hf(read_json(folder / "config.json"))
    open_encoder_texts(folder, limit=config.context_length, vocab_size=config.vocab_size)
