"""A run written down while it goes: metrics, samples, checkpoints, trackers, a log."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from torch import Tensor

from kataribe.files.atomic import storage_error, write_atomic
from kataribe.make.model.decoder import Decoder
from kataribe.make.tokens.tokenizer import Tokenizer
from kataribe.make.training.checkpoints import Progress, prune, save_checkpoint
from kataribe.make.training.config import LoopConfig
from kataribe.make.training.runs import RunFolder, read_lines, write_json
from kataribe.make.training.sampling import Prompt, draw_samples
from kataribe.make.training.trackers import Tracker, open_trackers
from kataribe.make.training.trainee import Trainee

log = logging.getLogger("kataribe.training")

_JUDGED = ("valid_loss", "bits_per_byte", "accuracy")
_NOTED = ("loss", "lr", "grad_norm", "tokens_per_second", *_JUDGED)


@dataclass(frozen=True, eq=False)
class Words:
    """How a model in training reads and writes.

    Attributes:
        tokenizer: Turns ids into text.
        folder: Where its files are, to lie beside the weights.
        prompts: What samples go on from.
        ends: Tokens that end a sample.
    """

    tokenizer: Tokenizer
    folder: Path | None = None
    prompts: tuple[Prompt, ...] = ()
    ends: frozenset[int] = frozenset()


class RunRecord:
    """A `Record` in a run's folder.

    Args:
        run: The folder.
        trainee: Whose weights are kept.
        config: The loop's.
        words: For samples; None for models that write none.
        tell: Called with every line of figures, for a person who watches; and `steps`, as soon as
            it is known how many there will be.
    """

    def __init__(
        self,
        run: RunFolder,
        trainee: Trainee,
        config: LoopConfig,
        *,
        words: Words | None,
        tell: Callable[[Mapping[str, float]], None] | None = None,
    ) -> None:
        self._run, self._trainee, self._config = run, trainee, config
        self._words, self._tell = words, tell
        self._trackers: list[Tracker] = []
        self._looks: dict[int, float] = {}
        self.last: dict[str, float] = {}
        """The latest value of every figure."""

    def begin(self, progress: Progress) -> None:
        """Forgets what was written after the checkpoint from which the run goes on."""
        for name in ("metrics.jsonl", "samples.jsonl"):
            cut_after(self._run.path / name, progress.step)
        for line in self._run.metrics():
            self.last |= line
            self._looked(line)
        self._trackers = open_trackers(
            self._run.path, self._run.plan, self._config.watching.trackers, progress.step
        )

    def settled(self, config: LoopConfig) -> None:
        """Time has told how many steps there are: so says the plan from now on.

        Whoever goes on with the run takes as many, and so comes to the same end.
        """
        self._config = config
        write_json(self._run.path / "plan.json", {**self._run.plan, "loop": asdict(config)})
        log.info("the time has room for %d steps", config.steps)

    def close(self) -> None:
        """Nothing more comes."""
        for tracker in self._trackers:
            tracker.close()

    def stepped(self, figures: Mapping[str, float]) -> None:
        """See `Record`."""
        self.last |= figures
        self._looked(figures)
        append(self._run.path / "metrics.jsonl", figures)
        step = int(figures["step"])
        noted = {name: figures[name] for name in _NOTED if name in figures}
        for tracker in self._trackers:
            tracker.figures(step, noted)
        if "valid_loss" in figures:
            shown = ", ".join(f"{name} {figures[name]:.4f}" for name in _JUDGED if name in figures)
            log.info("step %d: loss %.4f, %s", step, figures["loss"], shown)
        if self._tell is not None:
            known = self._config.known_steps
            self._tell(figures if known is None else {**figures, "steps": known})

    def sample(self, step: int) -> None:
        """See `Record`."""
        words, model = self._words, self._trainee.plain
        if words is None or not words.prompts or not isinstance(model, Decoder):
            return
        length = self._config.watching.sample_tokens
        seed = self._config.seed * 1_000_003 + step
        drawn = draw_samples(model, words.prompts, length, ends=words.ends, seed=seed % 2**62)
        for prompt, ids in zip(words.prompts, drawn, strict=True):
            text = words.tokenizer.decode([each for each in ids if each not in words.ends])
            append(
                self._run.path / "samples.jsonl",
                {"step": step, "prompt": prompt.text, "text": text},
            )
            for tracker in self._trackers:
                tracker.text(step, prompt.text[:40] or "nothing", prompt.text + text)

    def save(self, progress: Progress, optimiser: Mapping[str, Tensor]) -> None:
        """See `Record`."""
        source = self._words.folder if self._words else None
        path = save_checkpoint(self._run, self._trainee, optimiser, progress, source)
        prune(self._run, self._config.watching.keep, self._best())
        log.info("step %d: checkpoint %s", progress.step, path.name)

    def _looked(self, figures: Mapping[str, float]) -> None:
        if "valid_loss" in figures:
            self._looks[int(figures["step"])] = figures["valid_loss"]

    def _best(self) -> int | None:
        """Of the checkpoints at whose step was a look, the best: others cannot be compared."""
        known = [step for step, _ in self._run.checkpoints() if step in self._looks]
        return min(known, key=lambda step: self._looks[step], default=None)


class NoRecord:
    """The record of processes other than the first: they keep nothing."""

    def stepped(self, figures: Mapping[str, float]) -> None:
        """See `Record`."""

    def sample(self, step: int) -> None:
        """See `Record`."""

    def save(self, progress: Progress, optimiser: Mapping[str, Tensor]) -> None:
        """See `Record`."""


def append(path: Path, values: Mapping[str, object]) -> None:
    """One line more, in one piece, so that readers never see half of it as whole."""
    line = json.dumps(values, ensure_ascii=False) + "\n"
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(line)
    except OSError as error:
        raise storage_error(f"{path} cannot be written", error) from error


def cut_after(path: Path, step: int) -> None:
    """Leaves out lines of later steps, and one that was never written to its end."""
    if not path.is_file():
        return
    kept = [line for line in read_lines(path) if line["step"] <= step]
    write_atomic(path, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in kept))
