"""What encoders, encoder-decoders and students learn in the same loop."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from kataribe.base.errors import InputError, UnsupportedError
from kataribe.make.model.configs.encoder_config import EncoderConfig
from kataribe.make.model.configs.encoder_decoder_config import EncoderDecoderConfig, StackConfig
from kataribe.make.model.encoder import Encoder
from kataribe.make.model.encoder_decoder import EncoderDecoder
from kataribe.make.tokens.batches import IGNORED, Batch, PairBatch, Pick
from kataribe.make.tokens.collation import joined, padded
from kataribe.make.training.causal import causal_loss, decoder_hidden
from kataribe.make.training.checkpoints import load_weights
from kataribe.make.training.denoising import denoising_loss
from kataribe.make.training.distillation import Distillation, check_teacher
from kataribe.make.training.encoding import contrastive_loss, labelled_loss, labels_right
from kataribe.make.training.fresh import draw_weights, fresh_decoder
from kataribe.make.training.objective import Loss
from kataribe.make.training.rows_objective import RowsData, RowsObjective
from kataribe.make.training.session import Setup, carry_out
from tests.make.training.toys import LENGTH, loop, new_run, rows, tiny_config

VOCAB = 24


class Drawn:
    """Rows that a function makes from a row's own dice."""

    def __init__(self, make: Any, count: int = 24) -> None:
        self._make, self._count = make, count

    def __len__(self) -> int:
        return self._count

    def take(self, picks: Sequence[Pick]) -> Any:
        return self._make([pick.dice() for pick in picks])

    def in_order(self, size: int, *, rank: int = 0, ranks: int = 1) -> Iterator[Any]:
        own = range(self._count)[rank::ranks]
        for at in range(0, len(own), size):
            yield self.take([Pick(99, 0, index) for index in own[at : at + size]])


def encoder(head: str, labels: int = 0) -> Encoder:
    config = EncoderConfig(
        family="bert", vocab_size=VOCAB, hidden_size=16, layers=2, heads=2, intermediate_size=32,
        context_length=32, head=head, pooler=head == "classify",  # type: ignore[arg-type]
        head_activation="gelu" if head == "masked" else "tanh",
        labels=tuple(f"label {number}" for number in range(labels)),
    )  # fmt: skip
    torch.manual_seed(0)
    model = Encoder(config)
    draw_weights(model, 2)
    return model.train()


def masked(dice: Sequence[np.random.Generator]) -> Batch:
    """Two documents a row of one repeated token each, some hidden behind token 1."""
    parts = []
    for each in dice:
        row = []
        for token in each.integers(2, 10, 2):
            hidden = each.random(6) < 0.3
            ids = [1 if gone else int(token) for gone in hidden]
            row.append((ids, [int(token) if gone else IGNORED for gone in hidden]))
        parts.append(row)
    return joined(parts, pad_id=0, length=16)


def classes(dice: Sequence[np.random.Generator]) -> Batch:
    """Whether a text has token 3; its length varies."""
    ids, targets = [], []
    for each in dice:
        text = [2, *(int(token) for token in each.integers(4, 10, int(each.integers(2, 7))))]
        label = int(each.integers(0, 2))
        text += [3] * label
        ids.append(text)
        targets.append([label, *[IGNORED] * (len(text) - 1)])
    return padded(ids, targets, pad_id=0)


def tags(dice: Sequence[np.random.Generator]) -> Batch:
    """Whether each token is even."""
    ids = [[int(token) for token in each.integers(2, 20, 8)] for each in dice]
    return padded(ids, [[token % 2 for token in row] for row in ids], pad_id=0)


def pairs(dice: Sequence[np.random.Generator]) -> PairBatch:
    """A question of a token, and a passage of its partner."""
    tokens = [int(each.integers(2, 12)) for each in dice]
    source = [[token] * 3 for token in tokens]
    target = [[token + 11] * 4 for token in tokens]
    unseen = [[IGNORED] * len(each) for each in source], [[IGNORED] * len(each) for each in target]
    return PairBatch(padded(source, unseen[0], pad_id=0), padded(target, unseen[1], pad_id=0))


def gaps(dice: Sequence[np.random.Generator]) -> PairBatch:
    """Two documents a row: what stands before a gap is what belongs into it."""
    sources, targets = [], []
    for each in dice:
        source, target = [], []
        for token in each.integers(4, 20, 2):
            source.append(([int(token), 1], [IGNORED] * 2))
            target.append(([0, 1, int(token)], [1, int(token), 2]))
        sources.append(source)
        targets.append(target)
    return PairBatch(joined(sources, pad_id=0, length=5), joined(targets, pad_id=0, length=7))


def t5() -> EncoderDecoder:
    stack = StackConfig(layers=2, heads=2, head_dim=8, intermediate_size=32, query_scalar=1.0)
    torch.manual_seed(0)
    model = EncoderDecoder(t5_config(stack))
    for value in model.parameters():
        if value.dim() > 1:
            nn.init.normal_(value, std=0.2)
    return model.train()


def t5_config(stack: StackConfig) -> EncoderDecoderConfig:
    return EncoderDecoderConfig(
        family="t5", vocab_size=VOCAB, hidden_size=16, encoder=stack, decoder=stack,
        source_length=32, target_length=32, positions="relative", relative_buckets=8,
        relative_distance=16, norm="rms", norm_eps=1e-6, norm_first=True, final_norm=True,
        activation="relu", bias=False, output_scale=0.25,
    )  # fmt: skip


CASES: dict[str, Any] = {
    "masked": (lambda: encoder("masked"), masked, labelled_loss, labels_right),
    "classify": (lambda: encoder("classify", 2), classes, labelled_loss, labels_right),
    "tag": (lambda: encoder("tag", 2), tags, labelled_loss, labels_right),
    "embed": (lambda: encoder("none"), pairs, contrastive_loss, None),
    "denoise": (t5, gaps, denoising_loss, None),
}


@pytest.mark.parametrize("name", CASES)
def test_it_is_learned_and_kept(tmp_path: Path, name: str) -> None:
    make, draw, loss, right = CASES[name]
    rate, steps = {"masked": (0.005, 160), "classify": (0.005, 80)}.get(name, (0.02, 80))
    config = loop(
        steps=steps, batch_rows=8, optimiser="adamw", learning_rate=rate, eval_every=40,
        checkpoint_every=0, micro_tokens=64,
    )  # fmt: skip
    data = RowsData(Drawn(draw), 8, held_out=Drawn(draw))
    objective = RowsObjective(data, loss, name, whole=name == "embed", right=right)
    run = new_run(tmp_path, config, name)
    ended = carry_out(run, Setup(make(), objective, config, 16))
    lines = list(run.metrics())
    assert lines[-1]["valid_loss"] < 0.5 * lines[0]["loss"]
    assert ("accuracy" in lines[-1]) == (right is not None)
    if right is not None:
        assert lines[-1]["accuracy"] > 0.8
    again = make()
    load_weights(run.checkpoints()[-1][1], again)
    for (_, one), (_, two) in zip(
        ended.model.named_parameters(), again.named_parameters(), strict=True
    ):
        assert torch.equal(one, two)


def test_packed_pairs_are_those_apart() -> None:
    """The loss of packed documents is the sum of the model's own losses of each alone."""
    model = t5().eval()
    dice = [np.random.default_rng(seed) for seed in (1, 2)]
    batch = gaps(dice)
    apart = 0.0
    for row in range(batch.rows):
        for number in (0, 1):
            mine = batch.source.documents[row] == number
            own = batch.target.documents[row] == number
            source = torch.from_numpy(batch.source.ids[row][mine])[None]
            target = torch.from_numpy(batch.target.targets[row][own])[None]
            logits = model(source, target)
            apart += functional.cross_entropy(logits[0], target[0], reduction="sum").item()
    assert denoising_loss(model, batch).item() == pytest.approx(apart, rel=1e-4)


def test_masked_rows_see_their_own_document() -> None:
    model = encoder("masked").eval()
    batch = masked([np.random.default_rng(3)])
    other = Batch(batch.ids.copy(), batch.targets, batch.positions, batch.documents)
    other.ids[:, 6:12] = 7
    first = np.where(batch.documents == 0, batch.targets, IGNORED)
    one, two = (
        labelled_loss(model, Batch(each.ids, first, each.positions, each.documents)).item()
        for each in (batch, other)
    )
    assert one == pytest.approx(two, rel=1e-5)


def test_a_student_learns_from_its_teacher(tmp_path: Path) -> None:
    teacher = fresh_decoder(tiny_config(), 5)
    with torch.no_grad():
        teacher.embed.weight.mul_(20)  # somebody with opinions
    for temperature, share in ((1.0, 1.0), (2.0, 0.7)):
        loss: Loss = Distillation(teacher, temperature, share)
        batch = rows(1).take([Pick(0, 0, 0), Pick(0, 0, 1)])
        student = fresh_decoder(tiny_config(), 6)
        found = loss(student, batch, compiled=False)
        taught = torch.from_numpy(batch.targets.flatten()) != IGNORED
        said, known = (
            model.logits(decoder_hidden(model, batch, compiled=False)).flatten(0, 1)[taught]
            for model in (student, teacher)
        )
        p = (known / temperature).softmax(-1)
        slow = (p * (p.log() - (said / temperature).log_softmax(-1))).sum() * temperature**2
        hard = causal_loss(student, batch, compiled=False)
        torch.testing.assert_close(found, share * slow + (1 - share) * hard, rtol=1e-4, atol=1e-3)
    config = loop(steps=40, eval_every=0, checkpoint_every=0)
    objective = RowsObjective(RowsData(rows(1), 4), Distillation(teacher, 1.0, 1.0), "distill")
    run = new_run(tmp_path, config, "student")
    carry_out(run, Setup(fresh_decoder(tiny_config(), 6), objective, config, LENGTH))
    losses = [line["loss"] for line in run.metrics()]
    assert losses[-1] < 0.5 * losses[0]
    with pytest.raises(InputError, match="teacher has 41 tokens, but the student 40"):
        check_teacher(40, 41)


def test_only_one_label_of_several_can_be_trained() -> None:
    model = encoder("classify", 2)
    object.__setattr__(model.config, "problem", "multi")
    with pytest.raises(UnsupportedError, match="'multi'"):
        labelled_loss(model, classes([np.random.default_rng(1)]))
