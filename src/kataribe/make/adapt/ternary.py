"""Ternary models (BitNet b1.58): made of ordinary ones, settled after training, and packed.

`make_ternary` swaps a model's matrices for such as round themselves at each use, to be trained on;
`settle_ternary` rounds them once and for all, after which they are saved in two bits each.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from kataribe.base.errors import InputError
from kataribe.make.adapt.linears import PackedLinear
from kataribe.make.model.configs.shapes import shapes
from kataribe.make.model.decoder import Decoder
from kataribe.make.model.layers.ternary import TernaryLinear, input_levels, ternary_values
from kataribe.make.model.weights.ternary_files import is_ternary


def make_ternary(model: Decoder) -> Decoder:
    """The same model object with ternary matrices in its blocks, over the same parameters.

    Its answers change a lot until it is trained.

    Raises:
        InputError: It is ternary already, or its matrices are packed.
        FormatError: It has layers that are built without ternary matrices.
    """
    if model.config.ternary is not None:
        raise InputError("The model is ternary already.")
    names = [name for name in shapes(model.config) if is_ternary(name)]
    found = dict(model.named_modules())
    packed = [
        name for name in names if type(found.get(name.removesuffix(".weight"))) is not nn.Linear
    ]
    if packed:
        raise InputError(f"{packed[0]} is packed. Load the model in float32 and take that.")
    model.config = replace(model.config, ternary="rounded")
    for name in (name.removesuffix(".weight") for name in names):
        module = found[name]
        assert isinstance(module, nn.Linear)
        rows, columns = module.weight.shape
        with torch.device("meta"):
            swapped = TernaryLinear(
                columns, rows, bias=module.bias is not None, weights="rounded"
            )  # fmt: skip
        swapped.weight, swapped.bias = module.weight, module.bias
        model.set_submodule(name, swapped)
    return model


def settle_ternary(model: Decoder) -> Decoder:
    """The same model object, its matrices rounded in place: its answers stay what they are.

    Raises `InputError` for a model that is not trained as a ternary one.
    """
    if model.config.ternary != "rounded":
        raise InputError("Only a model whose matrices round themselves can be settled.")
    model.config = replace(model.config, ternary="given")
    for module in model.modules():
        if isinstance(module, TernaryLinear):
            values, scale = ternary_values(module.weight.detach())
            module.weight.data = (values * scale).to(module.weight.dtype)
            module.weights = "given"
    return model


class PackedTernary(PackedLinear):
    """A ternary matrix in a packed layer of -1, 0 and 1, with one factor per row.

    Input levels are whole numbers of 8 bits and exact in bfloat16, so the product is exact but
    for the rounding of its result.
    """

    factors: Tensor

    def __init__(self, inner: PackedLinear, factors: Tensor, bias: Tensor | None = None) -> None:
        super().__init__(inner.out_features, inner.in_features, bias)
        self.inner = inner
        self.register_buffer("factors", factors, persistent=False)

    def product(self, rows: Tensor) -> Tensor:
        """Rounds each row of the input to 8 bits first."""
        levels, scale = input_levels(rows)
        sums = self.inner.product(levels.to(torch.bfloat16)).float()
        return (sums * self.factors / scale).to(torch.bfloat16)

    def dense(self) -> Tensor:
        """The matrix, float32."""
        return self.inner.dense() * self.factors[:, None]


def split_ternary(weight: Tensor, *, given: bool) -> tuple[Tensor, Tensor]:
    """-1, 0 and 1 in float32 of a matrix, and its scale (); `given` where it is ternary already."""
    if not given:
        return ternary_values(weight)
    values = weight.float()
    scale = values.abs().max()
    return (values / scale.clamp(min=1e-30)).round(), scale
