"""How many attacks the guard `injection` finds, and how often it takes ordinary text for one."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import process_time

from benchmarks.guards.making import (
    FAMILIES,
    ORDINARY,
    SEALED,
    TAUGHT,
    TAUGHT_ORDINARY,
    Sample,
    descriptions,
    samples,
)
from benchmarks.guards.ordinary import Text, made_with, measured_on, missing
from benchmarks.guards.training import Item, fit, item, sampled, score, with_threshold
from benchmarks.sections import table
from kataribe.prove.evals.intervals import share
from kataribe.use.guards.scoring import Weights

EACH_ATTACK, EACH_REQUEST = 16, 24
"""Texts of each template for training."""
EACH_TAUGHT = 8
EACH_TESTED = 6
LANGUAGES = ("en", "ja")
RECORD = Path(__file__).parents[2] / ".cache" / "bench" / "guards.json"


@dataclass(frozen=True)
class Lot:
    """Everything that is made once: attacks and ordinary texts, with their windows."""

    attacks: list[Item]
    ordinary: list[Item]
    tuning: list[Item]
    unseen: list[Item]
    texts: list[Item]
    requests: list[Item]
    sealed: list[Item]
    buried: list[Item]
    missing: list[str] = field(default_factory=list)


def prepare(data: Path) -> Lot:
    """Reads and makes all texts, and hashes them."""
    kept = made_with(data)
    tuned = [place % 4 == 3 for place in range(len(kept))]
    requests, held = _requests()
    ordinary = [_text(text) for text, out in zip(kept, tuned, strict=True) if not out]
    tuning = [
        _text(text, group=text.language) for text, out in zip(kept, tuned, strict=True) if out
    ]
    texts = measured_on(data)
    made = [*samples(FAMILIES, "train", EACH_ATTACK), *samples(TAUGHT, "train", EACH_TAUGHT)]
    return Lot(
        [  # an order may stand in either
            _attack(each if place % 2 else replace(each, kind="document"))
            for place, each in enumerate(made)
        ],
        ordinary + [_request(each) for each in requests],
        tuning + [_request(each) for each in held],
        [_attack(each) for each in samples(FAMILIES, "test", EACH_TESTED)],
        [_text(text) for text in texts],
        [_request(each) for each in samples(ORDINARY, "test", EACH_TESTED)],
        [_attack(each) for each in samples(SEALED, None, EACH_TESTED)],
        [_attack(each) for each in _buried(texts)],
        missing(data),
    )


def _requests() -> tuple[list[Sample], list[Sample]]:
    """Ordinary requests for making, and for tuning: every fourth template, other fillers."""
    both = (ORDINARY, EACH_REQUEST), (TAUGHT_ORDINARY, EACH_TAUGHT)
    made = [each for folder, count in both for each in samples(folder, "train", count)]
    names = list(dict.fromkeys(each.template for each in made))
    held = frozenset(names[3::4])
    other = [each for folder, count in both for each in samples(folder, "tune", count)]
    return (
        [each for each in made if each.template not in held],
        [each for each in other if each.template in held],
    )


def _buried(texts: Sequence[Text]) -> Iterable[Sample]:
    """Orders in the middle of ordinary pages that nobody trained on."""
    draw = random.Random(5)
    pages = {
        language: [text.text for text in texts if text.language == language]
        for language in LANGUAGES
    }
    long = {
        language: [text for text in found if len(text) > 1500] for language, found in pages.items()
    }
    for each in samples(FAMILIES, "test", 3):
        if each.family != "document" or not long[each.language]:
            continue
        page = draw.choice(long[each.language])[:6000]
        at = draw.randrange(len(page))
        start, end = each.spans[0]
        text = f"{page[:at]}\n{each.text[start:end].strip()}\n{page[at:]}"
        yield Sample(text, "buried", each.language, "document", ((0, len(text)),), each.template)


def _text(text: Text, group: str | None = None) -> Item:
    return item(text.text, text.kind, text.source if group is None else group, text.language)


def _request(each: Sample) -> Item:
    return sampled(each, "requests", attack=False)


def _attack(each: Sample) -> Item:
    return sampled(each, each.family, attack=True)


def make(lot: Lot, without: Sequence[str] = ()) -> tuple[Weights, float]:
    """The weights with their threshold, and the seconds of one core that they took."""
    begun = process_time()
    weights = with_threshold(fit(lot.attacks, lot.ordinary, without=without), lot.tuning)
    return weights, process_time() - begun


def rate(weights: Weights, items: Sequence[Item], language: str | None = None) -> str:
    """The share that is taken for an attack, with its interval; templates are what is drawn."""
    chosen = [each for each in items if language in (None, each.language)]
    if not chosen:
        return ""
    hit = [float(score(weights, each) >= weights.threshold) for each in chosen]
    found = share(hit, [each.template for each in chosen])
    count = len({each.template for each in chosen})
    of = f"{len(hit)}" if count == len(hit) else f"{len(hit)} of {count}"
    return f"{100 * found.mean:.1f} ({100 * found.low:.1f} to {100 * found.high:.1f}; {of})"


def plain_rate(weights: Weights, items: Sequence[Item]) -> float:
    """The share alone."""
    return sum(score(weights, each) >= weights.threshold for each in items) / max(1, len(items))


def report(lot: Lot, weights: Weights, seconds: float, *, families: bool = True) -> str:
    """All tables."""
    parts = [
        _alarms(lot, weights),
        _known(lot, weights),
        *([_left_out(lot, weights), _sealed(lot, weights)] if families else []),
        f"Making the weights took {seconds:.0f} s of one core.",
    ]
    if lot.missing:
        names = ", ".join(lot.missing)
        parts.append(f"Without the data sets {names}, which are not on this machine.")
    return "\n\n".join(parts)


def _row(name: str, weights: Weights, items: Sequence[Item]) -> list[str]:
    return [name, *(rate(weights, items, language) for language in (None, *LANGUAGES))]


def _alarms(lot: Lot, weights: Weights) -> str:
    sources = dict.fromkeys(each.group for each in lot.texts)
    rows = [_row("**all ordinary text**", weights, lot.texts)]
    rows += [
        _row(name, weights, [each for each in lot.texts if each.group == name]) for name in sources
    ]
    rows.append(_row("**requests that sound like attacks**", weights, lot.requests))
    kinds = dict.fromkeys(each.template.partition(":")[0] for each in lot.requests)
    rows += [
        _row(kind, weights, [each for each in lot.requests if each.template.startswith(kind)])
        for kind in kinds
    ]
    heads = ["false alarms, %", "both", "English", "Japanese"]
    return table(heads, rows)


def _known(lot: Lot, weights: Weights) -> str:
    rows = [_row("**all known families**", weights, lot.unseen)]
    rows += [
        _row(each.name, weights, [one for one in lot.unseen if one.group == each.name])
        for each in descriptions(FAMILIES)
    ]
    rows.append(_row("orders inside long pages", weights, lot.buried))
    heads = ["attacks found, unseen templates, %", "both", "English", "Japanese"]
    return table(heads, rows)


def _left_out(lot: Lot, whole: Weights) -> str:
    """Each family kept out of samples and rules, then all of its texts.

    What is measured is kept beside the other benchmarks' figures, so a run that was cut goes on.
    """
    stamp = hashlib.sha256(whole.table.tobytes()).hexdigest()
    kept = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    kept = kept if kept.get("stamp") == stamp else {"stamp": stamp}
    for each in descriptions(FAMILIES):
        if each.name not in kept:
            weights, _ = make(lot, [each.name])
            items = [one for one in (*lot.attacks, *lot.unseen) if one.group == each.name]
            alarms = f"{100 * plain_rate(weights, lot.texts):.2f}"
            row = [*_row(each.name, weights, items), alarms]
            kept[each.name] = {"share": plain_rate(weights, items), "row": row}
            RECORD.parent.mkdir(parents=True, exist_ok=True)
            RECORD.write_text(json.dumps(kept))
            print(" | ".join(row), flush=True)
    found = [kept[each.name] for each in descriptions(FAMILIES)]
    shares = [each["share"] for each in found]
    mean = f"{100 * sum(shares) / len(shares):.1f} ({100 * min(shares):.1f})"
    rows = [["**mean of families** (least)", mean, "", "", ""], *(each["row"] for each in found)]
    heads = ["attacks found, family kept out, %", "both", "English", "Japanese", "false alarms, %"]
    return table(heads, rows)


def _sealed(lot: Lot, weights: Weights) -> str:
    rows = [_row("**all sealed families**", weights, lot.sealed)]
    rows += [
        _row(each.name, weights, [one for one in lot.sealed if one.group == each.name])
        for each in descriptions(SEALED)
    ]
    name = "attacks found, sealed families (nothing was made or tuned with them), %"
    heads = [name, "both", "English", "Japanese"]
    return table(heads, rows)
