"""The decoder: token ids to hidden vectors to logits. Read it from top to bottom.

GPT-2, Llama, Mistral, Qwen 2 and 3, Gemma 2 and 3, Mamba, Jamba are this one model under different
configurations. Leading dimensions `...` are free: (batch, seq) in training, (tokens,) in the
engine, which packs many sequences into one row and lets `attend` keep them apart.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kataribe.make.model.configs.config import ModelConfig
from kataribe.make.model.layers.attention import Attend
from kataribe.make.model.layers.experts import Experts, Routes
from kataribe.make.model.layers.mixers import build_mixer
from kataribe.make.model.layers.mlp import GatedMLP, GateUp, PlainMLP
from kataribe.make.model.layers.norms import LayerNorm, RMSNorm, activate, norm
from kataribe.make.model.layers.past import Past
from kataribe.make.model.layers.rope import Rotation, depends_on_length, rotate, rotation
from kataribe.make.model.layers.ternary import linear

__all__ = [
    "QKV", "Attention", "Block", "Decoder", "GateUp", "GatedMLP", "LayerNorm", "PlainMLP",
    "RMSNorm", "RecurrentBlock", "activate", "norm",
]  # fmt: skip


class Decoder(nn.Module):
    """Embedding, blocks, final norm and head.

    `fixed_length` concerns models whose rotary positions depend on the sequence's length
    (`dynamic`, `longrope`). None takes the longest sequence of the call, as `transformers` does;
    a number stands for the length always. An engine sets its context there: what it says to one
    must not depend on who else is served, nor on where a prompt was cut into chunks.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.fixed_length: int | None = None
        self.embed = nn.Embedding(config.vocab_size, config.hidden_size)
        self.positions = (
            nn.Embedding(config.context_length, config.hidden_size)
            if config.learned_positions
            else None
        )
        self.blocks = nn.ModuleList(
            (Block if mixer == "attention" else RecurrentBlock)(config, layer)
            for layer, mixer in enumerate(config.mixers)
        )
        self.norm = norm(config, config.hidden_size)
        self.head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.tie()

    def tie(self) -> None:
        """Makes the head use the embedding's matrix, where the configuration says so."""
        if self.config.tied:
            self.head.weight = self.embed.weight

    def forward(
        self, ids: Tensor, positions: Tensor, attend: Past, routes: Routes | None = None
    ) -> Tensor:
        """Hidden vectors (..., hidden_size) after the final norm.

        `ids` and `positions` are int64 (...); a position counts from 0 within its own sequence.
        `routes` takes down what the routers of experts said, for training.
        """
        x = self.embed(ids)  # (..., hidden_size)
        if self.config.embedding_scale != 1.0:
            x = x * torch.tensor(self.config.embedding_scale, dtype=x.dtype, device=x.device)
        if self.positions is not None:
            x = x + self.positions(positions)
        dtype = x.dtype
        turns = self._rotations(positions, dtype)
        if self.config.float32_residual:
            x = x.float()
        for block in self.blocks:
            x = block(x, turns, attend, routes)
        hidden: Tensor = self.norm(x)
        return hidden.to(dtype)

    def logits(self, hidden: Tensor) -> Tensor:
        """float32 (..., vocab_size) from hidden vectors (..., hidden_size)."""
        logits: Tensor = self.head(hidden).float()
        cap = self.config.logits_softcap
        return logits if cap is None else torch.tanh(logits / cap) * cap

    def _rotations(self, positions: Tensor, dtype: torch.dtype) -> tuple[Rotation, Rotation] | None:
        """Rotations of layers without and with a window, looked up once for all layers."""
        config = self.config
        if config.rope is None:
            return None
        length = self.fixed_length or 0
        if not length and (depends_on_length(config.rope) or depends_on_length(config.local_rope)):
            length = int(positions.max()) + 1
        far = rotation(config.rope, positions, head_dim=config.head_dim, length=length, dtype=dtype)
        if config.local_rope is None:
            return far, far
        near = rotation(
            config.local_rope, positions, head_dim=config.head_dim, length=length, dtype=dtype
        )
        return far, near


class Block(nn.Module):
    """Attention, then the MLP, each added to the residual stream."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.sparse = config.has_experts(layer)
        self.attention_norm = norm(config, config.hidden_size)
        self.attention = Attention(config, layer)
        self.attention_post_norm = norm(config, config.hidden_size) if config.post_norms else None
        self.mlp_norm = norm(config, config.hidden_size)
        self.mlp = _mlp(config, layer)
        self.mlp_post_norm = norm(config, config.hidden_size) if config.post_norms else None

    def forward(
        self,
        x: Tensor,
        turns: tuple[Rotation, Rotation] | None,
        attend: Attend,
        routes: Routes | None = None,
    ) -> Tensor:
        """(..., hidden_size) to the same."""
        update = self.attention(self.attention_norm(x), turns, attend)  # (..., hidden_size)
        if self.attention_post_norm is not None:
            update = self.attention_post_norm(update)
        x = x + update
        inner = self.mlp_norm(x)
        update = self.mlp(inner, routes) if self.sparse else self.mlp(inner)  # (..., hidden_size)
        if self.mlp_post_norm is not None:
            update = self.mlp_post_norm(update)
        out: Tensor = x + update
        return out


class RecurrentBlock(nn.Module):
    """Mamba or Hyena, then the MLP where the model has any, each added to the residual stream."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.sparse = config.has_experts(layer)
        self.mixer_norm = norm(config, config.hidden_size)
        self.mixer = build_mixer(config, layer)
        has_mlp = config.intermediate_size > 0 or self.sparse
        self.mlp_norm = norm(config, config.hidden_size) if has_mlp else None
        self.mlp = _mlp(config, layer) if has_mlp else None

    def forward(
        self,
        x: Tensor,
        turns: tuple[Rotation, Rotation] | None,  # noqa: ARG002
        past: Past,
        routes: Routes | None = None,
    ) -> Tensor:
        """(..., hidden_size) to the same; `turns` are for blocks that attend."""
        x = x + self.mixer(self.mixer_norm(x), past)
        if self.mlp is None or self.mlp_norm is None:
            return x
        inner = self.mlp_norm(x)
        out: Tensor = x + (self.mlp(inner, routes) if self.sparse else self.mlp(inner))
        return out


def _mlp(config: ModelConfig, layer: int) -> nn.Module:
    if config.has_experts(layer):
        return Experts(config, layer)
    return GatedMLP(config) if config.gated else PlainMLP(config)


class Attention(nn.Module):
    """Projects to heads, norms and rotates them, attends, projects back."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.layer = layer
        self.windowed = config.windows[layer] is not None
        self.project = QKV(config)
        self.q_norm = RMSNorm(config.head_dim, config.norm_eps) if config.qk_norm else None
        self.k_norm = RMSNorm(config.head_dim, config.norm_eps) if config.qk_norm else None
        width = config.heads * config.head_dim
        self.inner_norm = norm(config, width) if config.inner_norms else None
        self.output = linear(config, width, config.hidden_size, bias=config.output_bias)

    def forward(self, x: Tensor, turns: tuple[Rotation, Rotation] | None, attend: Attend) -> Tensor:
        """(..., hidden_size) to the same."""
        q, k, v = self.project(x)  # (..., heads, head_dim), (..., kv_heads, head_dim) twice
        if self.q_norm is not None and self.k_norm is not None:
            q, k = self.q_norm(q), self.k_norm(k)
        if turns is not None:
            turn = turns[self.windowed]
            q, k = rotate(q, turn), rotate(k, turn)
        mixed = attend(self.layer, q, k, v).flatten(-2)  # (..., heads * head_dim)
        if self.inner_norm is not None:
            mixed = self.inner_norm(mixed)
        out: Tensor = self.output(mixed)  # (..., hidden_size)
        return out


class QKV(nn.Module):
    """The three projections into heads; `adapt` may put one fused matrix in its place."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.head_dim = config.heads, config.kv_heads, config.head_dim
        width, kv_width = self.heads * self.head_dim, self.kv_heads * self.head_dim
        self.q = linear(config, config.hidden_size, width, bias=config.qkv_bias)
        self.k = linear(config, config.hidden_size, kv_width, bias=config.qkv_bias)
        self.v = linear(config, config.hidden_size, kv_width, bias=config.qkv_bias)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(..., hidden_size) to q (..., heads, head_dim), k and v (..., kv_heads, head_dim)."""
        q = self.q(x).unflatten(-1, (self.heads, self.head_dim))
        k = self.k(x).unflatten(-1, (self.kv_heads, self.head_dim))
        v = self.v(x).unflatten(-1, (self.kv_heads, self.head_dim))
        return q, k, v
