"""sentence-transformers as a measured program, in one precision and with one backend."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import sentence_transformers
import torch
from sentence_transformers import SentenceTransformer

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "inference"))

from worker import serve


def onnx(folder: str, cache: Path) -> SentenceTransformer:
    """The model in ONNX, which is made of the folder once, with two threads."""
    from onnxruntime import SessionOptions

    session = SessionOptions()
    session.intra_op_num_threads = 2
    settings = {"provider": "CPUExecutionProvider", "session_options": session}
    done = cache / "onnx" / "model.onnx"
    if not done.exists():
        made = SentenceTransformer(
            folder, device="cpu", backend="onnx", model_kwargs={**settings, "export": True}
        )
        made.save_pretrained(str(cache))
    kept = {**settings, "file_name": "onnx/model.onnx", "export": False}
    return SentenceTransformer(str(cache), device="cpu", backend="onnx", model_kwargs=kept)


def main() -> None:
    """Loads the model and embeds whatever it is given."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", required=True)
    parser.add_argument("--cache", type=Path, required=True, help="where the ONNX file is kept")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--backend", default="torch", choices=("torch", "onnx"))
    parser.add_argument("--compiled", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(2)
    if options.backend == "onnx":
        model = onnx(options.folder, options.cache)
    else:
        how = {"dtype": getattr(torch, options.dtype)}
        model = SentenceTransformer(options.folder, device="cpu", model_kwargs=how)
    if options.compiled:
        model[0].auto_model.compile(dynamic=True)

    def embed(values: dict[str, Any]) -> dict[str, Any]:
        wall, cpu = time.perf_counter(), time.process_time()
        found = model.encode(
            values["texts"],
            prompt_name="passage",
            batch_size=values["batch"],
            convert_to_numpy=True,
            normalize_embeddings=True,
            show_progress_bar=False,
        )
        seconds, cpu = time.perf_counter() - wall, time.process_time() - cpu
        told = found.astype("float32").tolist() if values.get("show") else None
        return {"seconds": seconds, "cpu": cpu, "vectors": told}

    serve(
        {"embed": embed}, {"version": f"sentence-transformers {sentence_transformers.__version__}"}
    )


if __name__ == "__main__":
    main()
