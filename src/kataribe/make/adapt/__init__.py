"""Model to changed model, always by swapping modules: weights in 4, 8 or 16 bits.

`load_quantized` opens a checkpoint straight into packed weights, `quantize_model` changes a model
that is already built, `compare_models` says how far the change has moved its answers.
"""

from kataribe.make.adapt.compare import (
    TOLERANCES,
    Difference,
    Tolerance,
    compare_logits,
    compare_models,
)
from kataribe.make.adapt.precision import (
    PRECISIONS,
    Precision,
    activation_dtype,
    load_quantized,
    quantize_model,
)
from kataribe.make.adapt.ternary import make_ternary, settle_ternary

__all__ = [
    "PRECISIONS",
    "TOLERANCES",
    "Difference",
    "Precision",
    "Tolerance",
    "activation_dtype",
    "compare_logits",
    "compare_models",
    "load_quantized",
    "make_ternary",
    "quantize_model",
    "settle_ternary",
]
