"""`auto_map` of a config.json: code that a folder brings along. None of it is ever run here.

A folder names such code either because its model computes something that `transformers` does not
have, or because it was published before `transformers` had the family (BitNet b1.58 2B4T, Jamba).
In the second case the classes carry the family's own names, `modeling_jamba.JambaForCausalLM`, and
the model is the one that is built here. A name can also be kept by code that was changed: the
gte-Qwen2 models call theirs `Qwen2Model` and switch the causal mask off by `"is_causal": false`. So
beside such code no setting that the family does not have passes, not even one that says false
(`Fields(own_code=True)`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

_HEADS = re.compile(r"(Config|(LMHead|PreTrained|MT)?Model|For[A-Z]\w*)$")
_SHOWN = 3


def foreign_code(raw: Mapping[str, Any], class_name: str | None) -> str:
    """Words for an error where a folder's code is not the family's own; empty where it is.

    Args:
        raw: A parsed config.json.
        class_name: A class of the family in `transformers`, whose beginning its other classes
            share (`JambaForCausalLM`); None for a family that is not built here.
    """
    auto_map = raw.get("auto_map")
    if not auto_map:
        return ""
    own = None if class_name is None else _HEADS.sub("", class_name)
    named = _classes(auto_map)
    foreign = [each for each in named if _HEADS.sub("", each.rpartition(".")[2]) != own]
    if not foreign:
        return ""
    shown = ", ".join(f"{each:.60}" for each in foreign[:_SHOWN])
    return f" with code of its own ({shown}), which is never run here"


def brings_code(raw: Mapping[str, Any]) -> bool:
    """Whether a parsed config.json names code of its own for the model, whatever its classes."""
    auto_map = raw.get("auto_map")
    return bool(auto_map) and any(_classes(auto_map))


def _classes(auto_map: object) -> Iterator[str]:
    """The classes of configurations and models; those of tokenizers and images compute no logit."""
    if not isinstance(auto_map, Mapping):
        yield f"{auto_map!r}"
        return
    for role, value in auto_map.items():
        if not str(role).startswith(("AutoModel", "AutoConfig")):
            continue
        for each in value if isinstance(value, list) else [value]:
            yield str(each)
