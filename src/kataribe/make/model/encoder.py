"""The encoder: token ids to a vector for each token, and the heads on top. Read from the top.

BERT, RoBERTa, XLM-RoBERTa and DistilBERT are this one model under different configurations.
Leading dimensions `...` are free: (batch, seq) for padded batches, (tokens,) for many texts packed
into one row, which an `attend` keeps apart.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from kataribe.base.errors import UnsupportedError
from kataribe.make.model.configs.encoder_config import EncoderConfig, HeadActivation
from kataribe.make.model.layers.attention import Attend

SHORT = 256
"""Tokens of a text up to which a processor attends by plain products. With heads of 32 values the
fused kernel took 1.5 to 1.7 times as long for 16 to 100 tokens, 1.2 for 250 and 0.8 for 500."""


class Encoder(nn.Module):
    """Embeddings, blocks and one head; `forward` gives vectors, the other methods what a head says.

    Parameters are listed in `encoder_shapes`; what a configuration lacks is None here.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        hidden = config.hidden_size
        self.config = config
        self.embed = nn.Embedding(config.vocab_size, hidden)
        self.positions = nn.Embedding(config.position_rows, hidden)
        self.types = nn.Embedding(config.token_types, hidden) if config.token_types else None
        self.embed_norm = nn.LayerNorm(hidden, config.norm_eps)
        self.blocks = nn.ModuleList(EncoderBlock(config, layer) for layer in range(config.layers))
        self.pooler = nn.Linear(hidden, hidden) if config.pooler else None
        masked = config.head == "masked"
        self.transform = nn.Linear(hidden, hidden) if masked else None
        self.transform_norm = nn.LayerNorm(hidden, config.norm_eps) if masked else None
        rows = config.vocab_size if masked else len(config.labels)
        self.head = nn.Linear(hidden, rows) if rows else None
        self.tie()

    def tie(self) -> None:
        """Makes the masked head use the embedding's matrix, where the configuration says so."""
        if self.head is not None and self.config.head == "masked" and self.config.tied:
            self.head.weight = self.embed.weight

    def forward(
        self, ids: Tensor, positions: Tensor, attend: Attend, types: Tensor | None = None
    ) -> Tensor:
        """Vectors (..., hidden_size).

        `ids`, `positions` and `types` are int64 (...); a position counts from 0 within its own
        text, without padding; `types` None stands for type 0 everywhere.
        """
        x = self.embed(ids) + self.positions(positions + self.config.position_offset)
        if self.types is not None:
            x = x + (self.types.weight[0] if types is None else self.types(types))
        elif types is not None and bool((types != 0).any()):
            raise UnsupportedError(f"A {self.config.family} model knows no token types.")
        x = self.embed_norm(x)  # (..., hidden_size)
        for block in self.blocks:
            x = block(x, attend)
        hidden: Tensor = x
        return hidden

    def pooled(self, first: Tensor) -> Tensor:
        """(texts, hidden_size) from the vectors of each text's first token: dense, nonlinearity."""
        if self.pooler is None:
            raise UnsupportedError("This model has no pooler; take the mean or the first vector.")
        return bend(self.config.head_activation, self.pooler(first))

    def logits(self, hidden: Tensor) -> Tensor:
        """float32 logits of the head.

        `masked` and `tag`: (..., vocabulary or labels) from vectors (..., hidden_size) of tokens.
        `classify`: (texts, labels) from (texts, hidden_size), the vectors of first tokens.
        """
        if self.head is None:
            raise UnsupportedError("This model has no head; it makes vectors only.")
        if self.config.head == "classify":
            hidden = self.pooled(hidden)
        if self.transform is not None and self.transform_norm is not None:
            bent = bend(self.config.head_activation, self.transform(hidden))
            hidden = self.transform_norm(bent)
        logits: Tensor = self.head(hidden)
        return logits.float()


class EncoderBlock(nn.Module):
    """Attention, then the MLP; each is added to the stream, and the sum is normed."""

    def __init__(self, config: EncoderConfig, layer: int) -> None:
        super().__init__()
        hidden = config.hidden_size
        self.attention = EncoderAttention(config, layer)
        self.attention_norm = nn.LayerNorm(hidden, config.norm_eps)
        self.up = nn.Linear(hidden, config.intermediate_size)
        self.down = nn.Linear(config.intermediate_size, hidden)
        self.mlp_norm = nn.LayerNorm(hidden, config.norm_eps)
        self.activation: HeadActivation = config.activation

    def forward(self, x: Tensor, attend: Attend) -> Tensor:
        """(..., hidden_size) to the same."""
        x = self.attention_norm(x + self.attention(x, attend))
        out: Tensor = self.mlp_norm(x + self.down(bend(self.activation, self.up(x))))
        return out


class EncoderAttention(nn.Module):
    """Projects to heads, attends, projects back."""

    def __init__(self, config: EncoderConfig, layer: int) -> None:
        super().__init__()
        self.layer, self.heads = layer, config.heads
        self.q = nn.Linear(config.hidden_size, config.hidden_size)
        self.k = nn.Linear(config.hidden_size, config.hidden_size)
        self.v = nn.Linear(config.hidden_size, config.hidden_size)
        self.output = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, x: Tensor, attend: Attend) -> Tensor:
        """(..., hidden_size) to the same."""
        split = (self.heads, -1)
        mixed = attend(
            self.layer,
            self.q(x).unflatten(-1, split),  # (..., heads, head_dim), as the other two
            self.k(x).unflatten(-1, split),
            self.v(x).unflatten(-1, split),
        )
        out: Tensor = self.output(mixed.flatten(-2))  # (..., hidden_size)
        return out


class FullAttend:
    """Every token of a row sees every real token of it; q, k, v are (batch, seq, heads, head_dim).

    Args:
        config: The model's.
        mask: (batch, seq), true where a token is real and false where it is padding, left or
            right; None where all are real. Outputs at padding are finite and mean nothing.
    """

    def __init__(self, config: EncoderConfig, mask: Tensor | None = None) -> None:
        self._scale = config.head_dim**-0.5
        self._visible: Tensor | None = None
        if mask is not None and not bool(mask.all()):
            # A row of padding alone sees all: a row that sees nothing would be NaN.
            real = mask.bool()
            self._visible = (real | ~real.any(dim=1, keepdim=True))[:, None, None, :]

    def __call__(self, _layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """See `Attend`."""
        out = functional.scaled_dot_product_attention(
            q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), self._visible,
            scale=self._scale,
        )  # fmt: skip
        return out.transpose(1, 2)


class PackedAttend:
    """Texts one behind the other in one row, each seeing itself only: no padding, no waste.

    q, k, v are (tokens, heads, head_dim). Neighbours of equal length are attended to in one call.

    Args:
        config: The model's.
        lengths: Tokens of each text, in their order in the row.
    """

    def __init__(self, config: EncoderConfig, lengths: Sequence[int]) -> None:
        self._scale = config.head_dim**-0.5
        self._runs: list[tuple[int, int]] = []  # (texts, tokens of each)
        for length in lengths:
            if self._runs and self._runs[-1][1] == length:
                self._runs[-1] = (self._runs[-1][0] + 1, length)
            else:
                self._runs.append((1, length))

    def __call__(self, _layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """See `Attend`."""
        out = torch.empty_like(q)
        start = 0
        for texts, length in self._runs:
            end = start + texts * length
            shape = (texts, length, *q.shape[1:])
            mixed = self._mix(
                q[start:end].view(shape).transpose(1, 2),
                k[start:end].view(shape).transpose(1, 2),
                v[start:end].view(shape).transpose(1, 2),
            )
            out[start:end] = mixed.transpose(1, 2).reshape(-1, *q.shape[1:])
            start = end
        return out

    def _mix(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """(texts, heads, length, head_dim) of each."""
        if q.shape[2] > SHORT or q.device.type != "cpu":
            return functional.scaled_dot_product_attention(q, k, v, scale=self._scale)
        weights = ((q * self._scale) @ k.transpose(2, 3)).softmax(dim=-1)
        mixed: Tensor = weights @ v
        return mixed


def bend(activation: HeadActivation, x: Tensor) -> Tensor:
    """The nonlinearity of that name."""
    match activation:
        case "gelu":
            return functional.gelu(x)
        case "gelu_tanh":  # Hendrycks and Gimpel 2016
            return functional.gelu(x, approximate="tanh")
        case "relu":
            return functional.relu(x)
        case "silu":
            return functional.silu(x)
        case "tanh":
            return torch.tanh(x)
