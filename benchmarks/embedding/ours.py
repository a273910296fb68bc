"""Kataribe as a measured program, through its queue of texts as the server uses it."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from pathlib import Path
from typing import Any

from kataribe.run.inference.embedding.load import load_local_encoder

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "inference"))

from worker import serve


def main() -> None:
    """Loads the model and embeds whatever it is given."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--precision", required=True)
    options = parser.parse_args()
    model = load_local_encoder("e5-small", options.folder, precision=options.precision, threads=2)
    embedder = model.embedder
    assert embedder is not None

    def embed(values: dict[str, Any]) -> dict[str, Any]:
        wall, cpu = time.perf_counter(), time.process_time()
        made = asyncio.run(embedder.embed(values["texts"], "passage"))
        seconds, cpu = time.perf_counter() - wall, time.process_time() - cpu
        told = made.vectors.tolist() if values.get("show") else None
        return {"seconds": seconds, "cpu": cpu, "vectors": told, "tokens": made.tokens}

    serve({"embed": embed}, {"version": options.precision})
    model.close(0)


if __name__ == "__main__":
    main()
