"""Bits per byte of held-out text after the same time of training: the dial beside nanoGPT's recipe.

For every seed ours trains first, by `kataribe train pretrain --minutes`; the recipe then gets the
very seconds that our steps took (compiling, looks, samples and checkpoints left out, as with it).
With the first seed each of its sizes is trained; the best of them goes on. One function scores
both (`scoring.py`); the recipe is read across documents and within them, and the better counts. A
training whose time is not ours counts for nothing, and where none is left there is no result.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.inference.peers import CACHE, Worker, environment
from benchmarks.inference.record import Record
from benchmarks.training import peer_nanogpt
from benchmarks.training.scoring import HeldOut, held_out, score
from benchmarks.training.workspace import Place
from kataribe.make.model.weights.checkpoint import open_checkpoint
from kataribe.make.model.weights.loading import load_model
from kataribe.make.tokens.batches import Batch
from kataribe.make.tokens.token_data import TokenData
from kataribe.make.training.causal import decoder_hidden

HERE = Path(__file__).parent
OURS, PEER = "kataribe", "nanoGPT"
NEAR = 0.02
"""Share by which the times of two trainings may differ."""
STUDENT = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365}
"""Quantile of 97.5 % of Student's distribution for so many values."""


@dataclass(frozen=True)
class Asked:
    """What is to be compared.

    Attributes:
        minutes: Of each training.
        seeds: How many.
        sizes: The recipe's that are tried.
    """

    minutes: float
    seeds: int
    sizes: tuple[str, ...] = tuple(peer_nanogpt.CHOICES)


def measure(asked: Asked, place: Place, record: Record) -> None:
    """All seeds, ours and the recipe's in turn.

    Raises `RuntimeError` where no training of the recipe with the first seed took our time.
    """
    data = place.prepare()
    judged = held_out(
        data.tokens("valid"), data.starts("valid"), data.text_bytes("valid"),
        ends=data.meta.marks.writes_end,
    )  # fmt: skip
    told = {
        "tokens": len(judged.ids), "scored": int(judged.taught.sum()),
        "documents": len(judged.starts), "bytes": judged.text_bytes, "corpus": place.source,
        "train tokens": len(data.tokens("train")), "vocabulary": data.meta.vocab_size,
    }  # fmt: skip
    if record.data["runs"].get("held out", told) != told:
        raise RuntimeError("What was measured before was judged by another text: begin anew.")
    record.data["runs"]["held out"] = told
    sizes = asked.sizes
    for seed in range(asked.seeds):
        mine = _kept(record, OURS, seed)
        if mine is None:
            with record.round(f"seed {seed}, {OURS}"):
                mine = train_ours(asked.minutes, seed, place, judged)
                record.run(OURS, mine)
        for size in sizes:
            if _kept(record, PEER, seed, size) is not None:
                continue
            with record.round(f"seed {seed}, {PEER} {size}"):
                found = train_peer(size, seed, mine["seconds"], data.path, judged)
                record.run(PEER, found)
        if seed == 0:
            best = best_size(record.data["runs"])
            if best is None:
                told = "; ".join(one["unlike"] for one in record.data["runs"].get(PEER, []))
                raise RuntimeError(
                    f"No training of {PEER} took the time of ours within {NEAR:.0%}, so nothing "
                    f"can be compared: {told} Run it again on a machine that does nothing else."
                )
            sizes = (best,)
            record.data["versions"][PEER] = best


def _kept(record: Record, who: str, seed: int, size: str | None = None) -> dict[str, Any] | None:
    """A training that an earlier run has measured already."""
    for one in record.data["runs"].get(who, []):
        if one["seed"] == seed and size in (None, one.get("size")):
            found: dict[str, Any] = one
            return found
    return None


def train_ours(minutes: float, seed: int, place: Place, judged: HeldOut) -> dict[str, Any]:
    """The dial's model and its score."""
    run, result = place.pretrain(f"quality-{seed}", "--minutes", f"{minutes:g}", "--seed", seed)
    seconds = own_seconds(list(run.metrics()), run.plan["loop"]["watching"])
    found = score_ours(place.workspace.models / f"quality-{seed}", judged)
    model = run.plan["model"]["config"]
    return {
        "seed": seed, "seconds": seconds, "clock": result["seconds"],
        "steps": run.plan["loop"]["steps"], "tokens": result["tokens"],
        "parameters": result["parameters"], "layers": model["num_hidden_layers"],
        "width": model["hidden_size"], "own bits_per_byte": result["bits_per_byte"],
        "run": run.id, **found,
    }  # fmt: skip


def own_seconds(lines: Sequence[Mapping[str, float]], watching: Mapping[str, Any]) -> float:
    """Seconds of a run's steps without compiling, looks, samples and checkpoints.

    The first step compiles, and what is done after a step is in the time of the next one: such
    steps count as much as the middle one of the others.
    """
    taken, tokens = [], 0.0
    for line in lines:
        taken.append((line["tokens"] - tokens) / line["tokens_per_second"])
        tokens = line["tokens"]
    every = [watching[f"{name}_every"] for name in ("eval", "sample", "checkpoint")]
    mixed = {
        place
        for place in range(len(taken))
        if place == 0 or any(each and place % each == 0 for each in every)
    }
    clean = [one for place, one in enumerate(taken) if place not in mixed] or taken
    return sum(clean) + (len(taken) - len(clean)) * statistics.median(clean)


def score_ours(folder: Path, judged: HeldOut) -> dict[str, Any]:
    """The finished model, as it lies in the workspace, on every held-out token."""
    opened = open_checkpoint(folder)
    model = load_model(opened).eval()

    def logits(ids: Tensor) -> Tensor:
        places = np.broadcast_to(np.arange(ids.shape[1]), ids.shape)
        one = np.zeros(ids.shape, np.int32)
        batch = Batch(ids.numpy(), np.full(ids.shape, -100), np.ascontiguousarray(places), one)
        return model.logits(decoder_hidden(model, batch, compiled=False))

    found = score(logits, judged, opened.config.context_length, across=False)
    return {**_told(found.nats, found.tokens, judged), "context": opened.config.context_length}


def train_peer(size: str, seed: int, seconds: float, data: Path, judged: HeldOut) -> dict[str, Any]:
    """One of the recipe's sizes for so many seconds, and its score."""
    target = CACHE / "nanogpt.pt"
    worker = Worker.start(environment("transformers"), str(HERE / "peer_nanogpt.py"))
    try:
        found = worker.ask(
            "run", size=size, seed=seed, seconds=seconds, data=str(data), target=str(target)
        )
    finally:
        worker.stop()
    told = {**found, "size": size, "seed": seed, **score_peer(size, target, data, judged)}
    if abs(found["seconds"] / seconds - 1) > NEAR:
        told["unlike"] = f"It trained for {found['seconds']:.1f} s, not for {seconds:.1f}."
    return told


def score_peer(size: str, weights: Path, data: Path, judged: HeldOut) -> dict[str, Any]:
    """Its weights on every held-out token, across documents and within: the better of both."""
    choice = peer_nanogpt.CHOICES[size]
    model = peer_nanogpt.GPT(choice, TokenData.open(data, verify=False).meta.vocab_size)
    model.load_state_dict(torch.load(weights, weights_only=True))
    model.eval()
    ways = {
        name: score(model.logits, judged, choice.block, across=across)
        for name, across in (("across documents", True), ("within documents", False))
    }
    best = min(ways, key=lambda name: ways[name].nats)
    told = _told(ways[best].nats, ways[best].tokens, judged)
    return {**told, "context": choice.block, "read": best}


def _told(nats: float, tokens: int, judged: HeldOut) -> dict[str, Any]:
    """Bits per byte. Raises `RuntimeError` where not every token has been scored."""
    wanted = int(judged.taught.sum())
    if tokens != wanted:
        raise RuntimeError(f"{tokens:,} held-out tokens were scored, not all {wanted:,}.")
    return {"bits_per_byte": nats / np.log(2) / judged.text_bytes, "scored": tokens}


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean and half the width of its interval of 95 % (Student); infinite for one value."""
    count = len(values)
    if count < 2:
        return statistics.fmean(values), float("inf")
    wide = STUDENT.get(count, 2.3) * statistics.stdev(values) / count**0.5
    return statistics.fmean(values), wide


def best_size(runs: Mapping[str, list[dict[str, Any]]]) -> str | None:
    """The recipe's best size with the first seed; None where none took our time."""
    first = [one for one in runs.get(PEER, []) if one["seed"] == 0 and "unlike" not in one]
    if not first:
        return None
    return str(min(first, key=lambda one: one["bits_per_byte"])["size"])


def gains(runs: Mapping[str, list[dict[str, Any]]]) -> list[float]:
    """By seed: the share by which ours needs fewer bits than the recipe's best size.

    Seeds with which the recipe did not take our time are left out.
    """
    size = best_size(runs)
    theirs = {
        one["seed"]: one["bits_per_byte"]
        for one in runs.get(PEER, [])
        if one["size"] == size and "unlike" not in one
    }
    return [
        1 - one["bits_per_byte"] / theirs[one["seed"]]
        for one in runs.get(OURS, [])
        if one["seed"] in theirs
    ]
