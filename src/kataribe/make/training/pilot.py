"""A pilot: a small model that learns from the text for a short while, before a long run is planned.

What the law cannot know of a text, this says: how far a network comes with it where counting
n-grams comes so far.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from torch import Tensor

from kataribe.make.model.configs.config import ModelConfig
from kataribe.make.model.configs.counting import parameter_count
from kataribe.make.tokens.stream_rows import StreamRows
from kataribe.make.tokens.token_data import TokenData
from kataribe.make.training.causal import causal_loss
from kataribe.make.training.checkpoints import Progress
from kataribe.make.training.config import LoopConfig
from kataribe.make.training.dial import Choice, Given, choose, shape, training_flops
from kataribe.make.training.earlier import Reached
from kataribe.make.training.fresh import fresh_decoder
from kataribe.make.training.loop import Training, train
from kataribe.make.training.optimisers import Optimisers
from kataribe.make.training.rows_objective import RowsData, RowsObjective
from kataribe.make.training.trainee import Trainee

SHARE = 0.03
"""Of the run's operations that a pilot takes; small models do fewer in a second, so that it is
some 5 % of the time."""
MOST_SHARE = 0.08
"""A run that could spare only more than this gets no pilot, and a wide interval."""
LEAST_TOKENS = 65_536
"""A pilot of half as many hardly knows more than how frequent tokens are: predictions from it were
off by up to 7 %, from 80,000 tokens by up to 2.5 %."""
MOST_FLOPS = 4e12
"""Of a pilot, however long the run: half a minute on two slow cores."""
LOOK_ROWS = 64
"""Rows of held-out text that a pilot is judged by, evenly spread."""


def pilot_choice(model: ModelConfig, tokens: int, context: int) -> Choice | None:
    """A model of half the width and its tokens; None for runs too short to spare a pilot."""
    width = max(64, model.hidden_size // 128 * 64)
    given = Given(model.vocab_size, context, tied=None if width < model.hidden_size else model.tied)
    small = shape(given, width)
    if parameter_count(small) > parameter_count(model):
        small = model
    flops = training_flops(small, context)
    affordable = min(SHARE * tokens * training_flops(model, context), MOST_FLOPS) / flops
    wanted = max(int(affordable), LEAST_TOKENS)
    if wanted * flops > MOST_SHARE * tokens * training_flops(model, context):
        return None
    return choose(small, wanted, context)


def fly(
    choice: Choice, model: ModelConfig, loop: LoopConfig, data: TokenData, bytes_per_token: float
) -> Reached:
    """Trains the pilot with the run's own optimiser, schedule and seed, and judges it.

    The same for the same data, settings and seed. Writes nothing. The learning rate is to the
    pilot's usual one as the run's is to that of its `model`. Of several processes only the first
    flies, and the others wait for the plan, so it asks nothing of them.
    """
    context = choice.model.context_length
    rows = max(1, min(choice.batch_tokens, len(data.tokens("train"))) // context)
    steps = max(1, choice.tokens // (rows * context))
    usual = choose(model, choice.tokens).learning_rate
    optimisation = dataclasses.replace(
        loop.optimisation,
        warmup=min(loop.optimisation.warmup, choice.warmup),
        learning_rate=loop.optimisation.learning_rate * choice.learning_rate / usual,
    )
    quiet = dataclasses.replace(
        loop.watching, eval_every=0, sample_every=0, checkpoint_every=0, log_every=steps
    )
    work = dataclasses.replace(loop.work, compile="off")
    config = dataclasses.replace(
        loop, steps=steps, batch_rows=rows, optimisation=optimisation, watching=quiet, work=work,
        seconds=None,
    )  # fmt: skip
    objective = RowsObjective(
        RowsData(
            StreamRows(data, "train", context), rows, loop.seed, StreamRows(data, "valid", context),
            eval_rows=LOOK_ROWS, bytes_per_token=bytes_per_token,
        ),
        causal_loss,
        "pilot",
    )  # fmt: skip
    trainee = Trainee(fresh_decoder(choice.model, loop.seed), causal_loss, config.work)
    optimiser = Optimisers(trainee.named, config.optimisation)
    record = _Last()
    training = Training(trainee, objective, optimiser, config, record, lambda: False)
    progress = train(training, Progress(), max(1, work.micro_tokens // context), alone=True)
    bits = record.figures["bits_per_byte"]
    return Reached(parameter_count(choice.model), progress.tokens, steps, bits)


class _Last:
    """A `Record` that keeps the latest figures alone."""

    def __init__(self) -> None:
        self.figures: dict[str, float] = {}

    def stepped(self, figures: Mapping[str, float]) -> None:
        """See `Record`."""
        self.figures |= figures

    def sample(self, step: int) -> None:
        """See `Record`."""

    def save(self, progress: Progress, optimiser: Mapping[str, Tensor]) -> None:
        """See `Record`."""
