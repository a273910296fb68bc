"""The programs that are measured and the settings of the peers that are tried."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.inference.peers import Worker, environment

OURS = "kataribe"
SHIPPED = "llama.cpp shipped"
PEERS = {
    "llama.cpp, shipped file": SHIPPED,
    "llama.cpp, best format": "llama.cpp",
    "transformers": "transformers",
}
"""Column of the report -> how the names of its programs begin."""

FLASH: dict[str, tuple[object, ...]] = {"flash": ("--flash", 1), "no flash": ("--flash", 0)}
MORE: dict[str, tuple[object, ...]] = {
    "flash, KV bf16": ("--flash", 1, "--kv", "bf16"),
    "flash, KV q8_0": ("--flash", 1, "--kv", "q8_0"),
    "no flash, KV f32": ("--flash", 0, "--kv", "f32"),
    "flash, ubatch 128": ("--flash", 1, "--ubatch", 128),
    "flash, ubatch 2048": ("--flash", 1, "--ubatch", 2048),
    "flash, one cache for all": ("--flash", 1, "--unified", 1),
    "flash, file read": ("--flash", 1, "--load", 0),
    "flash, file locked": ("--flash", 1, "--load", 3),
    "flash, not repacked": ("--flash", 1, "--no-repack", 1),
}
"""Settings that `--wide` tries besides, on the shipped file and Q4_0."""


def ours(files: dict[str, Path], cache: int, context: int) -> Worker:
    """Kataribe with room for `cache` tokens."""
    options = ("--model", files["shipped"], "--cache", cache, "--context", context)
    return Worker.start(sys.executable, "ours.py", *options)


def llamacpp(file: Path, *options: object) -> Worker:
    """llama.cpp on one file."""
    python = environment("llamacpp")
    return Worker.start(python, "peer_llamacpp.py", "--model", file, *options)


def transformers(files: dict[str, Path], *options: object) -> Worker:
    """transformers in bfloat16."""
    python = environment("transformers")
    return Worker.start(python, "peer_transformers.py", "--folder", files["folder"], *options)


def start(files: dict[str, Path], slots: int, context: int, wide: bool) -> dict[str, Worker]:
    """Everyone, with `slots` places of `context` tokens: each peer in all settings to try."""
    workers = {OURS: ours(files, slots * context, context)}
    places = ("--parallel", slots, "--context", context)
    for kind in ("shipped", "q4_0", "bf16"):
        settings = FLASH | MORE if wide and kind != "bf16" else FLASH
        for name, options in settings.items():
            try:
                worker = llamacpp(files[kind], *places, *options)
            except RuntimeError as error:
                if name in FLASH:
                    raise
                print(f"llama.cpp does not start with {name}: {error}")
                continue
            workers[f"llama.cpp {kind}, {name}"] = worker
    workers["transformers"] = transformers(files)
    workers["transformers compiled, static cache"] = transformers(files, "--compiled", 1)
    return workers
