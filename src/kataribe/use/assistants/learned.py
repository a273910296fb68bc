"""Which model answers what best, learned from examples: logistic regression on hashed n-grams.

An example is a question and the model that answered it best. Pieces of two to four characters
(Japanese needs no words so) are hashed into a table (Weinberger et al. 2009), each text has length
one, so that a question of nothing but unknown pieces is nobody's, and the weights are found by
plain gradient descent on all examples at once: no order and no drawing, so the same examples give
the same file.
"""

from __future__ import annotations

import hashlib
import json
import time
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kataribe.base.errors import FormatError, InputError, NotFoundError
from kataribe.use.assistants.recipe import Route

BUCKETS = 1 << 12
ORDERS = (2, 3, 4)
LONGEST = 4000
"""Characters of a question that are read."""
LARGEST = 1 << 24
"""Bytes of a file of what was learned: some 200 models."""
STEPS = 300
RATE = 2.0
DECAY = 1e-3
FORM = 1
_LEAST = 2
_SETTLED = 2.0


@dataclass(frozen=True, eq=False)
class LearnedChoice:
    """What was learned.

    Attributes:
        models: Those that can be chosen.
        weights: (models, BUCKETS).
    """

    models: tuple[str, ...]
    weights: NDArray[np.float32]

    def likeliest(self, text: str) -> tuple[str, float]:
        """The model that answers such a question best, and how likely that is (0 to 1)."""
        chances = _softmax(self.weights @ features(text))
        best = int(chances.argmax())
        return self.models[best], float(chances[best])

    def save(self, path: Path) -> None:
        """Writes it as JSON, rounded to four digits."""
        told = {
            "form": FORM,
            "models": self.models,
            "weights": [
                {str(at): round(float(row[at]), 4) for at in np.flatnonzero(np.abs(row) > 5e-5)}
                for row in self.weights
            ],
        }
        path.write_text(json.dumps(told), encoding="utf-8")


def learned_by(route: Route, folder: Path) -> LearnedChoice | None:
    """What a recipe's router has learned; None where it names no file.

    Raises as `load_learned` does, and `InputError` for a file that is not in the recipe's `folder`
    or chooses a model that the router does not name.
    """
    file = route.learned
    if not file:
        return None
    if Path(file).name != file:
        raise InputError(
            f"router.learned is {file!r}, but it must be the name of a file beside the recipe.",
            param="router.learned",
        )
    learned = load_learned(folder / file)
    more = set(learned.models) - set(route.models())
    if more:
        names = ", ".join(sorted(more))
        raise InputError(
            f"{file} chooses {names} too, which the router does not name. Put among: [{names}] "
            "under router, or learn again without.",
            param="router.among",
        )
    return learned


def load_learned(path: Path) -> LearnedChoice:
    """What `LearnedChoice.save` wrote; `FormatError` for anything else.

    It is read anew when it changed.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        raise NotFoundError(
            f"{path} is not there. Make it: kataribe assistants learn NAME EXAMPLES."
        ) from None
    except OSError as error:
        raise FormatError(f"{path} cannot be read ({error}). Make it again.") from error
    if status.st_size > LARGEST:
        raise FormatError(
            f"{path} has {status.st_size:,} bytes; what `kataribe assistants learn` writes has at "
            f"most {LARGEST:,}. Make it again."
        )
    stamp = status.st_size, status.st_mtime_ns, status.st_ino
    if time.time() - status.st_mtime > _SETTLED:
        return _loaded(path, stamp)
    # What changes twice within a tick of a disk's clock looks as if it had not.
    return _loaded.__wrapped__(path, stamp)


@lru_cache(maxsize=16)
def _loaded(path: Path, stamp: tuple[int, int, int]) -> LearnedChoice:
    del stamp  # it tells one state of the file from another
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        if told["form"] != FORM:
            raise FormatError(f"{path} has form {told['form']!r}; this version reads {FORM}.")
        models = tuple(str(name) for name in told["models"])
        weights = np.zeros((len(models), BUCKETS), np.float32)
        for row, values in zip(weights, told["weights"], strict=True):
            for at, value in values.items():
                row[int(at)] = value
        if not models or not np.isfinite(weights).all():
            raise ValueError("numbers are missing or infinite")
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise FormatError(
            f"{path} is not what `kataribe assistants learn` writes ({error}). Make it again."
        ) from error
    return LearnedChoice(models, weights)


@dataclass(frozen=True, slots=True)
class Example:
    """A question, and the model that answered it best."""

    text: str
    model: str


def learn(examples: Sequence[Example]) -> LearnedChoice:
    """What examples teach.

    Raises `InputError` for fewer than two models, or fewer than two examples of one.
    """
    models = tuple(sorted({each.model for each in examples}))
    if len(models) < _LEAST:
        raise InputError(
            f"The examples name {len(models)} models; a choice needs two or more.", param="examples"
        )
    counts = {name: sum(each.model == name for each in examples) for name in models}
    few = [name for name, count in counts.items() if count < _LEAST]
    if few:
        raise InputError(
            f"There is only {counts[few[0]]} example for {few[0]}; give two or more for each "
            "model, better twenty.",
            param="examples",
        )
    table = np.stack([features(each.text) for each in examples])
    wanted = np.array([models.index(each.model) for each in examples])
    # Each model counts as much as another, however many examples it has.
    share = np.array([1 / (len(models) * counts[each.model]) for each in examples], np.float32)
    weights = np.zeros((len(models), BUCKETS), np.float32)
    target = np.eye(len(models), dtype=np.float32)[wanted]
    for _ in range(STEPS):
        error = (_softmax(table @ weights.T) - target) * share[:, None]
        weights -= RATE * len(models) * (error.T @ table + DECAY * weights / len(models))
    return LearnedChoice(models, weights)


def held_out_accuracy(examples: Sequence[Example], folds: int = 5) -> float:
    """Share of right choices on examples that were kept out of learning, each once.

    Which fold an example is in follows from its text, so that equal questions stay together.
    """
    place = [_fold(each.text, folds) for each in examples]
    right = judged = 0
    for fold in range(folds):
        rest = [each for each, at in zip(examples, place, strict=True) if at != fold]
        kept = [each for each, at in zip(examples, place, strict=True) if at == fold]
        try:
            choice = learn(rest)
        except InputError:  # too few are left to learn from
            continue
        right += sum(choice.likeliest(each.text)[0] == each.model for each in kept)
        judged += len(kept)
    return right / judged if judged else float("nan")


def read_examples(path: Path) -> list[Example]:
    """JSON lines `{"prompt": "...", "model": "..."}`; `FormatError` names the line."""
    found = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise NotFoundError(f"There is no file {path}.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise FormatError(f"{path} cannot be read as UTF-8: {error}.") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row: Any = json.loads(line)
            prompt, model = row["prompt"], row["model"]
        except (ValueError, KeyError, TypeError) as error:
            raise FormatError(
                f"Line {number} of {path} is no example: it must be "
                '{"prompt": "...", "model": "..."}.'
            ) from error
        if not isinstance(prompt, str) or not isinstance(model, str) or not prompt.strip():
            raise FormatError(f"Line {number} of {path} has no words in prompt or model.")
        found.append(Example(prompt, model))
    return found


def features(text: str) -> NDArray[np.float32]:
    """How often each hashed piece stands in a text, on a vector of length one: (BUCKETS,)."""
    said = unicodedata.normalize("NFKC", text[:LONGEST]).casefold()
    codes = np.frombuffer(said.encode("utf-32-le", "replace"), np.uint32).astype(np.uint64)
    found = np.zeros(BUCKETS, np.float32)
    for order in ORDERS:
        if len(codes) < order:
            continue
        mixed = np.full(len(codes) - order + 1, order, np.uint64)
        for back in range(order):
            mixed = (mixed ^ codes[back : len(codes) - order + 1 + back]) * np.uint64(
                0x9E3779B97F4A7C15
            )
            mixed ^= mixed >> np.uint64(29)
        np.add.at(found, (mixed % np.uint64(BUCKETS)).astype(np.int64), 1.0)
    found = np.sqrt(found)
    length = float(np.linalg.norm(found))
    return found / length if length else found


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    raised = np.exp(logits - logits.max(axis=-1, keepdims=True))
    found: NDArray[np.float32] = raised / raised.sum(axis=-1, keepdims=True)
    return found


def _fold(text: str, folds: int) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "big") % folds
