"""The decoder: token ids to hidden vectors to logits. Read it from top to bottom.

GPT-2, Llama, Mistral, Qwen 2 and 3, Gemma 2 and 3 are this one model under different
configurations. Leading dimensions `...` are free: (batch, seq) in training, (tokens,) in the
engine, which packs many sequences into one row and lets `attend` keep them apart.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kataribe.base.errors import ArchitectureError
from kataribe.make.model.attention import Attend
from kataribe.make.model.config import ModelConfig
from kataribe.make.model.layers import LayerNorm, RMSNorm, activate, norm
from kataribe.make.model.rope import Rotation, depends_on_length, rotate, rotation

__all__ = [
    "QKV", "Attention", "Block", "Decoder", "GateUp", "GatedMLP", "LayerNorm", "PlainMLP",
    "RMSNorm", "activate", "norm",
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
        self.blocks = nn.ModuleList(Block(config, layer) for layer in range(config.layers))
        self.norm = norm(config, config.hidden_size)
        self.head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.tie()

    def tie(self) -> None:
        """Makes the head use the embedding's matrix, where the configuration says so."""
        if self.config.tied:
            self.head.weight = self.embed.weight

    def forward(self, ids: Tensor, positions: Tensor, attend: Attend) -> Tensor:
        """Hidden vectors (..., hidden_size) after the final norm.

        `ids` and `positions` are int64 (...); a position counts from 0 within its own sequence.
        """
        x = self.embed(ids)  # (..., hidden_size)
        if self.config.embedding_scale != 1.0:
            x = x * torch.tensor(self.config.embedding_scale, dtype=x.dtype, device=x.device)
        if self.positions is not None:
            x = x + self.positions(positions)
        turns = self._rotations(positions, x.dtype)
        for block in self.blocks:
            x = block(x, turns, attend)
        hidden: Tensor = self.norm(x)
        return hidden

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
        if config.mixers[layer] != "attention":
            raise ArchitectureError(f"Layers of {config.mixers[layer]} are not built.")
        self.attention_norm = norm(config, config.hidden_size)
        self.attention = Attention(config, layer)
        self.attention_post_norm = norm(config, config.hidden_size) if config.post_norms else None
        self.mlp_norm = norm(config, config.hidden_size)
        self.mlp = GatedMLP(config) if config.gated else PlainMLP(config)
        self.mlp_post_norm = norm(config, config.hidden_size) if config.post_norms else None

    def forward(self, x: Tensor, turns: tuple[Rotation, Rotation] | None, attend: Attend) -> Tensor:
        """(..., hidden_size) to the same."""
        update = self.attention(self.attention_norm(x), turns, attend)  # (..., hidden_size)
        if self.attention_post_norm is not None:
            update = self.attention_post_norm(update)
        x = x + update
        update = self.mlp(self.mlp_norm(x))  # (..., hidden_size)
        if self.mlp_post_norm is not None:
            update = self.mlp_post_norm(update)
        out: Tensor = x + update
        return out


class Attention(nn.Module):
    """Projects to heads, norms and rotates them, attends, projects back."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.layer = layer
        self.windowed = config.windows[layer] is not None
        self.project = QKV(config)
        self.q_norm = RMSNorm(config.head_dim, config.norm_eps) if config.qk_norm else None
        self.k_norm = RMSNorm(config.head_dim, config.norm_eps) if config.qk_norm else None
        self.output = nn.Linear(
            config.heads * config.head_dim, config.hidden_size, bias=config.output_bias
        )

    def forward(self, x: Tensor, turns: tuple[Rotation, Rotation] | None, attend: Attend) -> Tensor:
        """(..., hidden_size) to the same."""
        q, k, v = self.project(x)  # (..., heads, head_dim), (..., kv_heads, head_dim) twice
        if self.q_norm is not None and self.k_norm is not None:
            q, k = self.q_norm(q), self.k_norm(k)
        if turns is not None:
            turn = turns[self.windowed]
            q, k = rotate(q, turn), rotate(k, turn)
        mixed = attend(self.layer, q, k, v)  # (..., heads, head_dim)
        out: Tensor = self.output(mixed.flatten(-2))  # (..., hidden_size)
        return out


class QKV(nn.Module):
    """The three projections into heads; `adapt` may put one fused matrix in its place."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.head_dim = config.heads, config.kv_heads, config.head_dim
        width, kv_width = self.heads * self.head_dim, self.kv_heads * self.head_dim
        self.q = nn.Linear(config.hidden_size, width, bias=config.qkv_bias)
        self.k = nn.Linear(config.hidden_size, kv_width, bias=config.qkv_bias)
        self.v = nn.Linear(config.hidden_size, kv_width, bias=config.qkv_bias)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(..., hidden_size) to q (..., heads, head_dim), k and v (..., kv_heads, head_dim)."""
        q = self.q(x).unflatten(-1, (self.heads, self.head_dim))
        k = self.k(x).unflatten(-1, (self.kv_heads, self.head_dim))
        v = self.v(x).unflatten(-1, (self.kv_heads, self.head_dim))
        return q, k, v


class GatedMLP(nn.Module):
    """down(activation(gate(x)) * up(x))."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.activation = config.activation
        self.gate_up = GateUp(config)
        self.down = nn.Linear(config.intermediate_size, config.hidden_size, bias=config.mlp_bias)

    def forward(self, x: Tensor) -> Tensor:
        """(..., hidden_size) to the same."""
        gate, up = self.gate_up(x)  # (..., intermediate_size) twice
        out: Tensor = self.down(activate(self.activation, gate) * up)
        return out


class GateUp(nn.Module):
    """The two projections of a gated MLP; `adapt` may put one fused matrix in its place."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.gate = nn.Linear(config.hidden_size, config.intermediate_size, bias=config.mlp_bias)
        self.up = nn.Linear(config.hidden_size, config.intermediate_size, bias=config.mlp_bias)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(..., hidden_size) to (..., intermediate_size) twice."""
        return self.gate(x), self.up(x)


class PlainMLP(nn.Module):
    """down(activation(up(x)))."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.activation = config.activation
        self.up = nn.Linear(config.hidden_size, config.intermediate_size, bias=config.mlp_bias)
        self.down = nn.Linear(config.intermediate_size, config.hidden_size, bias=config.mlp_bias)

    def forward(self, x: Tensor) -> Tensor:
        """(..., hidden_size) to the same."""
        out: Tensor = self.down(activate(self.activation, self.up(x)))
        return out
