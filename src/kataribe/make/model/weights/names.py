"""Where each parameter of the decoder lies in files, and what they did to it.

Ours are the names of `Decoder.named_parameters()`. A `Place` says from which tensor of a file a
parameter comes: as it is, as rows of a fused matrix, turned (GPT-2's Conv1D), with rows in
another order (q and k of Llama in GGUF), or less one (Gemma's norms in config.json folders).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from kataribe.base.errors import FormatError
from kataribe.make.model.configs.config import ModelConfig
from kataribe.make.model.configs.shapes import shapes
from kataribe.make.model.weights.name_tables import GGUF_BLOCK, GGUF_FUSED, GGUF_TOP, hf_names

_EXPERT = re.compile(r"experts\.(\d+)\.")


@dataclass(frozen=True)
class Place:
    """One parameter's place in a file.

    Attributes:
        source: The tensor's name there.
        shape: The parameter's own shape.
        rows: First row and one past the last of a fused tensor, counted when it stands upright;
            None for all.
        fused: Rows of the whole fused tensor; 0 where it is not fused.
        turned: The file holds (in, out).
        stack: Matrices of one shape in the fused tensor, one behind the other in a dimension of
            its own (experts in GGUF); 0 where it is not so.
        flat: The file has a matrix of one row as a vector.
        heads: Rows of each head are interleaved: first, middle, second, middle + 1, ...; 0 if not.
        offset: What the file's numbers lack.
    """

    source: str
    shape: tuple[int, ...]
    rows: tuple[int, int] | None = None
    fused: int = 0
    stack: int = 0
    flat: bool = False
    turned: bool = False
    heads: int = 0
    offset: float = 0.0

    @property
    def source_shape(self) -> tuple[int, ...]:
        """The shape of the tensor in the file."""
        if self.stack:
            return (self.stack, *self.shape)
        if self.flat:
            return self.shape[1:]
        upright = (self.fused or self.shape[0], *self.shape[1:])
        return upright[::-1] if self.turned else upright


def hf_places(config: ModelConfig) -> dict[str, Place]:
    """Our name -> place in a Hugging Face folder of the configuration's family."""
    names = hf_names(config.family)
    places = {}
    for name, shape in shapes(config).items():
        module, leaf = name.rsplit(".", 1)
        source = _source(module, names.block, names.top, names.layers)
        rows, fused = _fused_rows(config, module) if names.fused_qkv else (None, 0)
        places[name] = Place(
            f"{source}.{leaf}",
            shape,
            rows=rows,
            fused=fused,
            turned=names.turned and len(shape) == 2 and module.startswith("blocks."),
            offset=names.norm_offset if module.endswith("norm") else 0.0,
        )
    return places


def gguf_places(config: ModelConfig, *, interleaved: bool, fused: bool) -> dict[str, Place]:
    """Our name -> place in a GGUF file.

    `interleaved`: rows of q and k are, as `llama` files have them. `fused`: q, k and v are one.
    """
    block = {**GGUF_BLOCK, **(GGUF_FUSED if fused else {})}
    places = {}
    for name, shape in shapes(config).items():
        module, leaf = name.rsplit(".", 1)
        source = _source(module, block, GGUF_TOP, "blk")
        if ".mlp.experts." in module:
            places[name] = _stacked(config, module, f"{source}.{leaf}", shape)
            continue
        rows, whole = _fused_rows(config, module) if fused else (None, 0)
        heads = 0
        if interleaved and module.endswith(("project.q", "project.k")):
            heads = config.heads if module.endswith("q") else config.kv_heads
        flat = module.endswith("shared_gate")
        at = f"{source}.{leaf}"
        places[name] = Place(at, shape, rows=rows, fused=whole, heads=heads, flat=flat)
    return places


def _stacked(config: ModelConfig, module: str, source: str, shape: tuple[int, ...]) -> Place:
    """One expert's matrix of all experts'."""
    assert config.experts is not None
    number = int(module.split(".")[4])  # blocks.LAYER.mlp.experts.NUMBER
    count, rows = config.experts.count, shape[0]
    span = (number * rows, (number + 1) * rows)
    return Place(source, shape, rows=span, fused=count * rows, stack=count)


def _source(module: str, block: Mapping[str, str], top: Mapping[str, str], layers: str) -> str:
    _, layer, rest = module.split(".", 2) if module.startswith("blocks.") else ("", "", module)
    table = block if layer else top
    expert = _EXPERT.search(rest)
    known = _EXPERT.sub("experts.*.", rest)
    if known not in table:
        raise FormatError(f"Files of this family have no name for {module!r}. Use another family.")
    found = table[known].replace("*", expert.group(1)) if expert else table[known]
    return f"{layers}.{layer}.{found}" if layer else found


def _fused_rows(config: ModelConfig, module: str) -> tuple[tuple[int, int] | None, int]:
    """Rows of q, k or v within their one matrix, and how many that has."""
    width, kv_width = config.heads * config.head_dim, config.kv_heads * config.head_dim
    ends = {"q": width, "k": width + kv_width, "v": width + 2 * kv_width}
    part = module.rsplit(".", 1)[-1]
    if not module.endswith(f"project.{part}"):
        return None, 0
    return (ends[part] - (width if part == "q" else kv_width), ends[part]), ends["v"]
