"""The encoder-decoder: source ids to memory, memory and target ids to logits.

T5, mT5, BART, mBART, Pegasus and Marian are this one model under different configurations. The
decoder hands queries, keys and values to an `AttendBoth`, which owns its past and the source; so
leading dimensions `...` of the decoder are free, as in `Decoder`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from kataribe.make.model.configs.config import Activation
from kataribe.make.model.configs.encoder_decoder_config import EncoderDecoderConfig, StackConfig
from kataribe.make.model.decoder import LayerNorm, RMSNorm, activate
from kataribe.make.model.layers.source_attention import (
    AttendBoth,
    SourceAttend,
    TargetAttend,
    bucket,
    sinusoids,
)

IGNORED = -100
"""Target where nothing is taught."""


@dataclass(frozen=True, eq=False)
class Packed:
    """Rows in which several texts stand side by side; all are (batch, seq).

    Attributes:
        ids: Token ids, int64.
        positions: int64, counting from 0 in each text.
        documents: The number of each token's text; a target's is that of its source. Padding has
            a number of its own.
    """

    ids: Tensor
    positions: Tensor
    documents: Tensor


class EncoderDecoder(nn.Module):
    """Two stacks over one embedding, and a head."""

    def __init__(self, config: EncoderDecoderConfig) -> None:
        super().__init__()
        self.config = config
        self.embed = nn.Embedding(config.vocab_size, config.hidden_size)
        self.encoder = SourceStack(config)
        self.decoder = TargetStack(config)
        self.head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.logits_bias: Tensor | None
        # Published files hold zeros there and training leaves it: not a parameter.
        self.register_buffer(
            "logits_bias", torch.zeros(config.vocab_size) if config.logits_bias else None
        )
        self.tie()

    def tie(self) -> None:
        """Makes the head use the embedding's matrix, where the configuration says so."""
        if self.config.tied:
            self.head.weight = self.embed.weight

    def forward(self, source: Tensor, target: Tensor, source_mask: Tensor | None = None) -> Tensor:
        """Logits (batch, target, vocab_size) float32 for teaching: row t predicts `target[:, t]`.

        Args:
            source: int64 (batch, source).
            target: int64 (batch, target), `IGNORED` where nothing is taught; the decoder is given
                the same shifted right.
            source_mask: (batch, source), true where a source token is real; None where all are.
        """
        memory = self.encode(source, source_mask)
        attend = TargetAttend(self.config, self.look_at(memory), source_mask)
        return self.logits(self.decode(self.shift_right(target), None, attend))

    def taught(self, source: Packed, target: Packed) -> Tensor:
        """What the head reads, (batch, target, hidden_size), of rows that hold several pairs.

        `target.ids` are what the decoder is given, shifted already. The logits are the product
        with `head.weight`, and `logits_bias` where there is one.
        """
        reading = SourceAttend(self.config, documents=source.documents)
        memory = self.encoder(self._embedded(source.ids), source.positions, reading)
        documents = (source.documents, target.documents)
        attend = TargetAttend(self.config, self.look_at(memory), documents=documents)
        return self._scaled(self.decode(target.ids, target.positions, attend))

    def shift_right(self, target: Tensor) -> Tensor:
        """The decoder's input for a target (batch, target): start first, each token one later."""
        shifted = target.new_full(target.shape, self.config.start_id)
        shifted[:, 1:] = target[:, :-1]
        return shifted.masked_fill(shifted == IGNORED, self.config.pad_id)

    def encode(self, source: Tensor, mask: Tensor | None = None) -> Tensor:
        """Memory (batch, source, hidden_size) of source ids (batch, source).

        `mask` (batch, source) is true where a token is real; what stands at others means nothing.
        """
        attend = SourceAttend(self.config, mask)
        positions = torch.arange(source.shape[1], device=source.device)
        memory: Tensor = self.encoder(self._embedded(source), positions, attend)
        return memory

    def look_at(self, memory: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Keys and values (..., heads, head_dim) of a memory, for each layer of the decoder.

        They are all that the decoder ever wants of a source.
        """
        return [block.cross.keys_values(memory) for block in self.decoder.stack()]

    def decode(self, ids: Tensor, positions: Tensor | None, attend: AttendBoth) -> Tensor:
        """Hidden vectors (..., hidden_size) of target ids (...), the start token being the first.

        `positions` int64 (...) count from 0 at the start token; None counts along the last
        dimension.
        """
        if positions is None:
            positions = torch.arange(ids.shape[-1], device=ids.device)
        hidden: Tensor = self.decoder(self._embedded(ids), positions, attend)
        return hidden

    def logits(self, hidden: Tensor) -> Tensor:
        """float32 (..., vocab_size) from the decoder's hidden vectors (..., hidden_size)."""
        logits: Tensor = self.head(self._scaled(hidden)).float()
        return logits if self.logits_bias is None else logits + self.logits_bias

    def _scaled(self, hidden: Tensor) -> Tensor:
        scale = self.config.output_scale
        return hidden if scale == 1.0 else hidden * scale

    def _embedded(self, ids: Tensor) -> Tensor:
        x: Tensor = self.embed(ids)
        return x if self.config.embedding_scale == 1.0 else x * self.config.embedding_scale


class _Stack(nn.Module):
    """What both stacks begin and end with."""

    def __init__(self, config: EncoderDecoderConfig, length: int) -> None:
        super().__init__()
        self.config = config
        self.positions = (
            nn.Embedding(length + config.position_offset, config.hidden_size)
            if config.positions == "learned"
            else None
        )
        self.embedding_norm = norm(config) if config.embedding_norm else None

    def begin(self, x: Tensor, positions: Tensor) -> Tensor:
        """Embeddings (..., hidden_size) with their positions (...) added."""
        if self.positions is not None:
            x = x + self.positions(positions + self.config.position_offset)
        elif self.config.positions == "sinusoidal":
            x = x + sinusoids(positions, self.config.hidden_size, x.dtype)
        return x if self.embedding_norm is None else self.embedding_norm(x)


class SourceStack(_Stack):
    """The encoder."""

    def __init__(self, config: EncoderDecoderConfig) -> None:
        super().__init__(config, config.source_length)
        self.relative = (
            Relative(config, config.encoder, both_ways=True)
            if config.positions == "relative"
            else None
        )
        self.blocks = nn.ModuleList(SourceBlock(config) for _ in range(config.encoder.layers))
        self.norm = norm(config) if config.final_norm else None

    def forward(self, x: Tensor, positions: Tensor, attend: SourceAttend) -> Tensor:
        """(batch, source, hidden_size) to the same."""
        x = self.begin(x, positions)
        attend.begin(x, self.relative)
        for block in self.blocks:
            x = block(x, attend)
        return x if self.norm is None else self.norm(x)


class TargetStack(_Stack):
    """The decoder."""

    def __init__(self, config: EncoderDecoderConfig) -> None:
        super().__init__(config, config.target_length)
        self.relative = (
            Relative(config, config.decoder, both_ways=False)
            if config.positions == "relative"
            else None
        )
        self.blocks = nn.ModuleList(TargetBlock(config, at) for at in range(config.decoder.layers))
        self.norm = norm(config) if config.final_norm else None

    def stack(self) -> list[TargetBlock]:
        """The blocks in order."""
        return [block for block in self.blocks if isinstance(block, TargetBlock)]

    def forward(self, x: Tensor, positions: Tensor, attend: AttendBoth) -> Tensor:
        """(..., hidden_size) to the same."""
        x = self.begin(x, positions)
        attend.begin(x, self.relative)
        for block in self.blocks:
            x = block(x, attend)
        return x if self.norm is None else self.norm(x)


class SourceBlock(nn.Module):
    """Attention both ways, then the MLP."""

    def __init__(self, config: EncoderDecoderConfig) -> None:
        super().__init__()
        self.norm_first = config.norm_first
        self.attention_norm = norm(config)
        self.attention = Projections(config, config.encoder)
        self.mlp_norm = norm(config)
        self.mlp = MLP(config, config.encoder)

    def forward(self, x: Tensor, attend: SourceAttend) -> Tensor:
        """(batch, source, hidden_size) to the same."""
        read = self.attention_norm(x) if self.norm_first else x
        keys, values = self.attention.keys_values(read)
        mixed = attend(self.attention.queries(read), keys, values)
        x = _added(x, self.attention.out(mixed), self.attention_norm, self.norm_first)
        read = self.mlp_norm(x) if self.norm_first else x
        return _added(x, self.mlp(read), self.mlp_norm, self.norm_first)


class TargetBlock(nn.Module):
    """Attention to what was written, attention to the source, then the MLP."""

    def __init__(self, config: EncoderDecoderConfig, layer: int) -> None:
        super().__init__()
        self.layer = layer
        self.norm_first = config.norm_first
        self.attention_norm = norm(config)
        self.attention = Projections(config, config.decoder)
        self.cross_norm = norm(config)
        self.cross = Projections(config, config.decoder)
        self.mlp_norm = norm(config)
        self.mlp = MLP(config, config.decoder)

    def forward(self, x: Tensor, attend: AttendBoth) -> Tensor:
        """(..., hidden_size) to the same."""
        read = self.attention_norm(x) if self.norm_first else x
        keys, values = self.attention.keys_values(read)
        mixed = attend.own(self.layer, self.attention.queries(read), keys, values)
        x = _added(x, self.attention.out(mixed), self.attention_norm, self.norm_first)
        read = self.cross_norm(x) if self.norm_first else x
        mixed = attend.source(self.layer, self.cross.queries(read))
        x = _added(x, self.cross.out(mixed), self.cross_norm, self.norm_first)
        read = self.mlp_norm(x) if self.norm_first else x
        return _added(x, self.mlp(read), self.mlp_norm, self.norm_first)


def _added(x: Tensor, update: Tensor, after: nn.Module, norm_first: bool) -> Tensor:
    x = x + update
    out: Tensor = x if norm_first else after(x)
    return out


class Projections(nn.Module):
    """An attention's four matrices; who asks and who is looked at may be of different streams."""

    def __init__(self, config: EncoderDecoderConfig, stack: StackConfig) -> None:
        super().__init__()
        self.heads, self.head_dim = stack.heads, stack.head_dim
        self.q = nn.Linear(config.hidden_size, stack.width, bias=config.bias)
        self.k = nn.Linear(config.hidden_size, stack.width, bias=config.bias)
        self.v = nn.Linear(config.hidden_size, stack.width, bias=config.bias)
        self.output = nn.Linear(stack.width, config.hidden_size, bias=config.bias)

    def queries(self, x: Tensor) -> Tensor:
        """(..., hidden_size) to (..., heads, head_dim)."""
        q: Tensor = self.q(x).unflatten(-1, (self.heads, self.head_dim))
        return q

    def keys_values(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(..., hidden_size) to (..., heads, head_dim) twice."""
        k, v = self.k(x), self.v(x)
        shape = (self.heads, self.head_dim)
        return k.unflatten(-1, shape), v.unflatten(-1, shape)

    def out(self, mixed: Tensor) -> Tensor:
        """(..., heads, head_dim) to (..., hidden_size)."""
        out: Tensor = self.output(mixed.flatten(-2))
        return out


class MLP(nn.Module):
    """down(activation(up(x))), or down(activation(gate(x)) * up(x)) (Shazeer 2020)."""

    def __init__(self, config: EncoderDecoderConfig, stack: StackConfig) -> None:
        super().__init__()
        self.activation: Activation = config.activation
        hidden, inner = config.hidden_size, stack.intermediate_size
        self.gate = nn.Linear(hidden, inner, bias=config.bias) if config.gated else None
        self.up = nn.Linear(hidden, inner, bias=config.bias)
        self.down = nn.Linear(inner, hidden, bias=config.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(..., hidden_size) to the same."""
        up: Tensor = self.up(x)
        if self.gate is None:
            up = activate(self.activation, up)
        else:
            up = activate(self.activation, self.gate(x)) * up
        out: Tensor = self.down(up)
        return out


class Relative(nn.Module):
    """Scores by distance, one number per bucket and head; the first block's in files, shared."""

    def __init__(
        self, config: EncoderDecoderConfig, stack: StackConfig, *, both_ways: bool
    ) -> None:
        super().__init__()
        self.buckets, self.distance = config.relative_buckets, config.relative_distance
        self.both_ways = both_ways
        self.weight = nn.Parameter(torch.zeros(config.relative_buckets, stack.heads))

    def forward(self, distances: Tensor) -> Tensor:
        """(heads, ...) to be added to scores, for int64 distances (...): key less query."""
        rows = bucket(distances, self.buckets, self.distance, both_ways=self.both_ways)
        return self.weight[rows].movedim(-1, 0)


def norm(config: EncoderDecoderConfig) -> nn.Module:
    """The model's kind of norm."""
    return (RMSNorm if config.norm == "rms" else LayerNorm)(config.hidden_size, config.norm_eps)
