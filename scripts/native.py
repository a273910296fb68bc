"""Builds the native runner's library, for x86-64 processors with AVX-512 and bfloat16.

It is built on any x86-64 machine and asks the processor when it is loaded. Where there is no C++
compiler, or another processor, PyTorch does the work.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

NATIVE = Path(__file__).parents[1] / "src/kataribe/run/inference/native"
SOURCES, BUILT = NATIVE / "source", NATIVE / "built/avx512bf16.so"
FLAGS = (
    "-O3", "-std=c++20", "-fPIC", "-shared", "-pthread", "-fvisibility=hidden",
    "-march=x86-64-v4", "-mavx512bf16", "-fno-math-errno", "-ffp-contract=fast",
    "-Wall", "-Wextra", "-Wno-maybe-uninitialized", "-Wno-uninitialized",
)  # fmt: skip


def compiler() -> str | None:
    """The C++ compiler: CXX, or the first of the usual ones."""
    names = (os.environ.get("CXX"), "g++", "clang++", "c++")
    return next((found for name in names if name and (found := shutil.which(name))), None)


def build(target: Path = BUILT) -> bool:
    """Builds the library at `target`; False, with the reason on the terminal, where it cannot."""
    found = compiler()
    if platform.machine() not in ("x86_64", "AMD64") or found is None:
        reason = "no C++ compiler" if found is None else f"none for {platform.machine()}"
        print(f"The native runner is not built ({reason}); PyTorch will do the work.")
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.with_suffix(".new")  # a process that runs keeps the file it has
    static = ["-static-libstdc++", "-static-libgcc"] if sys.platform == "linux" else []
    command = [found, *FLAGS, *static, "-o", str(fresh), *map(str, SOURCES.glob("*.cpp"))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"The native runner could not be built; PyTorch will do the work.\n{done.stderr}")
        return False
    fresh.replace(target)
    return True


if __name__ == "__main__":
    build()
