"""What tests let a process of its own do: `python native_child.py TASK LIBRARY`.

A library that was built to watch itself, too little memory: neither belongs into the process of the
tests. Nothing here imports PyTorch, which takes seconds.
"""

from __future__ import annotations

import resource
import sys
import threading
from contextlib import closing
from pathlib import Path

import numpy as np
from native_small import blocks_for, native, one, small, with_kind

from kataribe.base.errors import KataribeError
from kataribe.run.inference.native.library import Library, open_library
from kataribe.run.inference.native.runner import NativeRunner
from kataribe.run.inference.step import Slice, StepBatch

KINDS = {"hidden_size": 256, "intermediate_size": 256, "heads": 8}


def main() -> None:
    """Does a task and says so."""
    task, path = sys.argv[1:]
    library = open_library(Path(path))
    assert library is not None, "the library does not run here"
    {
        "steps": steps,
        "together": together,
        "rows": rows_without_memory,
        "keys": keys_without_memory,
        "threads": threads_without_memory,
    }[task](library)
    print("done")


def steps(library: Library) -> None:
    """Every way of holding a matrix, chunks of many sizes, and what is refused."""
    checkpoints = [small(), small(layers=1, windows=(None,), local_rope=None, tied=True)]
    checkpoints += [with_kind(small(**KINDS), kind) for kind in ("Q4_1", "Q5_K", "Q8_0")]
    for checkpoint in checkpoints:
        for precision in ("auto", "int8", "int4"):
            with closing(
                native(library, checkpoint, precision=precision, threads=3)  # type: ignore[arg-type]
            ) as runner:
                random_steps(runner, seed=1, count=25)
                refuse(runner)


def random_steps(runner: NativeRunner, seed: int, count: int) -> list[np.ndarray]:
    """Steps of random slices at random places; all logits."""
    draw = np.random.default_rng(seed)
    found: list[np.ndarray] = []
    each = runner.blocks // 5
    done = [0] * 5
    for _ in range(count):
        parts = []
        for at in draw.permutation(5)[: draw.integers(1, 6)]:
            ids = draw.integers(0, runner.vocab_size, draw.choice([1, 1, 2, 5, 13, 40]))
            if done[at] + len(ids) > each * runner.block_size:
                done[at] = 0
            blocks = tuple(int(at) + 5 * number for number in range(each))
            parts.append(Slice(ids, done[at], blocks, ("none", "last", "all")[draw.integers(3)]))  # type: ignore[arg-type]
            done[at] += len(ids)
        found += runner.run(StepBatch(tuple(parts)))
    runner.copy_blocks([(0, 1), (7, 3)])
    return found


def refuse(runner: NativeRunner) -> None:
    """Steps that are not whole touch nothing."""
    for batch in (
        one([5, 500], 0, (1,)),
        one([5], 0, ()),
        one([5, 6], (1 << 31) - 1, (1,)),
        one([5], 0, (1, 99)),
        one([], 0, (1,)),
    ):
        try:
            runner.run(batch)
        except KataribeError:
            continue
        raise AssertionError("was not refused")


def together(library: Library) -> None:
    """Three models in three threads, one closed and made anew all the time."""
    checkpoints = [small(1), small(2, heads=4, kv_heads=1), with_kind(small(3, **KINDS), "Q4_0")]
    failures: list[BaseException] = []

    def work(at: int) -> None:
        try:
            for _ in range(4 if at else 12):
                with closing(native(library, checkpoints[at], threads=2 + at)) as runner:
                    random_steps(runner, seed=at, count=2 if at == 0 else 8)
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=work, args=(at,)) for at in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def limit_memory(more: int) -> None:
    """So many bytes from now on, and no more."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + more
    hardest = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (most, hardest))


def free_memory() -> None:
    """As much as before."""
    hardest = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (hardest, hardest))


def without_memory(runner: NativeRunner, batches: list[StepBatch]) -> None:
    """The first is refused for lack of memory; the others are refused too, or right."""
    refused = 0
    found: list[np.ndarray | None] = []
    for batch in batches:
        try:
            found.append(runner.run(batch)[0])
        except (KataribeError, MemoryError):
            found.append(None)
            refused += 1
    assert found[0] is None, "there was memory enough; this proves nothing"
    free_memory()
    for batch, early in zip(batches[1:], found[1:], strict=True):
        later = runner.run(batch)[0]
        assert early is None or np.array_equal(early, later)
    print(f"{refused} of {len(batches)} refused")


def rows_without_memory(library: Library) -> None:
    """Chunks that need more memory than there is, then smaller ones."""
    with closing(native(library, small(windows=(21, 21)), blocks=4_000)) as runner:
        runner.run(one([1, 2, 3], 0, (0,), "last"))
        batches = [
            one(np.ones(count, np.int64), 0, range(blocks_for(count)), "last")
            for count in (60_000, 30_000, 9_000, 500, 20)
        ]
        limit_memory(60 << 20)
        without_memory(runner, batches)


def keys_without_memory(library: Library) -> None:
    """A token so far on that its scores need more memory than there is, then nearer ones."""
    tokens = 2_000_000
    checkpoint = small(windows=(None, None), local_rope=None)
    with closing(native(library, checkpoint, blocks=blocks_for(tokens + 1))) as runner:
        runner.run(one([1, 2, 3], 0, (0,), "last"))
        table = tuple(range(runner.blocks))
        batches = [one([5], start, table, "last") for start in (tokens, tokens, 5, tokens - 9)]
        limit_memory(100 << 20)
        without_memory(runner, batches)


def threads_without_memory(library: Library) -> None:
    """More threads than the system gives: either the others do the work, or it is told."""
    batch = one([1, 2, 3], 0, (0,))
    with closing(native(library, small(), threads=1)) as alone:
        expected = alone.run(batch)[0]
    runner = native(library, small(), threads=64)
    limit_memory(60 << 20)
    for _ in range(3):
        try:
            found = runner.run(batch)[0]
        except KataribeError as error:
            print(error)
            continue
        assert np.array_equal(found, expected)
    free_memory()
    assert np.array_equal(runner.run(batch)[0], expected)
    runner.close()


if __name__ == "__main__":
    main()
