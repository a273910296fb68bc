"""The one loop. Whatever is learned, it is learned here; read it from top to bottom."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from kataribe.base.errors import InputError
from kataribe.base.freeing import trim
from kataribe.make.training.checkpoints import Progress
from kataribe.make.training.config import LoopConfig
from kataribe.make.training.objective import Objective, Share, StepData
from kataribe.make.training.optimisers import Optimisers
from kataribe.make.training.processes import quiet, rank, ranks, summed
from kataribe.make.training.schedules import settled, share_at
from kataribe.make.training.trainee import Trainee


class DivergedError(InputError):
    """The loss or the gradient is no number any more."""

    code = "diverged"


class Record(Protocol):
    """Where a run is written down. Only the first process has one that writes."""

    def stepped(self, figures: Mapping[str, float]) -> None:
        """One line of figures of a step: see `RunFolder.metrics`."""
        ...

    def sample(self, step: int) -> None:
        """Time for samples."""
        ...

    def save(self, progress: Progress, optimiser: Mapping[str, Tensor]) -> None:
        """Time for a checkpoint; `Trainee.plain` is up to date."""
        ...


@dataclass(frozen=True, eq=False)
class Training:
    """What the loop works with.

    Attributes:
        trainee: The model.
        objective: What it learns.
        optimiser: What changes it.
        config: How long and how.
        record: Where it is written down.
        wants_stop: Asked after every step.
        settled: Given the settings anew when time has told how many steps there are.
    """

    trainee: Trainee
    objective: Objective
    optimiser: Optimisers
    config: LoopConfig
    record: Record
    wants_stop: Callable[[], bool]
    settled: Callable[[LoopConfig], None] = lambda config: None  # noqa: ARG005


def train(
    training: Training, progress: Progress, micro_rows: int, *, alone: bool = False
) -> Progress:
    """Trains from `progress` to the end, or until somebody wants to stop; says how far it came.

    The last checkpoint is written in any case. `micro_rows` is the most that one pass takes.
    `alone` is for one of several processes that trains while the others do something else: it
    takes whole batches and never waits for them.

    Raises:
        DivergedError: The loss is no finite number. Nothing is written then, so the last
            checkpoint is from before.
        StorageError: The disk is full; the checkpoints before are as they were.
    """
    watching = training.config.watching
    share = Share(0, 1, micro_rows) if alone else Share(rank(), ranks(), micro_rows)
    clock = _Clock(progress)
    pending: list[dict[str, float | Tensor]] = []
    stopping = False
    while not (stopping or training.config.ends_at(progress.step)):
        figures, tokens, stopping = learn(training, progress.step, share)
        progress = clock.after(progress, tokens)
        pending.append({**_counts(progress), **figures, "tokens_per_second": clock.speed})
        if training.config.seconds is not None:
            training = _told_by_time(training, progress, share)
        last = stopping or training.config.ends_at(progress.step)
        looks = last or _due(progress.step, watching.eval_every)
        saves = last or _due(progress.step, watching.checkpoint_every)
        if looks or saves or len(pending) >= watching.log_every:
            lines = _finite(pending)
            if looks:
                lines[-1] |= training.objective.evaluate(training.trainee.judge, share)
                progress = _judged(progress, lines[-1])
                trim()  # steps differ in what they take, and over thousands holes add up
            for line in lines:
                training.record.stepped(line)
            pending.clear()
        if _due(progress.step, watching.sample_every) or (last and watching.sample_every):
            training.trainee.gather()
            training.record.sample(progress.step)
        if saves:
            progress = clock.now(progress)
            training.trainee.gather()
            training.record.save(progress, training.optimiser.state())
    return progress


def _told_by_time(training: Training, progress: Progress, share: Share) -> Training:
    """With the last step settled, if the first process's clock tells it by now."""
    gone = summed(progress.seconds if share.rank == 0 else 0.0, among=share.ranks)[0]
    config = settled(training.config, progress.step, gone)
    if config is training.config:
        return training
    training.settled(config)
    return dataclasses.replace(training, config=config)


def learn(
    training: Training, step: int, share: Share
) -> tuple[dict[str, float | Tensor], int, bool]:
    """One change of the weights: figures of it, tokens of all processes, and whether to stop."""
    config, module = training.config, training.trainee.module
    torch.manual_seed(hash((config.seed, step, share.rank)))  # for dropout: nothing to be kept
    data = training.objective.data(step, share)
    stops = training.wants_stop()
    taught, tokens, stop = summed(data.taught, data.tokens, stops, among=share.ranks)
    if not taught:
        raise InputError(
            f"The batch of step {step} teaches nothing: no place in it has a target. Look at the "
            "data (kataribe dataset show), or take larger batches."
        )
    loss = backward(module, data, share.ranks / taught)
    norm = _clip(training.trainee, config.optimisation.clip)
    rate = training.optimiser.step(share_at(step, config.known_steps, config.optimisation))
    if share.ranks > 1:
        loss = torch.tensor(summed(float(loss), among=share.ranks)[0] / share.ranks)
    return {"loss": loss, "lr": rate, "grad_norm": norm}, int(tokens), bool(stop)


def backward(module: nn.Module, data: StepData, scale: float) -> Tensor:
    """Gradients of `scale` times the sum of losses, pass after pass; gives that number."""
    total = torch.zeros(())
    for number, part in enumerate(data.parts, 1):
        with quiet(module, last=number == len(data.parts)):
            loss = module(part) * scale
            loss.backward()
        total = total.to(loss.device) + loss.detach()
    return total


def _clip(trainee: Trainee, longest: float) -> Tensor:
    parameters = list(trainee.named.values())
    norm = nn.utils.clip_grad_norm_(parameters, longest or math.inf)
    return norm.full_tensor() if hasattr(norm, "full_tensor") else norm


def _due(step: int, every: int) -> bool:
    return bool(every) and step % every == 0


def _counts(progress: Progress) -> dict[str, float]:
    return {"step": progress.step, "tokens": progress.tokens, "time": round(progress.seconds, 3)}


def _finite(pending: list[dict[str, float | Tensor]]) -> list[dict[str, float]]:
    """Figures read from the machine, all at once."""
    lines = [{name: _number(value) for name, value in line.items()} for line in pending]
    for line in lines:
        if not (math.isfinite(line["loss"]) and math.isfinite(line["grad_norm"])):
            raise DivergedError(
                f"At step {line['step']:.0f} the loss is {line['loss']} and the gradient's length "
                f"{line['grad_norm']}: training has diverged. The last checkpoint is from before; "
                f"go on from it with a smaller learning rate (it was {line['lr']:.3g}) or a longer "
                "warm-up, or in float32 (--precision float32)."
            )
    return lines


def _number(value: float | Tensor) -> float:
    return float(value) if isinstance(value, Tensor) else value


def _judged(progress: Progress, line: Mapping[str, float]) -> Progress:
    found = line.get("valid_loss")
    if found is None or (progress.best is not None and found >= progress.best):
        return progress
    return dataclasses.replace(progress, best=found, best_step=progress.step)


class _Clock:
    """Seconds of a run over all its parts, and how fast it is just now."""

    def __init__(self, progress: Progress) -> None:
        self._began = time.monotonic() - progress.seconds
        self._last = time.monotonic()
        self.speed = 0.0

    def after(self, progress: Progress, tokens: int) -> Progress:
        """One step more. Speed is the steps' own: the time of looks and samples is not in it."""
        now = time.monotonic()
        self.speed = round(tokens / max(now - self._last, 1e-9), 1)
        self._last = now
        return dataclasses.replace(
            progress,
            step=progress.step + 1,
            tokens=progress.tokens + tokens,
            seconds=now - self._began,
        )

    def now(self, progress: Progress) -> Progress:
        """The same step, with the time of what was done since."""
        self._last = time.monotonic()
        return dataclasses.replace(progress, seconds=self._last - self._began)
