"""Several processes that train one model (`torchrun`), and one that is alone.

Counts and plans go over gloo, gradients of cards over nccl (`devices.backend`).
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import torch
from torch import distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.nn.parallel import DistributedDataParallel

from kataribe.base.errors import UnavailableError
from kataribe.make.training import devices
from kataribe.make.training.config import Parallel
from kataribe.make.training.trainee import Trainee, blocks

T = TypeVar("T")

PATIENCE = dt.timedelta(hours=6)
"""So long the others wait while the first reads a corpus as tokens and measures the machine."""


def rank() -> int:
    """Number of this process, from 0."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def ranks() -> int:
    """How many processes train together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


@contextlib.contextmanager
def joined() -> Iterator[None]:
    """Joins the other processes where `torchrun` started this one, and parts at the end."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2 or distributed.is_initialized():
        yield
        return
    distributed.init_process_group(devices.backend(), timeout=PATIENCE)
    try:
        yield
        wait()  # who leaves first would take the meeting place away from the others
    finally:
        distributed.destroy_process_group()


def summed(*values: float, among: int | None = None) -> tuple[float, ...]:
    """The sums over all processes; float64, so that counts stay exact.

    `among` is `Share.ranks` of who asks: 1 for what one process does while the others wait.
    """
    if ranks() == 1 or among == 1:
        return values
    tensor = torch.tensor(values, dtype=torch.float64)
    distributed.all_reduce(tensor)
    return tuple(tensor.tolist())


def in_step(mine: Iterable[T], among: int) -> Iterator[T | None]:
    """This process's things, and None as often as the process with the most has more.

    Where weights are spread, every pass is the work of all processes, so all need as many.
    `among` is `Share.ranks`, as of `summed`.
    """
    if ranks() == 1 or among == 1:
        yield from mine
        return
    held = list(mine)
    most = torch.tensor(len(held))
    distributed.all_reduce(most, distributed.ReduceOp.MAX)
    yield from held
    for _ in range(int(most) - len(held)):
        yield None


def from_first(work: Callable[[], T]) -> T:
    """What the first process's `work` gives, in all of them; only that one does it.

    Raises what `work` raised there, and in the others at once `UnavailableError` that says what.
    """
    if ranks() == 1:
        return work()
    told: list[Any] = [None, ""]
    if rank() == 0:
        try:
            told[0] = work()
        except BaseException as error:
            told[1] = str(error) or type(error).__name__
            distributed.broadcast_object_list(told, src=0)
            raise
    distributed.broadcast_object_list(told, src=0)
    if told[1]:
        raise UnavailableError(f"The first process stopped: {told[1]}")
    found: T = told[0]
    return found


def in_all(work: Callable[[], T]) -> T:
    """What `work` gives in this process, when it went well in all of them.

    Raises what it raised here, or `UnavailableError` where it failed in another only.
    """
    if ranks() == 1:
        return work()
    try:
        found = work()
    except BaseException:
        summed(1.0)
        raise
    failed = int(summed(0.0)[0])
    if failed:
        raise UnavailableError(
            f"{failed} of {ranks()} processes could not begin; what they say tells why."
        )
    return found


def wait() -> None:
    """Waits until all processes have come here."""
    summed(0.0)  # over gloo in any case


def spread(trainee: Trainee, parallel: Parallel) -> None:
    """Makes a trainee one of several: gradients meet, and with `fsdp` weights are divided.

    Both average gradients over the processes; the loop multiplies by their number.
    """
    if ranks() == 1:
        return
    device = trainee.device
    if parallel == "ddp":
        own = None if device.index is None else [device]
        trainee.module = DistributedDataParallel(trainee.module, device_ids=own)
        return
    mesh = init_device_mesh(device.type, (ranks(),))
    for block in blocks(trainee.module):
        fully_shard(block, mesh=mesh)
    fully_shard(trainee.module, mesh=mesh)
    trainee.plain.to("cpu")  # whole weights would fill a card; they come back to be saved
    trainee.judge = trainee.module  # the other view's parameters are no longer these
    trainee.named = {
        name.removeprefix("model."): parameter
        for name, parameter in trainee.module.named_parameters()
    }


@contextlib.contextmanager
def quiet(module: nn.Module, *, last: bool) -> Iterator[None]:
    """Only the last pass of a step lets gradients meet."""
    if isinstance(module, DistributedDataParallel) and not last:
        with module.no_sync():
            yield
        return
    if isinstance(module, FSDPModule):
        module.set_requires_gradient_sync(last)
    yield
