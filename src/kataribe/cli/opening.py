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
        from kataribe.make.model.folder import read_json
        from kataribe.make.tokens.load import load_tokenizer

        config_from_hf(read_json(folder / "config.json"))
        load_tokenizer(folder)

    def check_model(self, path: Path) -> None:
        """Every parameter has its place and shape, and the tokenizer can be read."""
        from kataribe.make.model.checkpoint import open_checkpoint
        from kataribe.make.tokens.folder import load_folder_tokenizer
        from kataribe.make.tokens.gguf_tokenizer import load_gguf_tokenizer

        held = open_checkpoint(path)  # a GGUF file that is open is read once
        if path.is_dir():
            load_folder_tokenizer(path)
        else:
            load_gguf_tokenizer(path)
        del held
