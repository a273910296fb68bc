"""Whether a model can be opened, asked of whoever builds models: this room only keeps them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from kataribe.run.catalog.facts import read_facts


class Checker(Protocol):
    """Opens what there is of a model as its load will, without reading its weights.

    Both raise `FormatError` or its kin that names what is wrong.
    """

    def check_texts(self, folder: Path) -> None:
        """The texts of a folder in Hugging Face's layout whose weights are not there yet."""

    def check_model(self, path: Path) -> None:
        """A whole model: its folder, or one GGUF file whatever it is called."""


class HeadersOnly:
    """A `Checker` that asks for no more than this room reads itself."""

    def check_texts(self, folder: Path) -> None:
        """Texts say nothing that this room reads before the weights are there."""

    def check_model(self, path: Path) -> None:
        """Every header opens, and the sizes in it are possible."""
        read_facts(path)


def opened_path(files: Sequence[Path]) -> Path:
    """What opens a model of these files, weights first: their folder, or the one GGUF file."""
    return files[0].parent if files[0].suffix == ".safetensors" else files[0]


def check_source(files: Sequence[Path], checker: Checker) -> None:
    """Looks at a model where it lies, so that nothing is copied or linked in vain."""
    path = opened_path(files)
    read_facts(path)
    checker.check_model(path)
