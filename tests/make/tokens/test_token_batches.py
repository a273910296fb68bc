"""Batches: every token once an epoch, documents kept apart, the same again on resuming."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from kataribe.base.errors import InputError
from kataribe.make.tokens.batches import IGNORED, PADDING, Batch, Batches, PairBatch, shuffled
from kataribe.make.tokens.document_marks import DocumentMarks
from kataribe.make.tokens.packing import Examples, PackedRows, cut, pack
from kataribe.make.tokens.stream_rows import StreamRows
from tests.make.tokens import token_folders
from tests.make.tokens.hard_texts import a_seed

SHARED, APART = DocumentMarks(1, 1), DocumentMarks(1, 2)


def _documents(seed: int, count: int, longest: int = 40) -> list[list[int]]:
    print(f"seed {seed}")
    dice = random.Random(seed)
    return [
        [dice.randrange(10, 1000) for _ in range(dice.randrange(1, longest))] for _ in range(count)
    ]


def _slow_row(stream: list[tuple[int, int, int]], row: list[int], marks: DocumentMarks) -> Batch:
    """A row the plain way. `stream` holds (id, document, place in it); `row` places in it."""
    ids, targets, positions, documents = [], [], [], []
    for at, place in enumerate(row):
        token, document, _ = stream[place]
        following = stream[(place + 1) % len(stream)]
        last = following[1] != document or (place + 1 == len(stream))
        if last:
            targets.append(IGNORED if marks.writes_end else marks.end)
        else:
            targets.append(following[0])
        new = at == 0 or stream[row[at - 1]][1] != document or row[at - 1] > place
        positions.append(0 if new else positions[-1] + 1)
        documents.append(0 if at == 0 else documents[-1] + new)
        ids.append(token)
    arrays = [np.array([each], np.int64) for each in (ids, targets, positions)]
    return Batch(*arrays, np.array([documents], np.int32))


def _equal(one: Batch, other: Batch) -> None:
    for name in ("ids", "targets", "positions", "documents"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), name)


@pytest.mark.parametrize("marks", [SHARED, APART])
def test_rows_of_the_stream_are_those_of_the_plain_way(
    tmp_path: Path, marks: DocumentMarks
) -> None:
    seed = 20261122  # the offsets of three epochs differ by it; by chance two may be the same
    documents = _documents(seed, 30)
    data = token_folders.write(tmp_path / "data", documents, marks)
    rows = StreamRows(data, "train", 16)
    stream = [
        (token, number, place)
        for number, ids in enumerate(documents)
        for place, token in enumerate(
            [marks.begin, *ids, *([marks.end] if marks.writes_end else [])]
        )
    ]
    plan = Batches(len(rows), 1, seed=seed)
    offsets = set()
    for step in range(3 * len(rows)):
        batch = plan.at(rows, step)
        (pick,) = plan.picks(step)
        first = (rows._offset(pick) + pick.index * 16) % len(stream)
        offsets.add(rows._offset(pick))
        places = [(first + at) % len(stream) for at in range(16)]
        _equal(batch, _slow_row(stream, places, marks))
        assert batch.filled == 16
    assert len(offsets) == 3  # each epoch cuts elsewhere


@pytest.mark.parametrize("marks", [SHARED, APART])
def test_evaluation_sees_every_token_once(tmp_path: Path, marks: DocumentMarks) -> None:
    documents = _documents(3, 25)
    data = token_folders.write(tmp_path / "data", documents, marks)
    rows = StreamRows(data, "train", 16)
    for ranks in (1, 2, 3):
        batches = [b for rank in range(ranks) for b in rows.in_order(4, rank=rank, ranks=ranks)]
        ids = sorted(i for b in batches for i in b.ids[b.documents != PADDING].tolist())
        assert ids == sorted(data.tokens("train").tolist())
        # Every text is taught whole, and its end: that is what bits per byte divide.
        expected = sum(len(ids) + 1 for ids in documents)
        assert sum(batch.taught for batch in batches) == expected
        assert all((b.targets[b.documents == PADDING] == IGNORED).all() for b in batches)


def test_epochs_take_each_row_once_in_orders_of_their_own() -> None:
    plan = Batches(50, 8, seed=7)
    picks = [pick for step in range(25) for pick in plan.picks(step)]
    for epoch in range(4):
        assert sorted(p.index for p in picks if p.epoch == epoch) == list(range(50))
    assert [p.index for p in picks[:50]] != [p.index for p in picks[50:100]]
    assert plan.epochs(25) == 4.0
    other = Batches(50, 8, seed=8)
    assert [p.index for p in other.picks(0)] != [p.index for p in plan.picks(0)]


def _split_mix(value: int) -> int:
    """SplitMix64 with Python's own numbers."""
    value = (value + 0x9E3779B97F4A7C15) % 2**64
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    value = (value ^ value >> 27) * 0x94D049BB133111EB % 2**64
    return value ^ value >> 31


def test_the_order_is_the_same_everywhere() -> None:
    for seed, epoch in ((1, 2), (2**62 + 5, 0)):
        start = _split_mix(_split_mix(seed) ^ epoch * 0xD1342543DE82EF95 % 2**64)
        expected = sorted(range(100), key=lambda each: _split_mix((each + start) % 2**64))
        assert shuffled(seed, epoch, 100).tolist() == expected
    assert shuffled(1, 2, 10).tolist() == [1, 7, 6, 3, 0, 4, 8, 2, 9, 5]


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_processes_share_a_batch(tmp_path: Path, ranks: int) -> None:
    rows = StreamRows(token_folders.write(tmp_path / "data", _documents(5, 60)), "train", 16)
    whole = Batches(len(rows), 4, seed=3)
    shares = [Batches(len(rows), 4, seed=3, rank=rank, ranks=ranks) for rank in range(ranks)]
    for step in (0, 1, 9, 40):
        expected = whole.at(rows, step)
        for rank, share in enumerate(shares):
            got = share.at(rows, step)
            np.testing.assert_array_equal(got.ids, expected.ids[rank::ranks])
            np.testing.assert_array_equal(got.targets, expected.targets[rank::ranks])


def test_a_batch_can_be_had_at_any_step_and_by_a_new_plan(tmp_path: Path) -> None:
    data = token_folders.write(tmp_path / "data", _documents(6, 60))
    rows = StreamRows(data, "train", 16)
    one = [Batches(len(rows), 4, seed=3).at(rows, step) for step in range(30)]
    again = StreamRows(data, "train", 16)
    for step in reversed(range(30)):
        _equal(one[step], Batches(len(again), 4, seed=3).at(again, step))


def test_too_little_data_is_told_with_both_numbers(tmp_path: Path) -> None:
    data = token_folders.write(tmp_path / "data", [[5] * 30])
    with pytest.raises(InputError, match="has 31 tokens, but one row takes 32"):
        StreamRows(data, "train", 32)
    rows = StreamRows(data, "train", 10)
    with pytest.raises(InputError, match="make 3 rows, but one batch takes 4"):
        Batches(len(rows), 4, seed=0)
    with pytest.raises(InputError, match="6 rows cannot be shared evenly by 4"):
        Batches(100, 6, seed=0, ranks=4)
    with pytest.raises(InputError, match="at least 2"):
        StreamRows(data, "train", 1)
    with pytest.raises(InputError, match="planned for 2 rows, but the data make 3"):
        Batches(2, 1, seed=0).at(rows, 0)
    with pytest.raises(InputError, match="Step -1"):
        Batches(2, 1, seed=0).picks(-1)
    with pytest.raises(InputError, match="process 2 of 2"):
        Batches(2, 2, seed=0, rank=2, ranks=2)
    with pytest.raises(InputError, match="seed -1"):
        Batches(2, 2, seed=-1)


def test_a_batch_of_arrays_that_do_not_fit_is_refused() -> None:
    ids = np.zeros((2, 3), np.int64)
    documents = np.zeros((2, 3), np.int32)
    with pytest.raises(InputError, match=r"documents of a batch is int64\[2, 3\]"):
        Batch(ids, ids, ids, ids)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="targets of a batch"):
        Batch(ids, ids[:1], ids, documents)
    good = Batch(ids, ids, ids, documents)
    less = Batch(ids[:1], ids[:1], ids[:1], documents[:1])
    with pytest.raises(InputError, match="2 rows on its source's side and 1"):
        PairBatch(good, less)


def test_packing_holds_every_document_once_with_little_waste() -> None:
    seed = a_seed()
    print(f"seed {seed}")
    dice = np.random.default_rng(seed)
    lengths = np.clip(dice.lognormal(4.5, 0.9, 4000).astype(np.int64), 1, 1024)
    packing = pack(lengths, 1024)
    assert sorted(packing.order.tolist()) == list(range(4000))
    for row in range(len(packing)):
        assert 0 < lengths[packing.row(row)].sum() <= 1024
    assert packing.used == lengths.sum()
    assert packing.waste == 1 - lengths.sum() / (1024 * len(packing))
    assert packing.waste < 0.02
    assert packing.order.tolist() == pack(lengths, 1024).order.tolist()


def test_packing_takes_the_fullest_row_that_fits() -> None:
    packing = pack([6, 7, 3, 2, 4], 10)  # 6+4, whose shortest is longer than that of 7+3, and 2
    assert [sorted(packing.row(row).tolist()) for row in range(len(packing))] == [
        [0, 4],
        [1, 2],
        [3],
    ]


@pytest.mark.parametrize(("capacity", "most"), [(512, 0.02), (1024, 0.01), (4096, 0.02)])
def test_long_examples_fill_short_rows(capacity: int, most: float) -> None:
    # as long as the worked examples of gsm8k: 183 tokens in the middle, at least 76
    dice = np.random.default_rng(5)
    lengths = np.clip(dice.lognormal(5.21, 0.38, 7000).astype(np.int64), 76, 512)
    packing = pack(lengths, capacity)
    assert sorted(packing.order.tolist()) == list(range(7000))
    used = [int(lengths[packing.row(row)].sum()) for row in range(len(packing))]
    assert max(used) <= capacity
    assert sum(used) == packing.used == lengths.sum()
    assert packing.waste < most


def test_packing_begins_with_the_longest_where_that_is_better() -> None:
    # fullest first makes 4 + 4 + 4, which leaves 9, 9 and 8 alone
    packing = pack([4, 4, 4, 9, 9, 8], 13)
    assert len(packing) == 3
    assert packing.waste == pytest.approx(1 - 38 / 39)


def test_packing_refuses_what_no_row_holds() -> None:
    with pytest.raises(InputError, match="Document 1 has 11 tokens, but a row holds 10"):
        pack([3, 11], 10)
    with pytest.raises(InputError, match="no document"):
        pack([], 10)


def test_packed_rows_teach_what_is_to_be_taught() -> None:
    examples = Examples.gather(
        [([5, 6, 7], [False, True, True]), ([8, 9], [False, True]), ([4] * 4, [False] * 4)]
    )
    rows = PackedRows(examples, 5, pad_id=0)
    (batch,) = rows.in_order(8)
    by_first = {int(row[0]): at for at, row in enumerate(batch.ids)}
    four, five = by_first[4], by_first[5]
    assert batch.ids[five].tolist() == [5, 6, 7, 8, 9]
    assert batch.targets[five].tolist() == [6, 7, IGNORED, 9, IGNORED]
    assert batch.positions[five].tolist() == [0, 1, 2, 0, 1]
    assert batch.documents[five].tolist() == [0, 0, 0, 1, 1]
    assert batch.ids[four].tolist() == [4, 4, 4, 4, 0]
    assert batch.documents[four].tolist() == [0, 0, 0, 0, PADDING]
    assert batch.targets[four].tolist() == [IGNORED] * 5
    picked = Batches(len(rows), 2, seed=0).at(rows, 0)
    assert sorted(picked.ids.tolist()) == sorted(batch.ids.tolist())


def test_cutting_holds_every_token_once() -> None:
    seed = a_seed()
    print(f"seed {seed}")
    dice = random.Random(seed)
    lengths = [dice.randrange(1, 400) for _ in range(300)]
    spans, at = [], 0
    for length in lengths:
        spans.append((at + 1, length))
        at += length + 2
    pieces = cut(spans, (128,), lambda n: (n + 2,))
    held = [
        p
        for start, n in zip(pieces.starts, pieces.lengths, strict=True)
        for p in range(start, start + n)
    ]
    assert held == [p for start, n in spans for p in range(start, start + n)]
    used = [sum(n + 2 for _, n in pieces.row(row)) for row in range(len(pieces))]
    assert max(used) <= 128
    assert sum(used[:-1]) > 0.98 * 128 * (len(used) - 1)
    with pytest.raises(InputError, match="no room for one"):
        cut(spans, (2,), lambda n: (n + 2,))
