"""Which rule of llama.cpp's a tokenizer.json cuts words by: the way back of `pretokenizers`.

Compared are the regular expressions themselves, in one spelling, and not what they do to some
text: a rule that agrees on a sample may still differ on what people write.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from kataribe.base.errors import UnsupportedError
from kataribe.make.tokens.pretokenizers import CONTRACTIONS, GPT2, RULES

_ANY_CASE = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
"""How published files write `CONTRACTIONS`."""
_REST = r"|\s+"
"""White space that no alternative took stays a word of its own either way."""


def pre_tokenizer_name(description: Any, *, ignore_merges: bool) -> str:
    """The name for `tokenizer.ggml.pre`.

    Args:
        description: `pre_tokenizer` of a tokenizer.json.
        ignore_merges: As its model says.

    Raises `UnsupportedError` for a rule that llama.cpp has not.
    """
    wanted = tuple(_spelled(pattern) for pattern in _patterns(description))
    found = None
    for names, rule in RULES:
        if tuple(map(_spelled, rule.patterns)) == wanted:
            if rule.ignore_merges == ignore_merges:
                return names[0]
            found = names[0]
    if found is not None:
        raise UnsupportedError(
            f"The tokenizer cuts words as {found!r} does, but says ignore_merges = "
            f"{ignore_merges}, which llama.cpp's rule does not. Export a Hugging Face folder."
        )
    known = ", ".join(names[0] for names, _ in RULES)
    raise UnsupportedError(
        f"The tokenizer cuts words by {' then '.join(wanted)[:200]!r}, which is none of "
        f"llama.cpp's rules ({known}). Export a Hugging Face folder, or train a "
        "tokenizer with one of these."
    )


def _spelled(pattern: str) -> str:
    return pattern.replace(_ANY_CASE, CONTRACTIONS).removesuffix(_REST)


def _patterns(description: Any) -> Iterator[str]:
    """What each step cuts out, as regular expressions; the step to bytes has none."""
    if not isinstance(description, Mapping):
        return
    if description.get("type") == "Sequence":
        for each in description.get("pretokenizers", ()):
            yield from _patterns(each)
        return
    match description.get("type"):
        case "ByteLevel":
            if description.get("add_prefix_space", True):
                raise UnsupportedError(
                    "The tokenizer puts a space before every text (add_prefix_space), which "
                    "llama.cpp's byte-level tokenizers do not. Export a Hugging Face folder."
                )
            if description.get("use_regex", True):
                yield GPT2
        case "Digits":
            yield r"\p{N}" if description.get("individual_digits") else r"\p{N}+"
        case "Split":
            yield _split(description)
        case kind:
            raise UnsupportedError(
                f"The tokenizer cuts words by {kind}, for which llama.cpp has no rule. Export a "
                "Hugging Face folder, or train a byte-level tokenizer."
            )


def _split(step: Mapping[str, Any]) -> str:
    pattern = step.get("pattern", {})
    text = pattern.get("Regex")
    if text is None:
        text = re.escape(str(pattern.get("String", "")))
    behaviour, inverted = step.get("behavior"), bool(step.get("invert"))
    keeps_matches = behaviour == "Removed" and inverted and text.endswith(_REST)
    if not keeps_matches and (behaviour != "Isolated" or inverted):
        raise UnsupportedError(
            f"The tokenizer cuts words by {text[:100]!r} with behavior {behaviour!r}, which "
            "llama.cpp does not; it isolates what matches. Export a Hugging Face folder."
        )
    return str(text)
