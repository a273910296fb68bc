"""A run from its folder to its end: begins or goes on, and leaves the folder telling the truth."""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from filelock import FileLock, Timeout
from torch import nn

from kataribe.base.errors import KataribeError, UnavailableError
from kataribe.base.freeing import kept
from kataribe.files.atomic import storage_error
from kataribe.make.training import runs
from kataribe.make.training.checkpoints import (
    Progress,
    load_optimiser,
    load_weights,
    read_progress,
)
from kataribe.make.training.config import LoopConfig
from kataribe.make.training.devices import choose, forget_most, most_memory
from kataribe.make.training.loop import Record, Training, train
from kataribe.make.training.objective import Objective
from kataribe.make.training.optimisers import Optimisers
from kataribe.make.training.processes import rank, ranks, spread, summed, wait
from kataribe.make.training.record import NoRecord, RunRecord, Words
from kataribe.make.training.rows_objective import RowsObjective
from kataribe.make.training.stopping import Stop, listening
from kataribe.make.training.trainee import Trainee

log = logging.getLogger("kataribe.training")

Tell = Callable[[Mapping[str, float]], None]


@dataclass(frozen=True, eq=False)
class Setup:
    """What a run's plan becomes.

    Attributes:
        model: With its first weights, in float32.
        objective: What it learns.
        config: The loop's settings, nothing of them `auto` any more.
        row_tokens: Tokens of a row, by which passes are measured.
        words: How it reads and writes; None for models that do not write.
    """

    model: nn.Module
    objective: Objective
    config: LoopConfig
    row_tokens: int
    words: Words | None = None


@dataclass(frozen=True)
class Ended:
    """How a run ended.

    Attributes:
        progress: How far it came.
        stopped: Who stopped it before its end; empty where nobody did.
        model: The trained model, up to date, on the first process.
    """

    progress: Progress
    stopped: str
    model: nn.Module


def carry_out(
    run: runs.RunFolder,
    setup: Setup,
    *,
    tell: Tell | None = None,
    notice: Callable[[str], None] | None = None,
) -> Ended:
    """Trains a run from its last checkpoint, or its beginning, to its end.

    Two processes cannot train one run. run.json says how it ended: `done` is for who finishes
    it (see `finish`), after its model is written.

    Raises:
        UnavailableError: Another process trains it.
        KataribeError: Whatever stopped it; run.json then says `failed` and why.
    """
    with held(run):
        return train_held(run, setup, tell=tell, notice=notice)


def train_held(
    run: runs.RunFolder,
    setup: Setup,
    *,
    tell: Tell | None = None,
    notice: Callable[[str], None] | None = None,
) -> Ended:
    """`carry_out` within `held`. A stop that was asked for since then ends it before a step."""
    config = setup.config
    if config.work.threads:
        torch.set_num_threads(config.work.threads)
    device = choose(config.work.device)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    forget_most(device)
    if isinstance(setup.objective, RowsObjective):
        setup.objective.ends_after(config.known_steps)
    with memory_explained(micro_rows(setup) * setup.row_tokens, setup.row_tokens):
        progress, trainee, optimiser = _take_up(run, setup)
    record = RunRecord(run, trainee, config, words=setup.words, tell=tell)
    stop = Stop(run.stop_file)

    def settled(told: LoopConfig) -> None:
        nonlocal config
        config = told
        if isinstance(setup.objective, RowsObjective):
            setup.objective.ends_after(told.steps)
        if rank() == 0:
            record.settled(told)

    written: Record = record if rank() == 0 else NoRecord()
    if summed(float(rank() == 0 and run.stop_file.exists()))[0]:
        stop.why = "a stop file"
    else:
        if rank() == 0:
            record.begin(progress)
            log.info(
                "step %d of %s%d: training on %s, %d processes",
                progress.step, "about " if config.seconds else "", config.steps, device, ranks(),
            )  # fmt: skip
        training = Training(trainee, setup.objective, optimiser, config, written, stop, settled)
        try:
            with (
                memory_explained(micro_rows(setup) * setup.row_tokens, setup.row_tokens),
                listening(stop, notice or log.info),
                kept(),
            ):
                progress = train(training, progress, micro_rows(setup))
        finally:
            record.close()
    trainee.gather()
    wait()
    unfinished = not config.ends_at(progress.step)
    return Ended(progress, (stop.why or "another process") if unfinished else "", trainee.plain)


def micro_rows(setup: Setup) -> int:
    """Most rows of one pass."""
    return max(1, setup.config.work.micro_tokens // setup.row_tokens)


def measured(run: runs.RunFolder, setup: Setup, progress: Progress) -> dict[str, Any]:
    """What came of a run, under the names of the prediction."""
    last: dict[str, float] = {}
    for line in run.metrics():
        last |= line
    return {
        "parameters": sum(each.numel() for each in setup.model.parameters()),
        "tokens": progress.tokens,
        "seconds": round(progress.seconds, 3),
        "memory_bytes": most_memory(choose(setup.config.work.device)),
        "valid_loss": last.get("valid_loss"),
        "bits_per_byte": last.get("bits_per_byte"),
        "loss": last.get("loss"),
    }


def _take_up(run: runs.RunFolder, setup: Setup) -> tuple[Progress, Trainee, Optimisers]:
    """The last checkpoint, or the beginning."""
    found = run.checkpoints()
    progress = read_progress(found[-1][1]) if found else Progress()
    if found:
        load_weights(found[-1][1], setup.model)
    trainee = Trainee(setup.model, setup.objective.loss, setup.config.work)
    spread(trainee, setup.config.work.parallel)
    optimiser = Optimisers(trainee.named, setup.config.optimisation)
    if found:
        load_optimiser(found[-1][1], optimiser)
    return progress, trainee, optimiser


@contextmanager
def held(run: runs.RunFolder) -> Iterator[None]:
    """run.json says `running` within, and afterwards how it ended; log.txt has the notes.

    A stop that was asked for before is forgotten here, and nowhere later.
    """
    if rank() != 0:
        yield
        return
    info = run.info
    own = runs.this_process()
    if info.state == "running" and (info.host, info.pid) != (own["host"], own["pid"]):
        raise UnavailableError(
            f"The run {run.id} is being trained by process {info.pid} on {info.host}. Stop it "
            f"first (kataribe runs stop {run.id})."
        )
    with _locked(run), _running(run, own):
        yield


@contextmanager
def _locked(run: runs.RunFolder) -> Iterator[None]:
    """Of two processes that begin in the same moment one is refused; the system frees the lock.

    Where the file system knows no locks, run.json alone tells who is at it.
    """
    lock = FileLock(run.path / "lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise UnavailableError(
            f"Another process is at the run {run.id}. Wait for it, or stop it "
            f"(kataribe runs stop {run.id})."
        ) from None
    except NotImplementedError:
        log.info("%s cannot be locked here", run.path)
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP):
            raise storage_error(f"{run.path / 'lock'} cannot be written", error) from error
        log.info("%s cannot be locked here", run.path)
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _running(run: runs.RunFolder, own: Mapping[str, Any]) -> Iterator[None]:
    """run.json says `running` within, by which process, and then how it ended."""
    runs.remove_stop(run)
    run.change(state="running", started_at=time.time(), ended_at=None, problem="", **own)
    state, problem = "failed", "It ended unexpectedly; log.txt says where."
    try:
        with runs.beating(run), _logged(run):
            yield
        state, problem = "stopped", ""
    except KeyboardInterrupt:
        state, problem = "stopped", ""
        raise
    except KataribeError as error:
        problem = error.message
        raise
    except Exception as error:  # nobody's fault that is known: the folder says it all the same
        problem = f"{type(error).__name__}: {error}"
        raise
    finally:
        run.change(state=state, ended_at=time.time(), problem=problem)
        runs.remove_stop(run)


@contextmanager
def _logged(run: runs.RunFolder) -> Iterator[None]:
    """Notes of the training go to log.txt too."""
    try:
        handler = logging.FileHandler(run.path / "log.txt", encoding="utf-8")
    except OSError as error:
        raise storage_error(f"{run.path / 'log.txt'} cannot be written", error) from error
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    before = log.level
    log.setLevel(logging.INFO)
    log.addHandler(handler)
    try:
        yield
    except BaseException as error:
        log.error("%s: %s", type(error).__name__, error)
        raise
    finally:
        log.removeHandler(handler)
        log.setLevel(before)
        handler.close()


@contextmanager
def memory_explained(tokens: int, row_tokens: int) -> Iterator[None]:
    """Memory that is full within becomes an `UnavailableError` that says what takes less.

    `tokens` are those of a pass, `row_tokens` the fewest that one can have.
    """
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise _too_large(tokens, row_tokens) from error
    except RuntimeError as error:
        if not any(words in str(error) for words in ("allocate memory", "out of memory")):
            raise
        raise _too_large(tokens, row_tokens) from error


def _too_large(tokens: int, row_tokens: int) -> UnavailableError:
    return UnavailableError(
        f"The memory is full with passes of {tokens} tokens. Take smaller ones "
        f"(--micro-tokens {max(row_tokens, tokens // 2)}), keep less (--recompute), or train "
        "a smaller model; the last checkpoint is as it was."
    )
