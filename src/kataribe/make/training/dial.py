"""One dial: a size or a time chooses everything else, and says what to expect of it.

Shapes are Llama's (norms before, gated MLP, rotary positions) with normed queries and keys
(`qwen3`): they let the learning rate be larger and are opened by `transformers` and llama.cpp.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from kataribe.base.errors import InputError
from kataribe.make.model.configs.config import ModelConfig, RopeConfig
from kataribe.make.model.configs.counting import flops_per_token, parameter_count
from kataribe.make.training.scaling import effective

HEAD = 64
DEPTH = 48
"""Width for each layer: what published models of this size have, between 32 and 64."""
TOKENS_PER_PARAMETER = 20
"""Where time is no concern (Hoffmann et al. 2022)."""
SMALLEST, LARGEST = 1, 64
"""Steps of width: multiples of 64."""


@dataclass(frozen=True)
class Choice:
    """What the dial chose.

    Attributes:
        model: The model's configuration.
        tokens: To learn from in all.
        batch_tokens: To learn from in one step.
        learning_rate: Largest.
        warmup: Steps.
    """

    model: ModelConfig
    tokens: int
    batch_tokens: int
    learning_rate: float
    warmup: int

    @property
    def steps(self) -> int:
        """Changes of the weights."""
        return max(1, self.tokens // self.batch_tokens)


@dataclass(frozen=True)
class Given:
    """What is settled before the dial is turned.

    Attributes:
        vocab_size: The tokenizer's.
        context: Tokens of a row.
        layers: None for the dial's choice.
        width: None for the dial's choice; a multiple of 64.
        tied: Whether the head is the embedding; None ties where the embedding would be a third
            of the parameters or more.
    """

    vocab_size: int
    context: int
    layers: int | None = None
    width: int | None = None
    tied: bool | None = None

    def __post_init__(self) -> None:
        if self.width is not None and (self.width < HEAD or self.width % HEAD):
            raise InputError(
                f"width is {self.width}; it must be a multiple of {HEAD}, the size of a head.",
                param="width",
            )
        if self.layers is not None and not 1 <= self.layers <= 512:
            raise InputError(f"layers is {self.layers}; take 1 to 512.", param="layers")


def shape(given: Given, width: int, layers: int | None = None) -> ModelConfig:
    """The model of a width: about a layer for 48 of it, an MLP 8/3 as wide in multiples of 64."""
    layers = given.layers or layers or usual_depth(width)
    heads = width // HEAD
    inner = max(HEAD, round(width * 8 / 3 / HEAD) * HEAD)

    def config(*, tied: bool) -> ModelConfig:
        return ModelConfig(
            family="qwen3", vocab_size=given.vocab_size, hidden_size=width, layers=layers,
            heads=heads, kv_heads=heads, head_dim=HEAD, intermediate_size=inner,
            context_length=given.context, windows=(None,) * layers, rope=RopeConfig(10_000.0),
            qk_norm=True, query_scalar=float(HEAD), tied=tied,
        )  # fmt: skip

    if given.tied is not None:
        return config(tied=given.tied)
    apart = config(tied=False)
    return config(tied=True) if width * given.vocab_size * 3 > parameter_count(apart) else apart


def usual_depth(width: int) -> int:
    """Layers of a model of a width."""
    return max(2, round(width / DEPTH))


def shapes_of_all_sizes(given: Given) -> list[ModelConfig]:
    """Every model that the dial can choose, from small to large."""
    widths = [given.width] if given.width else [HEAD * each for each in range(SMALLEST, LARGEST)]
    return [shape(given, width) for width in widths]


def by_size(given: Given, parameters: int, tokens: int | None = None) -> Choice:
    """The model nearest to so many parameters, and 20 tokens for each."""
    if parameters < 1000:
        raise InputError(f"size is {parameters} parameters; take 100K or more.", param="size")
    near = [
        shape(given, usual.hidden_size, layers)
        for usual in shapes_of_all_sizes(given)
        for layers in _depths(given, usual.layers)
    ]

    def distance(config: ModelConfig) -> float:
        off = math.log(parameter_count(config) / parameters)
        bent = math.log(config.layers / usual_depth(config.hidden_size))
        return abs(off) + abs(bent) / 10

    found = min(near, key=distance)
    return choose(found, tokens or TOKENS_PER_PARAMETER * parameter_count(found))


def _depths(given: Given, usual: int) -> Sequence[int]:
    """A third fewer layers than usual to half as many more."""
    return [given.layers] if given.layers else range(max(2, usual * 2 // 3), usual * 3 // 2 + 1)


def by_time(given: Given, seconds: float, flops: float, *, unique: int) -> Choice:
    """The model that is best after so many seconds at `flops` per second.

    `unique` is how many tokens the data have: seeing them again is worth less and less
    (Muennighoff et al. 2023), which is counted.
    """
    best: tuple[float, Choice] | None = None
    for config in shapes_of_all_sizes(given):
        tokens = int(seconds * flops / training_flops(config, given.context))
        if tokens < 2 * given.context:
            continue
        loss = balance(parameter_count(config), effective(tokens, unique))
        if best is None or loss < best[0]:
            best = loss, choose(config, tokens)
    if best is None:
        raise InputError(
            f"{seconds:.0f} seconds are too short to train any model here; take more minutes.",
            param="minutes",
        )
    return best[1]


def balance(parameters: float, tokens: float) -> float:
    """What smallness and few tokens cost beside each other (Hoffmann et al. 2022, approach 3).

    Sizes are compared by it alone. Its level is that of English web text and means nothing for
    others, which `scaling` predicts; but that law was fitted where models see few tokens for each
    parameter, and would take the smallest for any time.
    """
    return float(406.4 / parameters**0.34 + 410.7 / tokens**0.28)


def choose(config: ModelConfig, tokens: int, context: int | None = None) -> Choice:
    """Batch, learning rate and warm-up for a model and a number of tokens.

    Batches grow with the square root of the tokens: the larger the run, the less noise it
    wants, and Muon bears larger ones than AdamW. Learning rates fall with width.
    """
    context = context or config.context_length
    wanted = 2 ** round(math.log2(max(1.0, 4.0 * math.sqrt(tokens))))
    batch = max(context, min(wanted, 1 << 19, max(context, tokens // 50)) // context * context)
    rate = min(2e-2, 6e-3 * math.sqrt(384 / config.hidden_size))
    steps = max(1, tokens // batch)
    return Choice(config, tokens, batch, round(rate, 6), max(1, min(200, steps // 20)))


def training_flops(config: ModelConfig, context: int) -> int:
    """Operations for learning from one token: forward, and twice that on the way back."""
    return 3 * flops_per_token(config, context // 2)


def parse_size(text: str) -> int:
    """`10M` as 10,000,000; `InputError` for anything else."""
    units = {"K": 10**3, "M": 10**6, "B": 10**9}
    head, unit = (text[:-1], text[-1:].upper()) if text[-1:].isalpha() else (text, "")
    try:
        value = float(head) * units.get(unit, 1 if not unit else 0)
    except ValueError:
        value = 0.0
    if not 1000 <= value <= 10**12:
        raise InputError(f"{text!r} is no size; say parameters as 500K, 10M or 1.5B.", param="size")
    return round(value)
