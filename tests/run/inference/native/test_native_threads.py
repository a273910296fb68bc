"""Several models at once, many threads, and what waits for whom."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import numpy as np
import pytest
from native_child import random_steps
from native_small import native, one, small, with_kind

from kataribe.make.model.weights.checkpoint import Checkpoint
from kataribe.run.inference.native.library import Library

STEPS = 40


@pytest.fixture(scope="module")
def checkpoints() -> list[Checkpoint]:
    wide = small(3, hidden_size=256, intermediate_size=256, heads=8)
    return [small(1), small(2, heads=4, kv_heads=1, vocab_size=64), with_kind(wide, "Q4_1")]


def run_in_threads(*jobs: Callable[[], None]) -> None:
    """Runs all at once; raises what one of them raised."""
    failures: list[BaseException] = []

    def guarded(job: Callable[[], None]) -> None:
        try:
            job()
        except BaseException as error:  # noqa: BLE001 - raised again in the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(job,), daemon=True) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads), "somebody waits for ever"
    for failure in failures:
        raise failure


def equal(found: list[np.ndarray], expected: list[np.ndarray]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.timeout(90)
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_models_that_answer_at_once_say_what_they_say_alone(
    library: Library, checkpoints: list[Checkpoint], threads: int
) -> None:
    alone = []
    for checkpoint in checkpoints:
        with closing(native(library, checkpoint)) as runner:
            alone.append(random_steps(runner, seed=5, count=STEPS))

    def answer(at: int) -> Callable[[], None]:
        def go() -> None:
            with closing(native(library, checkpoints[at], threads=threads + at)) as runner:
                assert equal(random_steps(runner, seed=5, count=STEPS), alone[at])

        return go

    run_in_threads(*(answer(at) for at in range(3)))


@pytest.mark.timeout(90)
def test_models_that_come_and_go_harm_no_other(
    library: Library, checkpoints: list[Checkpoint]
) -> None:
    with closing(native(library, checkpoints[0])) as runner:
        alone = random_steps(runner, seed=6, count=STEPS)
    over = threading.Event()

    def stay() -> None:
        try:
            with closing(native(library, checkpoints[0], threads=3)) as runner:
                for _ in range(3):
                    assert equal(random_steps(runner, seed=6, count=STEPS), alone)
        finally:
            over.set()

    def come_and_go() -> None:
        times = 0
        while not over.is_set() or times < 5:
            runner = native(library, checkpoints[2], threads=2)
            random_steps(runner, seed=times, count=1)
            runner.close()
            times += 1

    run_in_threads(stay, come_and_go)


@contextmanager
def load() -> Iterator[None]:
    """Two threads that keep both cores busy outside Python's lock."""
    over = threading.Event()

    def burn() -> None:
        values = np.ones((300, 300))
        while not over.is_set():
            values @ values

    threads = [threading.Thread(target=burn, daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    yield
    over.set()
    for thread in threads:
        thread.join(60)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("threads", [8, 33])
def test_many_threads_on_a_busy_machine_come_to_an_end(
    library: Library, checkpoints: list[Checkpoint], threads: int
) -> None:
    with closing(native(library, checkpoints[1], threads=1)) as runner:
        alone = random_steps(runner, seed=7, count=64)
    with load(), closing(native(library, checkpoints[1], threads=threads)) as runner:
        assert equal(random_steps(runner, seed=7, count=64), alone)


def test_fewer_threads_after_more(library: Library, checkpoints: list[Checkpoint]) -> None:
    """The team does not shrink; those who are not asked stay away."""
    batch = one(range(1, 30), 0, (3, 1))
    found = []
    for threads in (6, 1, 4, 2):
        with closing(native(library, checkpoints[0], threads=threads)) as runner:
            found.append(runner.run(batch)[0])
    assert equal(found[1:], found[:1] * 3)
