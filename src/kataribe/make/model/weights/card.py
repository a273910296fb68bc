"""What a model's card says of it: the YAML front matter of its README.md, as on model hubs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kataribe.base.errors import FormatError
from kataribe.files.atomic import storage_error

README = "README.md"
MAX_BYTES = 1 << 20


def read_front_matter(folder: Path) -> dict[str, Any]:
    """The card's fields; empty where there is no card or none with front matter.

    Raises `FormatError` for a card that is too long or whose front matter is not YAML.
    """
    import yaml

    path = folder / README
    if not path.is_file():
        return {}
    try:
        if path.stat().st_size > MAX_BYTES:
            raise FormatError(f"{path} has more than {MAX_BYTES} bytes; a card is shorter.")
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise storage_error(f"{path} cannot be read", error) from error
    if not text.startswith("---"):
        return {}
    front, ended, _ = text[3:].partition("\n---")
    if not ended:
        return {}
    try:
        found = yaml.safe_load(front)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise FormatError(f"{path} begins with what is not YAML: {str(error)[:200]}.") from None
    return found if isinstance(found, dict) else {}


def gguf_card(front: dict[str, Any], name: str) -> dict[str, Any]:
    """The same in GGUF's keys (`general.name`, `general.license`, ...)."""
    keys: dict[str, Any] = {"general.name": name}
    for field, key in (("license", "general.license"), ("license_link", "general.license.link")):
        if isinstance(front.get(field), str):
            keys[key] = front[field]
    for field, key in (("language", "general.languages"), ("tags", "general.tags")):
        value = front.get(field)
        listed = [value] if isinstance(value, str) else value
        if isinstance(listed, list) and listed and all(isinstance(each, str) for each in listed):
            keys[key] = listed
    return keys


def samples(front: dict[str, Any]) -> list[str]:
    """Texts that the card gives to try (`widget`)."""
    widgets = front.get("widget")
    if not isinstance(widgets, list):
        return []
    texts = [each.get("text") for each in widgets if isinstance(each, dict)]
    return [text for text in texts if isinstance(text, str) and text]
