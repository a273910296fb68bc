"""What goes along with an exported model: its card and its licence, and nobody else's."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DOCUMENTS = ("README.md", "LICENSE", "LICENSE.md", "LICENSE.txt", "NOTICE", "NOTICE.txt")
_FIELDS = {
    "license": "general.license",
    "license_link": "general.license.link",
    "language": "general.languages",
    "tags": "general.tags",
}
"""Fields of a card's front matter and the keys of a GGUF file that say the same."""


@dataclass(frozen=True)
class Card:
    """What is known of a model besides its weights.

    Attributes:
        home: The folder whose documents are the model's; None where a GGUF file lies among
            things that are not known to belong to it.
        front: The card's fields.
    """

    home: Path | None
    front: Mapping[str, Any]

    def write(self, folder: Path) -> None:
        """Puts the documents into an exported folder; without any, a card of what is known."""
        from kataribe.files.atomic import write_atomic

        if self.home is not None:
            for name in DOCUMENTS:
                if (self.home / name).is_file():
                    shutil.copyfile(self.home / name, folder / name)
        elif self.front:
            import yaml

            front = yaml.safe_dump(dict(self.front), allow_unicode=True, sort_keys=False)
            write_atomic(folder / "README.md", f"---\n{front}---\n")


def card_of(source: Path) -> Card:
    """The card of a model in a folder or a GGUF file; `FormatError` for a broken one.

    A README or a licence beside a GGUF file is the model's where the folder is a model's: one of
    the workspace, or one that has the model in Hugging Face's layout, too. Elsewhere (a folder of
    downloads) it may be about anything, and the file's own keys are what is known.
    """
    from kataribe.base.workspace import Workspace
    from kataribe.files.gguf import open_gguf
    from kataribe.make.model.weights.card import read_front_matter

    home = source if source.is_dir() else source.parent
    ours = Workspace.locate().models.absolute() in source.absolute().parents
    if source.is_dir() or ours or (home / "config.json").is_file():
        return Card(home, read_front_matter(home))
    found = open_gguf(source).metadata
    return Card(None, {field: found[key] for field, key in _FIELDS.items() if _tells(found, key)})


def _tells(metadata: Mapping[str, Any], key: str) -> bool:
    """The key has a text, or texts."""
    value = metadata.get(key)
    texts = value if isinstance(value, list) else [value]
    return bool(texts) and all(isinstance(text, str) and text for text in texts)
