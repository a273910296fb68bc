"""What is expected of a run, said before it starts and held against what came."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from kataribe.make.model.configs.config import ModelConfig
from kataribe.make.model.configs.counting import parameter_count
from kataribe.make.tokens.batches import Batches, Rows
from kataribe.make.tokens.stream_rows import StreamRows
from kataribe.make.tokens.token_data import TokenData
from kataribe.make.training.config import LoopConfig, Work
from kataribe.make.training.devices import check_room, held_now, taken
from kataribe.make.training.devices import choose as choose_device
from kataribe.make.training.dial import Choice, Given, shape, training_flops
from kataribe.make.training.earlier import Reached
from kataribe.make.training.machine import Cost, measure, settle, tokens_per_second
from kataribe.make.training.memory import check_memory, decoder_memory, held_bytes
from kataribe.make.training.overrides import Overrides, rows_to_look_at
from kataribe.make.training.pilot import LOOK_ROWS, fly, pilot_choice
from kataribe.make.training.rows_objective import FINAL_ROWS, FINAL_TIMES
from kataribe.make.training.scaling import LAW, Law, Point, Run
from kataribe.make.training.text_level import Look, TextLevel, text_level

Say = Callable[[str], None]

OVERHEAD = 1.05
"""Looks and checkpoints beside the steps, for kinds of runs that do not measure them."""
TRIED_PASSES = 8
"""Passes of a run's own that are tried: documents that end elsewhere take other memory."""
STEP_SECONDS = 0.004
"""Of each step beside its products: drawing rows, and writing figures where viewers read them."""
COMPARED = ("parameters", "tokens", "seconds", "memory_bytes", "bits_per_byte")


@dataclass(frozen=True, eq=False)
class Text:
    """What a run learns from, as far as a prediction asks.

    Attributes:
        data: The tokens.
        context: Tokens of a row.
        bytes_per_token: Of the held-out split; None where there is none to be judged by.
        prompts: How many prompts samples go on from.
        fresh: Whether the model begins with drawn weights; of others no law tells.
        earlier: Finished runs on the same tokens, made in the same way.
    """

    data: TokenData
    context: int
    bytes_per_token: float | None
    prompts: int = 0
    fresh: bool = True
    earlier: Sequence[Reached] = ()

    @property
    def unique(self) -> int:
        """Tokens that there are to learn from."""
        return len(self.data.tokens("train"))

    @property
    def held_rows(self) -> int:
        """Rows that a look can take."""
        if self.bytes_per_token is None:
            return 0
        return -(-len(self.data.tokens("valid")) // self.context)

    def level(self, tokens: int, look_rows: int) -> TextLevel | None:
        """How hard the held-out rows are after so many tokens; None without any."""
        if self.bytes_per_token is None:
            return None
        look = Look(look_rows, self.context)
        return text_level(self.data, self.bytes_per_token, tokens, look)


def quick_flops(given: Given, *, compiles: bool) -> float:
    """Operations per second that this machine trains at: one small model, some steps, uncompiled.

    Compiled blocks were 1.3 times as fast here, which is counted where they will be.
    """
    model = shape(dataclasses.replace(given, layers=4, width=256), 256)
    work = settle(Work(compile="off"), None)
    loop = LoopConfig(steps=1, batch_rows=max(1, 4096 // given.context), work=work)
    check_memory(decoder_memory(model, loop, given.context).total)
    speed = tokens_per_second(model, loop, given.context)
    return speed * training_flops(model, given.context) * (1.3 if compiles else 1.0)


def predict(
    choice: Choice,
    loop: LoopConfig,
    text: Text,
    *,
    seconds: float | None,
    say: Say,
    given: Overrides = MappingProxyType({}),
) -> tuple[dict[str, Any], LoopConfig]:
    """The prediction as plan.json keeps it, and the loop with its steps fitted to the time.

    Speed and memory are measured with the very model, settings and text; what is `given` is never
    changed.
    Raises `UnavailableError` where the memory is not there.
    """
    tokens = loop.steps * loop.batch_rows * text.context
    read = min(tokens, text.unique) * text.data.meta.dtype.itemsize
    memory = decoder_memory(choice.model, loop, text.context, held=held_bytes(), text=read)
    device = choose_device(loop.work.device)
    check_room(taken(memory, device), device)
    say("Measuring the speed of a step.")
    rows = StreamRows(text.data, "train", text.context)
    cost = measure(choice.model, loop, first_passes(rows, loop, text.context), text.data.path)
    if seconds is not None:
        loop = fitted(loop, cost, text, seconds, given)
        if loop.optimisation.schedule != "cosine":  # which has to know its last step
            loop = dataclasses.replace(loop, seconds=seconds - last_look(loop, cost, text))
    tokens = loop.steps * loop.batch_rows * text.context
    expected = expected_seconds(loop, cost, text)
    bits = _bits(choice.model, loop, text, say)  # a pilot leaves its traces in memory
    prediction = {
        "parameters": parameter_count(choice.model),
        "tokens": tokens,
        "seconds": round(expected, 1),
        "memory_bytes": cost.memory + held_now(device) + (read if device.type == "cpu" else 0),
        **bits,
        "tokens_per_second": round(tokens / (loop.steps * cost.step(loop.batch_rows)), 1),
        "epochs": round(tokens / text.unique, 3),
    }
    return prediction, loop


def first_passes(rows: Rows[Any], loop: LoopConfig, context: int) -> list[Any]:
    """Rows of the run's own, as many as a pass takes, of some passes.

    `context` is the tokens of a row.
    """
    size = max(1, min(loop.work.micro_tokens // context, loop.batch_rows))
    batches = Batches(len(rows), size, seed=loop.seed)
    return [batches.at(rows, number) for number in range(TRIED_PASSES)]


def expected_seconds(loop: LoopConfig, cost: Cost, text: Text) -> float:
    """Of a whole run on a text."""
    said = text.prompts * min(loop.watching.sample_tokens, text.context - 1)
    return seconds_of(loop, cost, held_rows=text.held_rows, said_tokens=said)


def seconds_of(loop: LoopConfig, cost: Cost, *, held_rows: int, said_tokens: int) -> float:
    """Steps, looks, samples and checkpoints, each as often as the loop does them.

    Args:
        loop: The loop's settings.
        cost: What each takes.
        held_rows: Rows that a look can take.
        said_tokens: Tokens of all prompts' samples, each time.
    """
    watching = loop.watching
    usual, more = _rows_of_looks(loop, held_rows)
    looked = _times(loop.steps, watching.eval_every) * usual + more
    said = _times(loop.steps, watching.sample_every) * said_tokens if watching.sample_every else 0
    # The clock stops before the last checkpoint is written.
    saves = _times(loop.steps, watching.checkpoint_every) - 1
    step = cost.step(loop.batch_rows) + STEP_SECONDS
    return loop.steps * step + looked * cost.looked + said * cost.said + saves * cost.saved


def last_look(loop: LoopConfig, cost: Cost, text: Text) -> float:
    """Seconds that the last look takes beyond what any takes."""
    return _rows_of_looks(loop, text.held_rows)[1] * cost.looked


def _rows_of_looks(loop: LoopConfig, held_rows: int) -> tuple[int, int]:
    """Rows of a look, and how many more the last one takes."""
    rows = loop.watching.eval_rows
    usual = min(held_rows, rows or held_rows)
    return usual, min(held_rows, final_rows(rows) or held_rows) - usual


def final_rows(rows: int) -> int:
    """Rows of the last look where others take `rows`; 0 stands for all."""
    return max(rows, min(FINAL_ROWS, FINAL_TIMES * rows))


def _times(steps: int, every: int) -> int:
    """How often something comes that comes every so many steps, and after the last."""
    return steps // every + (1 if steps % every else 0) if every else 1


def fitted(
    loop: LoopConfig, cost: Cost, text: Text, seconds: float, given: Overrides
) -> LoopConfig:
    """The loop with as many steps as the time has room for."""
    if "steps" in given:
        return loop
    for _ in range(4):  # looks depend on steps, and steps on what looks leave over
        step = cost.step(loop.batch_rows) + STEP_SECONDS
        beside = expected_seconds(loop, cost, text) - loop.steps * step
        loop = _shortened(loop, max(1, int((seconds - beside) / step)), given)
    return loop


def _bits(
    model: ModelConfig, loop: LoopConfig, text: Text, say: Say
) -> dict[str, float | str | None]:
    """What is expected of held-out text, with its interval, and by which law."""
    tokens = loop.steps * loop.batch_rows * text.context
    level = text.level(tokens, final_rows(loop.watching.eval_rows)) if text.fresh else None
    if level is None:
        why = "there is no held-out text" if text.fresh else "it goes on from a trained model"
        nothing = dict.fromkeys(("bits_per_byte", "bits_per_byte_low", "bits_per_byte_high"))
        return {**nothing, "law": f"none: {why}"}
    aim = Point(parameter_count(model), tokens, loop.steps)
    law = _moved(LAW, aim, model, loop, text, level, say)
    clueless = math.log2(model.vocab_size) / (text.bytes_per_token or 1)
    bits, low, high = law.interval(level, aim, clueless)
    return {
        "bits_per_byte": round(bits, 4),
        "bits_per_byte_low": round(low, 4),
        "bits_per_byte_high": round(high, 4),
        "law": law.source,
    }


def _moved(
    law: Law, aim: Point, model: ModelConfig, loop: LoopConfig, text: Text, level: TextLevel,
    say: Say,
) -> Law:  # fmt: skip
    """The law as runs on the same text have it: earlier ones, or else a pilot made now."""
    found = [_run(reached, level) for reached in text.earlier]
    choice = pilot_choice(model, int(aim.tokens), text.context)
    if choice is not None and text.bytes_per_token is not None:
        pilot = Point(parameter_count(choice.model), choice.tokens, choice.steps)
        if all(run.point.apart(aim) > pilot.apart(aim) for run in found):
            say(f"Training a pilot of {choice.steps} steps.")
            learnt = fly(choice, model, loop, text.data, text.bytes_per_token)
            own = text.level(learnt.tokens, LOOK_ROWS)
            return law.moved(aim, [*found, _run(learnt, own or level)], _by(found, learnt))
    return law.moved(aim, found, _by(found, None))


def _run(reached: Reached, level: TextLevel) -> Run:
    point = Point(reached.parameters, reached.tokens, reached.steps)
    return Run("", level, point, reached.bits_per_byte)


def _by(found: Sequence[Run], pilot: Reached | None) -> str:
    """What the law was moved by, in words."""
    count = "an earlier run" if len(found) == 1 else f"{len(found)} earlier runs"
    words = [f"{count} on this text"] if found else []
    if pilot is not None:
        words.append(
            f"a pilot of {pilot.parameters:,} parameters and {pilot.tokens:,} tokens on this text"
        )
    return " and ".join(words)


def _shortened(loop: LoopConfig, steps: int, given: Overrides) -> LoopConfig:
    """Another number of steps, and looks in the same proportion; what was given stays."""
    share = steps / loop.steps
    watching, optimisation = loop.watching, loop.optimisation
    every: dict[str, Any] = {
        name: max(1, round(getattr(watching, name) * share)) if getattr(watching, name) else 0
        for name in ("eval_every", "sample_every", "checkpoint_every")
        if name not in given
    }
    if "eval_rows" not in given:
        every["eval_rows"] = rows_to_look_at(steps * loop.batch_rows)
    if "warmup" not in given:
        warmup = min(optimisation.warmup, max(0, steps // 10))
        optimisation = dataclasses.replace(optimisation, warmup=warmup)
    return dataclasses.replace(
        loop,
        steps=steps,
        optimisation=optimisation,
        watching=dataclasses.replace(watching, **every),
    )


def compared(
    expected: Mapping[str, Any], found: Mapping[str, Any]
) -> list[tuple[str, float, float, float]]:
    """Name, expected, found, and found / expected - 1, of everything that both know."""
    return [
        (name, expected[name], found[name], found[name] / expected[name] - 1)
        for name in COMPARED
        if expected.get(name) and found.get(name) is not None
    ]
