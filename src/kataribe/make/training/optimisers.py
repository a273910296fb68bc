"""What changes the weights: Muon for the matrices inside, AdamW for the rest, or AdamW for all."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

from kataribe.base.errors import FormatError
from kataribe.make.training.config import Optimisation

OUTER = ("embed", "head", "positions", "shared", "lm_head", "token_types", "pooler", "classifier")
"""First or last parts of the names of matrices that are not between two hidden vectors."""
FUSED = ("cpu", "cuda", "mps")
"""Devices on which PyTorch has AdamW as one kernel."""
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Coefficients of Jordan et al. 2024: steepest at 0, and they end between 0.7 and 1.2."""


class Muon(torch.optim.Optimizer):
    """Momentum, made orthogonal by Newton-Schulz steps (Jordan et al. 2024), for matrices.

    Updates are scaled by 0.2 * sqrt(longer side), the size that AdamW's have (Liu et al. 2025),
    so that both take the same learning rate and weight decay.
    """

    def __init__(
        self, parameters: Iterable[Tensor], *, lr: float, momentum: float, weight_decay: float
    ) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One change of all matrices."""
        loss = None if closure is None else closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                whole = _whole(self._looked_ahead(parameter, group["momentum"]))
                update = _like(parameter, orthogonalise(whole))
                size = 0.2 * math.sqrt(max(whole.shape))
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.sub_(update, alpha=group["lr"] * size)
        return loss

    def _looked_ahead(self, parameter: Tensor, momentum: float) -> Tensor:
        """Nesterov's momentum: where the average will be after this gradient once more."""
        gradient = parameter.grad
        assert gradient is not None
        state = self.state[parameter]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        average: Tensor = state["momentum_buffer"].lerp_(gradient, 1 - momentum)
        ahead: Tensor = gradient.lerp(average, momentum)
        return ahead


def orthogonalise(matrix: Tensor, steps: int = 5) -> Tensor:
    """A float32 matrix to a nearly orthogonal one with the same singular vectors.

    Products are computed in bfloat16, which is exact enough (Jordan et al. 2024). One matrix at a
    time: on two cores 40 of 576 x 576 took 338 ms so, and 444 to 603 together.
    """
    a, b, c = NEWTON_SCHULZ
    turned = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if turned else matrix
    x = (x / (x.norm() + 1e-7)).to(torch.bfloat16)
    for _ in range(steps):
        square = x @ x.T  # (rows, rows)
        polynomial = torch.addmm(square, square, square, beta=b, alpha=c)
        x = torch.addmm(x, polynomial, x, beta=a)
    found: Tensor = (x.T if turned else x).float()
    return found


class Optimisers:
    """All that changes the weights of one model, with one learning rate.

    Args:
        named: Parameters by name; one that stands twice (a tied head) comes once.
        how: The settings.
    """

    def __init__(self, named: Mapping[str, nn.Parameter], how: Optimisation) -> None:
        self._named = dict(named)
        self._how = how
        inner, matrices, vectors = divide(named, how)
        spread = any(isinstance(parameter, DTensor) for parameter in named.values())
        fused = not spread and all(each.device.type in FUSED for each in named.values())
        groups = [
            {"params": matrices, "weight_decay": how.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ]
        self._fused = fused
        self._all: list[torch.optim.Optimizer] = []
        if any(group["params"] for group in groups):
            self._all.append(
                torch.optim.AdamW(
                    [group for group in groups if group["params"]],
                    lr=how.learning_rate,
                    betas=(how.beta1, how.beta2),
                    eps=how.epsilon,
                    fused=fused,
                    foreach=None if fused else False,
                )
            )
        if inner:
            self._all.append(
                Muon(
                    inner,
                    lr=how.learning_rate,
                    momentum=how.momentum,
                    weight_decay=how.weight_decay,
                )
            )

    def step(self, share: float) -> float:
        """One change with this share of the learning rate, which is returned; clears gradients."""
        rate = self._how.learning_rate * share
        for optimiser in self._all:
            for group in optimiser.param_groups:
                group["lr"] = rate
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        return rate

    def state(self) -> dict[str, Tensor]:
        """Everything to be kept, by `parameter/what`; all processes must ask together."""
        found: dict[str, Tensor] = {}
        for name, parameter in self._named.items():
            for optimiser in self._all:
                for key, value in optimiser.state.get(parameter, {}).items():
                    found[f"{name}/{key}"] = _whole(value)
        return found

    def load(self, kept: Mapping[str, Tensor]) -> None:
        """Takes up what `state` gave; `FormatError` where it belongs to another model."""
        for optimiser in self._all:
            for group in optimiser.param_groups:
                for parameter in group["params"]:
                    self._load_one(optimiser, parameter, kept)

    def _load_one(
        self, optimiser: torch.optim.Optimizer, parameter: nn.Parameter, kept: Mapping[str, Tensor]
    ) -> None:
        name = next(each for each, found in self._named.items() if found is parameter)
        keys = ("momentum_buffer",) if isinstance(optimiser, Muon) else (
            "step", "exp_avg", "exp_avg_sq",
        )  # fmt: skip
        state: dict[str, Any] = {}
        for key in keys:
            value = kept.get(f"{name}/{key}")
            if value is None:
                if any(each.startswith(f"{name}/") for each in kept):
                    raise FormatError(
                        f"The checkpoint keeps no {key} of {name}; it was made with another "
                        "optimiser. Resume with the settings that the run began with."
                    )
                break  # it had no gradient yet
            if key == "step":  # of fused ones it lies beside the parameter
                state[key] = value.to(parameter.device if self._fused else "cpu", copy=True)
            else:
                state[key] = _like(parameter, value.to(parameter.device)).clone()
        if state:
            optimiser.state[parameter] = state


def divide(
    named: Mapping[str, nn.Parameter], how: Optimisation
) -> tuple[list[nn.Parameter], list[nn.Parameter], list[nn.Parameter]]:
    """Parameters for Muon, matrices for AdamW, and vectors, which do not decay.

    Decays and filters of recurrent layers count as vectors, whatever their shape.
    """
    inner: list[nn.Parameter] = []
    matrices: list[nn.Parameter] = []
    vectors: list[nn.Parameter] = []
    for name, parameter in named.items():
        if not parameter.requires_grad:
            continue
        is_own = name.endswith((".A_log", "mixer.conv.weight", "mixer.step.weight"))
        is_own = is_own or ".mixer.filter." in name
        if parameter.dim() < 2 or is_own:
            vectors.append(parameter)
        elif how.optimiser == "muon" and parameter.dim() == 2 and not is_outer(name):
            inner.append(parameter)
        else:
            matrices.append(parameter)
    return inner, matrices, vectors


def is_outer(name: str) -> bool:
    """Whether a matrix is an embedding or a head, by its name."""
    parts = name.split(".")
    return any(part in OUTER for part in (*parts[:2], *parts[-2:]))


def _whole(value: Tensor) -> Tensor:
    return value.full_tensor() if isinstance(value, DTensor) else value


def _like(parameter: Tensor, value: Tensor) -> Tensor:
    """The whole tensor, divided among the processes as the parameter is."""
    if isinstance(parameter, DTensor):
        return distribute_tensor(value, parameter.device_mesh, parameter.placements)
    return value
