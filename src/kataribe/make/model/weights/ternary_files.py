"""BitNet's way with files: `quantization_config`, and four ternary values in a byte.

Two classes of `transformers` read such folders. `bitlinear` has packed matrices and divides by
`weight_scale`; `autobitlinear` has packed or plain ones and multiplies by it (`offline`), or makes
plain ones ternary at each use (`online`, which is how they are trained). Packed row r of n holds
rows r, r + n, r + 2 n and r + 3 n, two bits each from the lowest on, as 0, 1, 2 for -1, 0, 1.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from kataribe.base.errors import FormatError
from kataribe.files.ggml_groups import Bytes, Floats
from kataribe.files.safetensors import SafeTensor
from kataribe.make.model.configs.config import ModelConfig, TernaryWeights
from kataribe.make.model.configs.fields import Fields
from kataribe.make.model.weights.sources import StoredTensor

_PER_BYTE = 4
_MATRIX = re.compile(
    r"blocks\.\d+\.(attention\.(project\.[qkv]|output)|mlp\.(.+\.)?(gate|up|down))\.weight"
)
_SCALE = "_scale"
"""Follows the name of a matrix in that of its scale."""


def is_ternary(name: str) -> bool:
    """Whether a parameter, by our name, is ternary in a ternary model."""
    return _MATRIX.fullmatch(name) is not None


def read_ternary(settings: object) -> TernaryWeights | None:
    """What a `quantization_config` says of the matrices; None where there is none.

    Raises `FormatError` for other ways of packing and for settings that are not read.
    """
    if not settings:
        return None
    if not isinstance(settings, Mapping) or settings.get("quant_method") != "bitnet":
        raise FormatError(
            "config.json has a quantization_config: its weights are packed in a way that is not "
            "read here. Use the unquantised model or a GGUF file."
        )
    fields = Fields("config.json, quantization_config", settings)
    fields.expect("use_rms_norm", [False])
    fields.expect("quant_method", ["bitnet"])
    linear = fields.text("linear_class", "bitlinear")
    mode = fields.text("quantization_mode", "offline")
    if linear not in ("bitlinear", "autobitlinear") or mode not in ("online", "offline"):
        raise FormatError(
            f"{fields.source} says {linear!r:.40}, {mode!r:.40}; known are bitlinear and "
            "autobitlinear, online and offline."
        )
    spared = (
        fields.sequence("modules_to_not_convert") if "modules_to_not_convert" in settings else []
    )
    if any(name != "lm_head" for name in spared):
        raise FormatError(
            f"{fields.source} leaves {[*spared]!r:.80} out; here all matrices of blocks are "
            "ternary, and lm_head is not."
        )
    fields.finish(("rms_norm_eps", "modules_to_not_convert"))
    return "rounded" if (linear, mode) == ("autobitlinear", "online") else "given"


def write_ternary(config: ModelConfig) -> dict[str, Any]:
    """The `quantization_config` of a model; empty for one that is not ternary."""
    if config.ternary is None:
        return {}
    mode = (
        {"linear_class": "autobitlinear", "quantization_mode": "online"}
        if config.ternary == "rounded"
        else {"linear_class": "bitlinear", "quantization_mode": "offline"}
    )
    settings = {"quant_method": "bitnet", "modules_to_not_convert": ["lm_head"], **mode}
    return {"quantization_config": settings}


def unpacked(
    folder: str, tensors: Mapping[str, SafeTensor], settings: Mapping[str, Any]
) -> dict[str, StoredTensor]:
    """The ternary matrices of a folder by name, with their scales in them, and not the scales.

    Args:
        folder: Its name, for errors.
        tensors: All of the folder's.
        settings: Its `quantization_config`.
    """
    divides = settings.get("linear_class", "bitlinear") == "bitlinear"
    found = {}
    for name, scale in tensors.items():
        if not name.endswith(f".weight{_SCALE}"):
            continue
        matrix = tensors.get(name.removesuffix(_SCALE))
        if matrix is None or len(matrix.shape) != 2 or scale.shape not in ((), (1,)):
            raise FormatError(
                f"{folder}: {name!r} of shape {scale.shape} is the scale of no matrix."
            )
        rows, columns = matrix.shape
        if matrix.dtype == "U8":
            rows *= _PER_BYTE
        found[matrix.name] = StoredTensor(
            (rows, columns), "F32", _reader(folder, matrix, scale, divides=divides)
        )
    return found


def _reader(folder: str, matrix: SafeTensor, scale: SafeTensor, *, divides: bool) -> Any:
    def read() -> Bytes:
        values = matrix.float32() if matrix.dtype != "U8" else _unpack(folder, matrix)
        factor = np.float32(scale.float32().reshape(()))
        if not np.isfinite(factor) or (divides and factor == 0):
            raise FormatError(f"{folder}: the scale of {matrix.name!r} is {factor}.")
        scaled = values * (np.float32(1) / factor if divides else factor)
        return np.ascontiguousarray(scaled).reshape(-1).view(np.uint8)

    return read


def _unpack(folder: str, matrix: SafeTensor) -> Floats:
    packed = matrix.array()
    codes = np.concatenate([packed >> (2 * part) & 3 for part in range(_PER_BYTE)])
    if (codes == 3).any():
        raise FormatError(f"{folder}: {matrix.name!r} holds a value that is none of -1, 0 and 1.")
    values: Floats = codes.astype(np.float32) - 1
    return values


def pack(name: str, matrix: Floats) -> tuple[Bytes, Floats]:
    """A ternary matrix in bytes (rows / 4, columns), and what `bitlinear` divides by, (1,).

    Raises `FormatError` for a matrix that is not ternary, or whose rows are no multiple of 4.
    """
    rows = matrix.shape[0]
    if rows % _PER_BYTE:
        raise FormatError(f"{name} has {rows} rows; BitNet packs {_PER_BYTE} in one.")
    scale = float(np.abs(matrix).max()) or 1.0
    codes = np.rint(matrix / scale)
    if np.abs(matrix - codes * scale).max() > 1e-6 * scale:
        raise FormatError(f"{name} is not ternary, though the model says that its matrices are.")
    parts = (codes + 1).astype(np.uint8).reshape(_PER_BYTE, rows // _PER_BYTE, -1)
    packed = parts[0] | parts[1] << 2 | parts[2] << 4 | parts[3] << 6
    return packed, np.array([1 / scale], np.float32)
