"""How an encoder's vectors become one vector of a text, and the files that say so.

The files are those of sentence-transformers (Reimers and Gurevych 2019): `modules.json` lists the
steps, `1_Pooling/config.json` says how tokens are pooled, `config_sentence_transformers.json` holds
the prompts that go before a text. Models without them are pooled by the mean, which most were
trained with.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from kataribe.base.errors import FormatError, UnsupportedError
from kataribe.make.model.weights.folder import read_json

Pooling: TypeAlias = Literal["mean", "cls", "pooler"]

_MODULES = "modules.json"
_PROMPTS = "config_sentence_transformers.json"
_BODY = "sentence_bert_config.json"
_MODES = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls"}
_STEP = "sentence_transformers.models."


@dataclass(frozen=True)
class SentenceSettings:
    """How a text becomes a vector.

    Attributes:
        pooling: Of the vectors of a text's tokens: their mean, the first one, or the first one
            through the model's own pooler.
        normalize: The vector is divided by its length.
        prompts: What goes before a text, by its kind: `query` and `passage` for models that were
            trained to tell questions from what answers them.
        default_prompt: The kind of a text whose kind nobody told; None for no prompt.
        max_tokens: Most tokens of a text with its prompt; None for as many as the model has
            positions.
    """

    pooling: Pooling = "mean"
    normalize: bool = True
    prompts: Mapping[str, str] = field(default_factory=dict)
    default_prompt: str | None = None
    max_tokens: int | None = None

    def __post_init__(self) -> None:
        if self.pooling not in get_args(Pooling):
            known = ", ".join(get_args(Pooling))
            raise FormatError(f"pooling is {self.pooling!r}; known are {known}.")
        if self.default_prompt is not None and self.default_prompt not in self.prompts:
            raise FormatError(
                f"default_prompt is {self.default_prompt!r}, which is none of the prompts "
                f"({', '.join(self.prompts) or 'there are none'})."
            )
        if self.max_tokens is not None and self.max_tokens < 1:
            raise FormatError(f"max_tokens is {self.max_tokens}; it must be at least 1.")


def read_sentence_settings(folder: Path) -> SentenceSettings:
    """What a folder says of pooling and prompts; the plain mean where it says nothing.

    Raises `UnsupportedError` for steps that are not built (dense layers, other poolings), and
    `FormatError` for files that are not sound.
    """
    told = read_json(folder / _PROMPTS) if (folder / _PROMPTS).is_file() else {}
    limits = read_json(folder / _BODY) if (folder / _BODY).is_file() else {}
    pooling, normalize = _steps(folder)
    prompts = told.get("prompts") or {}
    if not isinstance(prompts, dict) or not all(isinstance(p, str) for p in prompts.values()):
        raise FormatError(f"{folder.name}/{_PROMPTS}: prompts must be texts by their names.")
    prompts = {_kind(name): text for name, text in prompts.items() if text}
    default = told.get("default_prompt_name")
    longest = limits.get("max_seq_length")
    return SentenceSettings(
        pooling=pooling,
        normalize=normalize,
        prompts=prompts,
        default_prompt=_kind(default) if _kind(default) in prompts else None,
        max_tokens=longest if isinstance(longest, int) and longest > 0 else None,
    )


def sentence_files(
    settings: SentenceSettings, dimensions: int, context_length: int
) -> dict[str, str | bytes]:
    """The files that say the same to sentence-transformers: name in the folder -> content.

    Raises `UnsupportedError` for the pooler, which it has no word for.
    """
    if settings.pooling == "pooler":
        raise UnsupportedError("sentence-transformers cannot say that a pooler makes the vector.")
    steps = [("", "Transformer"), ("1_Pooling", "Pooling")]
    if settings.normalize:
        steps.append(("2_Normalize", "Normalize"))
    modules = [
        {"idx": place, "name": str(place), "path": path, "type": _STEP + kind}
        for place, (path, kind) in enumerate(steps)
    ]
    pooling = {"word_embedding_dimension": dimensions, "pooling_mode_max_tokens": False,
               "pooling_mode_mean_sqrt_len_tokens": False}  # fmt: skip
    pooling |= {name: mode == settings.pooling for name, mode in _MODES.items()}
    files = {
        _MODULES: modules,
        "1_Pooling/config.json": pooling,
        _BODY: {"max_seq_length": settings.max_tokens or context_length, "do_lower_case": False},
        _PROMPTS: {
            "prompts": dict(settings.prompts),
            "default_prompt_name": settings.default_prompt,
            "similarity_fn_name": "cosine",
        },
    }
    return {name: json.dumps(content, indent=2) + "\n" for name, content in files.items()}


def sentence_paths() -> tuple[str, ...]:
    """The files that make a folder an embedder's, to be removed where it is one no longer."""
    return _MODULES, "1_Pooling/config.json", _BODY, _PROMPTS


def _steps(folder: Path) -> tuple[Pooling, bool]:
    """Pooling, and whether the vector is normed, from modules.json."""
    if not (folder / _MODULES).is_file():
        return "mean", True
    modules = _read_list(folder / _MODULES)
    pooling: Pooling = "mean"
    normalize = False
    for place, module in enumerate(modules):
        kind = str(module.get("type", "")).rsplit(".", 1)[-1]
        if kind == "Pooling":
            pooling = _pooling(folder, str(module.get("path", "")))
        elif kind == "Normalize":
            normalize = True
        elif kind != "Transformer" or place > 0:
            raise UnsupportedError(
                f"{folder.name}/{_MODULES} has the step {module.get('type')!r:.80}; built are "
                "Transformer, Pooling and Normalize."
            )
    return pooling, normalize


def _pooling(folder: Path, path: str) -> Pooling:
    if not path or Path(path).name != path or path in (".", ".."):
        raise FormatError(f"{folder.name}/{_MODULES} places the pooling in {path!r:.80}.")
    told = read_json(folder / path / "config.json")
    word = told.get("pooling_mode")
    if isinstance(word, str):
        chosen = [word]
    else:
        chosen = [
            _MODES.get(name, name)
            for name, value in told.items()
            if name.startswith("pooling_mode_") and value is True
        ]
    if len(chosen) == 1 and chosen[0] in ("mean", "cls"):
        return "mean" if chosen[0] == "mean" else "cls"
    raise UnsupportedError(
        f"{folder.name}/{path} pools by {', '.join(chosen) or 'nothing'}; built are mean and cls."
    )


def _read_list(path: Path) -> list[dict[str, Any]]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError, OSError) as error:
        raise FormatError(f"{path} is not JSON: {str(error)[:200]}.") from None
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise FormatError(f"{path} must hold a list of steps.")
    return value


def _kind(name: Any) -> str | None:
    """`document`, as sentence-transformers says, and `passage`, as E5 says, are one kind."""
    return "passage" if name in ("document", "corpus", "passage") else name
