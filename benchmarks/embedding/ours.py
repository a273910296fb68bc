"""Kataribe as a measured program, with the same lines in and out as the peer.

Arguments: folder, precision.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

from kataribe.run.inference.embedding.load import load_local_encoder


def main() -> None:
    """One line of texts in; for each further line one pass and its figures out."""
    folder, precision = sys.argv[1:]
    model = load_local_encoder("e5-small", Path(folder), precision=precision, threads=2)
    embedder = model.embedder
    assert embedder is not None
    texts = json.loads(sys.stdin.readline())
    made = asyncio.run(embedder.embed(texts, "passage"))
    print(json.dumps({"vectors": made.vectors[:8].tolist(), "tokens": made.tokens}), flush=True)
    for _ in sys.stdin:
        wall, cpu = time.perf_counter(), time.process_time()
        asyncio.run(embedder.embed(texts, "passage"))
        figures = {"seconds": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
        print(json.dumps(figures), flush=True)
    model.close(0)


if __name__ == "__main__":
    main()
