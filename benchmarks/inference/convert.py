"""Other formats of the shipped file, for the peers' best settings.

`q4_0` and `bf16` are GGUF files for llama.cpp, `folder` is a Hugging Face folder for
`transformers`. Runs in a virtual environment with `gguf` (and `transformers` for the folder).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType, GGUFWriter
from gguf.quants import dequantize, quantize

KINDS = {"q4_0": GGMLQuantizationType.Q4_0, "bf16": GGMLQuantizationType.BF16}
FILE_TYPES = {"q4_0": 2, "bf16": 32}


def _copy_metadata(reader: GGUFReader, writer: GGUFWriter, file_type: int) -> None:
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name == "general.architecture":
            continue
        value: Any = file_type if field.name == "general.file_type" else field.contents()
        sub_type = field.types[-1] if field.types[0] == GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, value, field.types[0], sub_type=sub_type)


def convert(source: Path, target: Path, kind: str) -> None:
    """Writes `target` with every matrix of blocks as `kind` (the embedding stays Q8_0 in q4_0)."""
    reader = GGUFReader(source)
    writer = GGUFWriter(target, reader.fields["general.architecture"].contents())
    _copy_metadata(reader, writer, FILE_TYPES[kind])
    for tensor in reader.tensors:
        keep = tensor.tensor_type == GGMLQuantizationType.F32 or (
            kind == "q4_0" and tensor.name == "token_embd.weight"
        )
        if keep:
            writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
            continue
        values = dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        writer.add_tensor(tensor.name, quantize(values, KINDS[kind]), raw_dtype=KINDS[kind])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def folder(source: Path, target: Path) -> None:
    """Writes the model as `transformers` reads it, so that its start does not unpack blocks."""
    import torch
    import transformers

    model = transformers.AutoModelForCausalLM.from_pretrained(
        source.parent, gguf_file=source.name, dtype=torch.bfloat16
    )
    config = transformers.AutoConfig.from_pretrained(source.parent, gguf_file=source.name)
    plain = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    plain.load_state_dict(model.state_dict())
    plain.save_pretrained(target)


def main() -> None:
    """`convert.py KIND SOURCE TARGET`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=[*KINDS, "folder"])
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    options = parser.parse_args()
    if options.kind == "folder":
        folder(options.source, options.target)
    else:
        convert(options.source, options.target, options.kind)


if __name__ == "__main__":
    main()
