"""sentence-transformers as a measured program: reads texts, then answers lines with figures.

Arguments: folder, dtype (float32, bfloat16), backend (torch, onnx), texts per batch.
"""

from __future__ import annotations

import json
import sys
import time

import torch
from sentence_transformers import SentenceTransformer


def main() -> None:
    """One line of texts in; for each further line one pass and its figures out."""
    folder, dtype, backend, batch = sys.argv[1:]
    torch.set_num_threads(2)
    model = SentenceTransformer(
        folder,
        device="cpu",
        backend=backend,
        model_kwargs={"dtype": getattr(torch, dtype)}
        if backend == "torch"
        else {"file_name": "onnx/model.onnx"},
    )
    texts = json.loads(sys.stdin.readline())

    def embed() -> list[list[float]]:
        found = model.encode(
            texts,
            prompt_name="passage",
            batch_size=int(batch),
            convert_to_numpy=True,
            normalize_embeddings=True,
            show_progress_bar=False,
        )
        return found.astype("float32")[:8].tolist()

    vectors = embed()
    print(json.dumps({"vectors": vectors}), flush=True)
    for _ in sys.stdin:
        wall, cpu = time.perf_counter(), time.process_time()
        embed()
        figures = {"seconds": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
        print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    main()
