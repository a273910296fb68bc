"""Builds the native runner's library for this machine's kind of processor.

One library per variant, so that the same folder serves machines old and new; which one runs is
found out when it is loaded. Without a C++ compiler nothing is built, and PyTorch does the work.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

NATIVE = Path(__file__).parents[1] / "src/kataribe/run/inference/native"
SOURCES, BUILT = NATIVE / "source", NATIVE / "built"
FLAGS = (
    "-O3", "-std=c++20", "-fPIC", "-shared", "-pthread", "-fvisibility=hidden",
    "-fno-math-errno", "-ffp-contract=fast", "-Wall", "-Wextra",
    "-Wno-psabi", "-Wno-maybe-uninitialized", "-Wno-uninitialized",
)  # fmt: skip
X86_64 = {
    "avx512bf16": ("-march=x86-64-v4", "-mavx512bf16"),
    "avx2": ("-march=x86-64-v3",),
}
OTHERS: dict[str, tuple[str, ...]] = {"plain": ()}


def compiler() -> str | None:
    """The C++ compiler: CXX, or the first of the usual ones."""
    return next(
        (found for name in (os.environ.get("CXX"), "g++", "clang++", "c++") if name
         and (found := shutil.which(name))),
        None,
    )  # fmt: skip


def build(target: Path = BUILT) -> list[Path]:
    """Builds all variants for this processor's family; gives those that could be built."""
    found = compiler()
    if found is None:
        print("There is no C++ compiler; PyTorch will do what the native runner would.")
        return []
    variants = X86_64 if platform.machine() in ("x86_64", "AMD64") else OTHERS
    target.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(len(variants)) as together:
        built = together.map(lambda one: _compile(found, target, *one), variants.items())
    return [path for path in built if path is not None]


def _compile(compiler: str, target: Path, name: str, flags: tuple[str, ...]) -> Path | None:
    path = target / f"{name}.so"
    fresh = path.with_suffix(".new")  # a process that runs keeps the file it has
    static = ["-static-libstdc++", "-static-libgcc"] if sys.platform == "linux" else []
    command = [
        compiler,
        *FLAGS,
        *flags,
        *static,
        "-o",
        str(fresh),
        *map(str, SOURCES.glob("*.cpp")),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"The native runner's {name} build failed:\n{done.stderr}", file=sys.stderr)
        return None
    fresh.replace(path)
    return path


if __name__ == "__main__":
    build()
