"""How weights are held: a model opened straight into 4, 8 or 16 bits, or changed to it.

What becomes of each matrix:

| precision | 4-bit blocks of a GGUF | other matrices | head and embedding |
|---|---|---|---|
| float32 | unpacked | float32 | float32 |
| bfloat16 | unpacked, rounded | bfloat16 | bfloat16 |
| int8 | as they are | 8 bits per row | 8 bits per row |
| int4 | as they are | rounded to 4 bits in groups of 32 | 8 bits per row |
| auto | as they are | blocks of 5 to 8 bits: 8 bits per row; others: bfloat16 | as the others |

Blocks of 4 bits stay as they are wherever they stand, in the head and the embedding too: quantised
a second time they would be no smaller, or larger, and further from what was meant.

Blocks of 5 to 8 bits become 8 bits with one scale per row, because torch has no product for their
own layout; the error this adds is a fraction of the one their first rounding made. Rows whose
length is no multiple of 32 cannot have 4-bit groups and get 8 bits.

The ternary matrices of a BitNet model are held as they are in all but float32: 4 bits each (8
where rows are no multiple of 32), and what they multiply is rounded to 8 bits, as it was trained.
Routers of experts stay float32; experts are held as other matrices, each by itself.
"""

from __future__ import annotations

import ctypes
import sys
from dataclasses import replace
from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor, nn

from kataribe.base.errors import SettingsError
from kataribe.make.adapt import kernels
from kataribe.make.adapt.check import check_embedding, check_packed
from kataribe.make.adapt.fused import FusedGateUp, FusedQKV, join_biases
from kataribe.make.adapt.groups import INT4_KINDS, GroupWeights, from_blocks, from_values, join
from kataribe.make.adapt.kernels import GROUP
from kataribe.make.adapt.lean import make_lean
from kataribe.make.adapt.linears import (
    Bfloat16Linear,
    Int4Embedding,
    Int4Linear,
    Int8Embedding,
    Int8Linear,
    PackedLinear,
    PlainInt4Linear,
    int4_linear,
    int8_linear,
    quantize_int8,
)
from kataribe.make.adapt.sources import (
    Matrix,
    Unpacked,
    int8_of,
    of_linear,
    of_source,
    of_tensor,
)
from kataribe.make.adapt.ternary import PackedTernary, split_ternary
from kataribe.make.model.configs.config import TernaryWeights
from kataribe.make.model.decoder import QKV, Decoder, GateUp
from kataribe.make.model.weights.checkpoint import Checkpoint
from kataribe.make.model.weights.loading import load_model
from kataribe.make.model.weights.sources import SourceTensor

Precision: TypeAlias = Literal["float32", "bfloat16", "int8", "int4", "auto"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)

_Form: TypeAlias = Literal["repacked", "int4", "int8", "bfloat16", "float32", "ternary"]
_PLAIN_KINDS = frozenset({"F64", "F32", "F16", "BF16"})


def activation_dtype(precision: Precision, device: str = "cpu") -> torch.dtype:
    """The type of hidden vectors and of the KV cache under a precision."""
    if precision == "float32":
        return torch.float32
    if precision == "auto" and not kernels.computes_bfloat16(device):
        return torch.float32
    return torch.bfloat16


def load_quantized(
    checkpoint: Checkpoint, precision: Precision = "auto", device: str = "cpu"
) -> Decoder:
    """The checkpoint's model with its weights held as `precision` says, one matrix at a time.

    Each packed layer is compared with the file's values before it is used.

    Raises:
        SettingsError: The precision is unknown.
        FormatError: A packed layer does not compute what the file says.
    """
    _known(precision)
    dtype = activation_dtype(precision, device)
    packer = _Packer(precision, device, dtype, checkpoint.config.ternary)
    if precision == "float32":
        return load_model(checkpoint, dtype=dtype, device=device)
    embedding = None if precision == "bfloat16" else packer.embedding
    model = load_model(
        checkpoint,
        dtype=dtype,
        device=device,
        linear=lambda name, source, bias: packer.reserve(name, of_source(source, bias)),
        embedding=embedding,
    )
    packer.pack(model)
    _give_memory_back()
    return model


def quantize_model(model: Decoder, precision: Precision) -> Decoder:
    """The same model object with its linear layers (and for int8 and int4 its embedding) swapped.

    float32 and bfloat16 convert; `auto` on a model in memory means bfloat16 where that is fast.
    The ordinary weights are given up, so keep a copy of the model to compare with.
    """
    _known(precision)
    device = str(model.norm.weight.device)
    dtype = activation_dtype(precision, device)
    packer = _Packer(precision, device, dtype, model.config.ternary)
    tied_head = of_linear(model.head)
    for name, module in list(model.named_modules()):
        if isinstance(module, nn.Linear) and precision != "float32":
            matrix = tied_head if name == "head" else of_linear(module)
            reserved = packer.reserve(name, matrix)
            if reserved is not None:
                model.set_submodule(name, reserved)
                continue
        if isinstance(module, nn.Linear | nn.Embedding):
            module.to(dtype)
    if precision in ("int8", "int4"):
        values = quantize_int8(model.embed.weight)
        packer.shared = values if model.config.tied else None
        model.set_submodule("embed", Int8Embedding(*values, dtype).to(device))
    packer.pack(model)
    return model


def _give_memory_back() -> None:
    """Has glibc return what loading has freed: 30 MB of 90 for the default model."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def _known(precision: str) -> None:
    if precision not in PRECISIONS:
        raise SettingsError(
            f"Precision {precision!r} is unknown; choose one of {', '.join(PRECISIONS)}.",
            param="precision",
        )


class _Packer:
    """Chooses each matrix's form and builds its layer."""

    def __init__(
        self,
        precision: Precision,
        device: str,
        dtype: torch.dtype,
        ternary: TernaryWeights | None = None,
    ) -> None:
        self.precision, self.device, self.dtype = precision, device, dtype
        self.ternary = ternary
        self.shared: tuple[Tensor, Tensor] | None = None  # int8 embedding that a tied head reuses

    def form(self, name: str, matrix: Matrix) -> _Form:
        """How this matrix is to be held."""
        if self.ternary is not None and name != "head":
            return "float32" if self.dtype == torch.float32 else "ternary"
        if self.precision == "bfloat16":
            return "bfloat16"
        if matrix.kind in INT4_KINDS:
            return "repacked"
        if self.precision == "int8" or (name == "head" and self.precision == "int4"):
            return "int8"
        if name == "head" and self.shared is not None:
            return "int8"
        if self.precision == "int4":
            return "int4" if matrix.columns % GROUP == 0 else "int8"
        if matrix.kind in _PLAIN_KINDS:
            return "bfloat16" if self.dtype == torch.bfloat16 else "float32"
        return "int8"

    def reserve(self, name: str, matrix: Matrix) -> nn.Module | None:
        """A placeholder for a layer that is to be packed; None where an ordinary one stays."""
        form = self.form(name, matrix)
        if form == "float32":
            return None
        prepacked = kernels.supports_prepacked_bfloat16(self.device)
        if form == "bfloat16" and (not prepacked or name == "head"):
            return None
        return Unpacked(matrix)

    def embedding(self, name: str, source: SourceTensor) -> nn.Module | None:
        """For token embeddings that are stored in blocks or are to be small: 4 or 8 bits."""
        plain = source.kind in _PLAIN_KINDS
        if name != "embed" or (self.precision == "auto" and plain):
            return None
        if source.kind in INT4_KINDS:
            return Unpacked(of_source(source, None))
        values = int8_of(of_source(source, None))
        self.shared = values
        return Int8Embedding(*values, self.dtype).to(self.device)

    def pack(self, model: Decoder) -> None:
        """Puts packed layers where placeholders stand, joined where inputs and forms are equal."""
        if not model.config.tied:
            self.shared = None
        for name, module in list(model.named_modules()):
            if isinstance(module, QKV):
                parts = self._parts(name, module, ("q", "k", "v"))
                if parts is not None:
                    linear = self._layer(name, parts)
                    heads = (module.heads, module.kv_heads, module.head_dim)
                    model.set_submodule(name, FusedQKV(linear, *heads))
            elif isinstance(module, GateUp):
                parts = self._parts(name, module, ("gate", "up"))
                if parts is not None:
                    model.set_submodule(name, FusedGateUp(self._layer(name, parts)))
        embed: nn.Module = model.embed
        for name, module in list(model.named_modules()):
            if isinstance(module, Unpacked) and module is not embed:
                model.set_submodule(name, self._layer(name, [module.matrix]))
        if isinstance(embed, Unpacked):
            head = model.head if model.config.tied else None
            model.set_submodule("embed", self._looked_up(embed.matrix, head))
        make_lean(model)

    def _looked_up(self, matrix: Matrix, head: nn.Module | None) -> Int4Embedding:
        """An embedding in blocks of 4 bits, over the tied head's memory if rows are found there."""
        if isinstance(head, PlainInt4Linear) or (isinstance(head, Int4Linear) and head.unpacks):
            held = head
        else:
            held = PlainInt4Linear(from_blocks(matrix.raw(), matrix.kind)).to(self.device)
        embedding = Int4Embedding(held, self.dtype)
        check_embedding(embedding, matrix, "repacked", "embed")
        return embedding

    def _parts(self, name: str, module: nn.Module, names: tuple[str, ...]) -> list[Matrix] | None:
        """The matrices of a module's layers if they can be one."""
        layers = [getattr(module, part) for part in names]
        if not all(isinstance(layer, Unpacked) for layer in layers):
            return None
        matrices = [layer.matrix for layer in layers]
        forms = {self.form(name, matrix) for matrix in matrices}
        return matrices if len(forms) == 1 else None

    def _layer(self, name: str, parts: list[Matrix]) -> PackedLinear:
        """One packed layer whose rows are those of the parts, compared with their values."""
        bias = join_biases([part.bias for part in parts])
        form = self.form(name, parts[0])
        layer: PackedLinear
        if form == "repacked":
            blocks = join([from_blocks(part.raw(), part.kind) for part in parts])
            layer = int4_linear(blocks, bias, self.device)
        elif form == "int4":
            rounded = join([from_values(part.load(torch.float32)) for part in parts])
            layer = int4_linear(rounded, bias, self.device)
        elif form == "int8":
            layer = self._int8(name, parts, bias)
        elif form == "ternary":
            return self._ternary(name, parts, bias)
        else:
            layer = Bfloat16Linear(torch.cat([part.load(torch.bfloat16) for part in parts]), bias)
        check_packed(layer, parts, form, name)
        return layer

    def _int8(self, name: str, parts: list[Matrix], bias: Tensor | None) -> Int8Linear:
        if name == "head" and self.shared is not None:
            return int8_linear(*self.shared, bias, self.device)
        pairs = [int8_of(part) for part in parts]
        weight, scale = (torch.cat(values) for values in zip(*pairs, strict=True))
        return int8_linear(weight, scale, bias, self.device)

    def _ternary(self, name: str, parts: list[Matrix], bias: Tensor | None) -> PackedTernary:
        """4 bits per weight where rows can have groups of 32, else 8; nothing is rounded twice."""
        given = self.ternary == "given"
        split = [split_ternary(part.load(torch.float32), given=given) for part in parts]
        values = torch.cat([matrix for matrix, _ in split])
        factors = torch.cat([scale.expand(len(matrix)) for matrix, scale in split])
        inner: PackedLinear
        if values.shape[1] % GROUP:
            ones = torch.ones(len(values), dtype=torch.bfloat16)
            inner = int8_linear(values.to(torch.int8), ones, None, self.device)
        else:
            scales = torch.ones(len(values), values.shape[1] // GROUP)
            weights = GroupWeights((values + 8).to(torch.uint8), scales, -8 * scales)
            inner = int4_linear(weights, None, self.device)
        layer = PackedTernary(inner, factors.to(self.device), bias).to(self.device)
        exact = [of_tensor(matrix * scale) for matrix, scale in split]
        biased = [replace(one, bias=part.bias) for one, part in zip(exact, parts, strict=True)]
        check_packed(layer, biased, "ternary", name)
        return layer
