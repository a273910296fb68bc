"""The models of the comparisons, as plain numbers that every program reads alike."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Shape:
    """A Llama-shaped decoder and the batch that it is trained with.

    Attributes:
        name: In the report.
        vocab_size: Rows of the embedding, which is also the head.
        hidden_size: Width.
        layers: Blocks.
        heads: Query heads, as many as key heads.
        intermediate_size: Width inside the gated MLP.
        seq: Tokens of a row.
        rows: Rows of a batch.
    """

    name: str
    vocab_size: int
    hidden_size: int
    layers: int
    heads: int
    intermediate_size: int
    seq: int
    rows: int

    @property
    def parameters(self) -> int:
        """Learned numbers; the tied head counts once."""
        block = 4 * self.hidden_size**2 + 3 * self.hidden_size * self.intermediate_size
        norms = (2 * self.layers + 1) * self.hidden_size
        return self.vocab_size * self.hidden_size + self.layers * block + norms

    @property
    def values(self) -> dict[str, int | str]:
        """As a program is told it."""
        return asdict(self)


SHAPES = {
    "tiny": Shape("tiny", 512, 64, 2, 1, 128, seq=64, rows=4),
    "10M": Shape("10M", 8192, 320, 6, 5, 864, seq=512, rows=16),
    "50M": Shape("50M", 16384, 576, 10, 9, 1536, seq=512, rows=16),
}
