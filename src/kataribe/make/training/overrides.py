"""Settings that somebody gave beside the dial's choice: they come before it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeAlias

from kataribe.base.errors import InputError
from kataribe.make.training.config import LoopConfig, Optimisation, Watching, Work
from kataribe.make.training.dial import Choice

Overrides: TypeAlias = Mapping[str, Any]
"""Fields of `Optimisation`, `Work` and `Watching` by name, and `steps`."""

LOOKS = 10
"""Looks at held-out text in a run that does not say."""
LOOKED_SHARE = 50
"""Rows of training for each row of a look: ten looks, which cost a third of training on the same
rows, then take at most 7 % of the time."""

PARTS = {"optimisation": Optimisation, "work": Work, "watching": Watching}


def loop_config(choice: Choice, rows: int, seed: int, given: Overrides) -> LoopConfig:
    """The loop's settings: what was given, else what the dial chose, else the defaults."""
    steps = int(given.get("steps") or choice.steps)
    looks = max(1, steps // LOOKS)
    chosen = {
        "learning_rate": choice.learning_rate,
        "warmup": min(choice.warmup, max(0, steps - 1)),
        "eval_every": looks,
        "eval_rows": rows_to_look_at(steps * rows),
        "sample_every": looks * 2,
        "checkpoint_every": looks,
    }
    return loop_from({**chosen, **given, "steps": steps}, rows, seed)


def rows_to_look_at(trained_rows: int) -> int:
    """Rows of held-out text that a look takes, in proportion to the run."""
    return max(8, min(Watching.eval_rows, trained_rows // LOOKED_SHARE))


def loop_from(values: Mapping[str, Any], rows: int, seed: int) -> LoopConfig:
    """The loop's settings out of fields by name; `InputError` for a name that is none."""
    parts: dict[str, dict[str, Any]] = {part: {} for part in PARTS}
    for name, value in values.items():
        if name == "steps":
            continue
        part = next((each for each, kind in PARTS.items() if name in field_names(kind)), None)
        if part is None:
            raise InputError(f"There is no setting {name!r} of training.", param=name)
        parts[part][name] = tuple(value) if isinstance(value, list) else value
    return LoopConfig(
        steps=values["steps"],
        batch_rows=rows,
        seed=seed,
        optimisation=Optimisation(**parts["optimisation"]),
        work=Work(**parts["work"]),
        watching=Watching(**parts["watching"]),
    )


def field_names(kind: Any) -> frozenset[str]:
    """Names of a dataclass' fields."""
    return frozenset(field.name for field in dataclasses.fields(kind))
