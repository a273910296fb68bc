"""What training computes on: NVIDIA's cards (cuda), Apple's chips (mps), or the processor.

Batches are NumPy arrays until here, so that what they teach is counted without asking the device;
weights are drawn, saved and loaded on the processor, so that a run may go on on another device.
Random numbers need no care: every step seeds the generators of all devices (`torch.manual_seed`).
"""

from __future__ import annotations

import os
import re
from typing import Any

import torch
from torch import Tensor

from kataribe.base.errors import InputError, UnavailableError
from kataribe.make.adapt.kernels import computes_bfloat16
from kataribe.make.training.config import Precision
from kataribe.make.training.memory import (
    Memory,
    check_memory,
    forget_peak,
    held_bytes,
    peak_bytes,
)

KNOWN = re.compile(r"auto|cpu|cuda(:[0-9]{1,3})?|mps")


def choose(wanted: str) -> torch.device:
    """The device that was asked for, or with `auto` the fastest that is here.

    Of several processes on one machine each takes the card of its number (`LOCAL_RANK`).

    Raises `InputError` for one that is not here, or that so many processes cannot share.
    """
    if not KNOWN.fullmatch(wanted):
        raise InputError(
            f"device is {wanted!r}; it can be auto, cpu, cuda, cuda:1 or mps.", param="device"
        )
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    cards = torch.cuda.device_count() if torch.cuda.is_available() else 0
    apple = torch.backends.mps.is_available()
    if wanted == "auto":
        wanted = "cuda" if cards else "mps" if apple and processes == 1 else "cpu"
    if wanted == "cpu":
        return torch.device("cpu")
    if wanted == "mps":
        _check(apple, wanted, cards, apple=apple)
        if processes > 1:
            raise InputError(
                f"mps is one device, which {processes} processes cannot train on together. Start "
                "one process, or take the processor (--device cpu).",
                param="device",
            )
        return torch.device("mps")
    _check(bool(cards), wanted, cards, apple=apple)
    return torch.device("cuda", _card(wanted, cards, processes))


def _card(wanted: str, cards: int, processes: int) -> int:
    """The number of the card that is this process's."""
    named = wanted.partition(":")[2]
    if named and processes > 1:
        raise InputError(
            f"device is {wanted}, but {processes} processes train together, each on a card of its "
            "own. Say cuda, and which cards there are with CUDA_VISIBLE_DEVICES.",
            param="device",
        )
    number = int(named or os.environ.get("LOCAL_RANK", "0"))
    if number >= cards:
        raise InputError(
            f"There is no cuda:{number}: this machine has {cards} cards, counted from 0. "
            + ("Name one of those." if named else f"Start {cards} processes here at most."),
            param="device",
        )
    return number


def _check(there: bool, wanted: str, cards: int, *, apple: bool) -> None:
    if there:
        return
    found = ["cpu", *(f"cuda:{number}" for number in range(cards)), *(["mps"] if apple else [])]
    raise InputError(
        f"device is {wanted}, but PyTorch {torch.__version__} finds no such device here; there is "
        f"{', '.join(found)}. Take one of those (--device {found[-1]}), or install the PyTorch "
        "that was built for the device.",
        param="device",
    )


def precision_of(device: torch.device) -> Precision | None:
    """What `auto` precision means on a device; None for the processor, where it is measured."""
    if device.type == "cpu":
        return None
    return "bfloat16" if computes_bfloat16(str(device)) else "float32"


def backend() -> str:
    """How processes talk: counts over gloo; gradients of cards over nccl, where it is built in."""
    with_cards = torch.cuda.is_available() and torch.distributed.is_nccl_available()
    return "cpu:gloo,cuda:nccl" if with_cards else "gloo"


def tensors(device: torch.device, *arrays: Any) -> list[Tensor]:
    """NumPy arrays as tensors there; cards fetch them while they still compute."""
    found = []
    for array in arrays:
        # An array that cannot be written (a view of one row many times) is copied.
        tensor = torch.from_numpy(array if array.flags.writeable else array.copy())
        if device.type == "cuda" and torch.cuda.is_available():
            tensor = tensor.pin_memory()
        found.append(tensor.to(device, non_blocking=device.type == "cuda"))
    return found


def finish() -> None:
    """Waits until devices have computed what they were asked for: for who looks at the clock."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.synchronize()
    if torch.backends.mps.is_available():
        torch.mps.synchronize()


def forget_most(device: torch.device) -> None:
    """Begins `most_memory` anew."""
    forget_peak()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def most_memory(device: torch.device) -> int:
    """The most bytes that a run held where it computed: on a card, or in the process.

    Apple's chips tell only what is held now.
    """
    if device.type == "cuda":
        return int(torch.cuda.max_memory_reserved(device))
    if device.type == "mps":
        return int(torch.mps.driver_allocated_memory())
    return peak_bytes()


def held_now(device: torch.device) -> int:
    """Bytes that are held where `device` computes after what is free was given back.

    Nothing on others than the processor, where `most_memory` does not count the process.
    """
    return held_bytes() if device.type == "cpu" else 0


def taken(memory: Memory, device: torch.device) -> int:
    """Bytes of it that lie where `device` computes.

    The program and the pages of text lie in the machine's memory, whatever is in a card's; Apple's
    chips share one memory.
    """
    return memory.total - (memory.program + memory.text if device.type == "cuda" else 0)


def check_room(needed: int, device: torch.device) -> None:
    """Raises `UnavailableError` where a card, or for others the machine, has less bytes free."""
    if device.type != "cuda":
        check_memory(needed)
        return
    free, whole = torch.cuda.mem_get_info(device)
    if needed > free:
        raise UnavailableError(
            f"Training needs about {needed / 1e9:.1f} GB, but {device} has only {free / 1e9:.1f} "
            f"of {whole / 1e9:.1f} GB free. Take a smaller model (--size), smaller passes "
            "(--micro-tokens), or keep less (--recompute)."
        )
