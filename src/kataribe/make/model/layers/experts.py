"""Mixtures of experts: a router sends each token through a few of many MLPs.

Sparsely-gated mixtures are of Shazeer et al. 2017; the load-balance loss is of Fedus et al. 2021
(Switch), over the choices of all sparse layers together, as Mixtral and `transformers` have it.

What the routers say leaves the model through a `Routes` that the caller gives to the pass, and
not through state of modules: a pass without one computes and keeps nothing more, one under
`DistributedDataParallel`, `torch.compile` or recomputation finds its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from kataribe.base.errors import InputError
from kataribe.make.model.configs.config import ExpertsConfig, ModelConfig
from kataribe.make.model.layers.mlp import GatedMLP


class Routes:
    """What the routers of one pass said.

    Attributes:
        logits: Layer -> float32 (tokens, experts), tokens in the order of the pass, rows of a
            batch one after the other. A layer that is computed again for its gradients says the
            same again, in the same place.
    """

    def __init__(self) -> None:
        self.logits: dict[int, Tensor] = {}


class Experts(nn.Module):
    """In place of a block's MLP: the weighted sum of what the chosen experts say.

    All experts take part in a pass that records gradients, those without tokens with a product of
    no rows: every parameter then has a gradient on every process of a distributed run.
    """

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        spec = config.experts
        assert spec is not None, "`ModelConfig.has_experts` says where they are"
        self.layer, self.spec = layer, spec
        self.router = Scores(config.hidden_size, spec.count)
        self.experts = nn.ModuleList(GatedMLP(config, spec.width) for _ in range(spec.count))
        self.shared = GatedMLP(config, spec.shared_width) if spec.shared_width else None
        self.shared_gate = Scores(config.hidden_size, 1) if spec.shared_gate else None

    def forward(self, x: Tensor, routes: Routes | None = None) -> Tensor:
        """(..., hidden_size) to the same."""
        rows = x.reshape(-1, x.shape[-1])  # (tokens, hidden_size)
        logits = self.router(rows)
        if routes is not None:
            routes.logits[self.layer] = logits
        weights, chosen = choose(self.spec, logits)
        out = mix(rows, weights, chosen, list(self.experts))
        if self.shared is not None:
            every = self.shared(rows)
            if self.shared_gate is not None:
                every = every * self.shared_gate(rows).sigmoid().to(every.dtype)
            out = out + every
        return out.view(x.shape)


class Scores(nn.Module):
    """A small matrix whose product decides something: float32 in every model, never packed."""

    def __init__(self, columns: int, rows: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(rows, columns))
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))

    def forward(self, x: Tensor) -> Tensor:
        """(tokens, columns) to float32 (tokens, rows)."""
        return functional.linear(x.float(), self.weight.float())


def choose(spec: ExpertsConfig, logits: Tensor) -> tuple[Tensor, Tensor]:
    """Weights float32 and numbers int64 of each token's experts, (tokens, per_token) both."""
    if spec.scoring == "topk_softmax":
        best, chosen = logits.topk(spec.per_token, dim=-1)
        return best.softmax(dim=-1), chosen
    weights, chosen = logits.softmax(dim=-1).topk(spec.per_token, dim=-1)
    if spec.normalized:
        weights = weights / weights.sum(dim=-1, keepdim=True)
    return weights, chosen


def mix(rows: Tensor, weights: Tensor, chosen: Tensor, experts: Sequence[nn.Module]) -> Tensor:
    """Each token's weighted sum over its experts, (tokens, hidden_size).

    Tokens are grouped by expert, so each expert multiplies once, and its own tokens only.

    Args:
        rows: (tokens, hidden_size).
        weights: (tokens, per_token).
        chosen: Numbers of experts, (tokens, per_token).
        experts: All of the layer's.
    """
    order = chosen.flatten().argsort(stable=True)  # pairs of token and expert, by expert
    counts = torch.bincount(chosen.flatten(), minlength=len(experts)).tolist()
    parts = torch.split(rows[order // chosen.shape[1]], counts)
    every = torch.is_grad_enabled()
    said = [expert(part) for expert, part in zip(experts, parts, strict=True) if every or len(part)]
    back = torch.empty_like(order)
    back[order] = torch.arange(len(order), device=order.device)
    pairs = torch.cat(said)[back].view(*chosen.shape, -1)  # (tokens, per_token, hidden_size)
    mixed: Tensor = (pairs * weights[..., None].to(pairs.dtype)).sum(dim=1)
    return mixed


def mix_slowly(
    rows: Tensor, weights: Tensor, chosen: Tensor, experts: Sequence[nn.Module]
) -> Tensor:
    """The same as `mix`, as one would write it down: every expert sees every token."""
    out = torch.zeros_like(rows)
    for number, expert in enumerate(experts):
        share = (weights * (chosen == number)).sum(dim=-1)  # (tokens,), 0 where it is not chosen
        out = out + share[:, None].to(rows.dtype) * expert(rows)
    return out


def load_balance_loss(routes: Routes, spec: ExpertsConfig, mask: Tensor | None = None) -> Tensor:
    """How unevenly experts are used: `per_token` where evenly, `count` at most; float32 ().

    The product of each expert's share of choices and its mean probability, summed and times the
    number of experts. Training adds it to its loss, times `spec.balance`.

    Args:
        routes: Of one pass.
        spec: The model's experts.
        mask: True at tokens that count, of the shape of the pass's ids; None for all.

    Raises:
        InputError: The pass took nothing down.
    """
    if not routes.logits:
        raise InputError("The pass had no experts. Give `routes` to a pass of a model with some.")
    logits = torch.stack([*routes.logits.values()])  # (layers, tokens, count)
    if mask is not None:
        logits = logits[:, mask.flatten().bool()]
    shares = logits.softmax(dim=-1).flatten(0, 1)  # (layers * tokens, count)
    chosen = shares.topk(spec.per_token, dim=-1).indices.flatten()
    used = torch.bincount(chosen, minlength=spec.count).to(shares.dtype) / shares.shape[0]
    return spec.count * (used * shares.mean(dim=0)).sum()
