"""The block pool: never lost, never freed twice, never the wrong content."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from engine_harness import check_counts
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from kataribe.run.inference.blocks import BlockPool, BlockTable

CAPACITY, SIZE = 12, 3


class Pool(RuleBasedStateMachine):
    """Tables come, grow, fork and go; a memory beside the pool shows what each block holds."""

    reuses = True

    def __init__(self):
        super().__init__()
        self.pool = BlockPool(CAPACITY, SIZE, self.reuses)
        self.memory = np.full((CAPACITY, SIZE), -1)
        self.tables: list[tuple[BlockTable, list[int]]] = []

    @rule(ids=st.lists(st.integers(0, 1), min_size=1, max_size=20), growth=st.integers(0, 9))
    def begin(self, ids, growth):
        table, known = BlockTable(), np.array(ids, dtype=np.int64)
        found = self.pool.match(table, known, len(ids) - 1)
        unused = self.pool.unused(found)
        if self.pool.blocks_for(len(ids)) - len(found) > self.pool.free - unused:
            return
        self.pool.attach(table, found)
        start = len(found) * SIZE
        # What was found holds what was asked for.
        assert self.memory[found].reshape(-1).tolist() == ids[:start]
        assert self.pool.grow(table, len(ids), growth)
        self._write(table, ids, start)
        self.tables.append((table, ids))

    @precondition(lambda self: self.tables)
    @rule(data=st.data(), more=st.lists(st.integers(0, 1), min_size=1, max_size=7))
    def extend(self, data, more):
        table, ids = data.draw(st.sampled_from(self.tables))
        before, free = list(table.blocks), self.pool.free
        fits = self.pool.blocks_for(len(ids) + len(more)) - len(before) <= free
        assert self.pool.grow(table, len(ids) + len(more), 4) == fits
        if not fits:
            assert (table.blocks, self.pool.free) == (before, free)
            return
        ids += more
        self._write(table, ids, len(ids) - len(more))

    @precondition(lambda self: self.tables)
    @rule(data=st.data())
    def fork(self, data):
        table, ids = data.draw(st.sampled_from(self.tables))
        forked = self.pool.fork(table, len(ids))
        copied = int(len(ids) % SIZE > 0) if self.reuses else len(table.blocks)
        if forked is None:
            assert self.pool.free < copied
            return
        child, copies = forked
        assert len(copies) == copied
        for source, target in copies:
            self.memory[target] = self.memory[source]
        self.tables.append((child, list(ids)))

    @precondition(lambda self: self.tables)
    @rule(data=st.data())
    def release(self, data):
        place = data.draw(st.integers(0, len(self.tables) - 1))
        table, _ = self.tables.pop(place)
        self.pool.release(table)
        self.pool.release(table)  # once more does no harm

    def _write(self, table, ids, start):
        shared = Counter(block for other, _ in self.tables for block in other.blocks)
        for position in range(start, len(ids)):
            block = table.blocks[position // SIZE]
            assert shared[block] <= 1, "a shared block is written to"
            self.memory[block, position % SIZE] = ids[position]
        self.pool.commit(table, np.array(ids, dtype=np.int64), len(ids))

    @invariant()
    def every_table_holds_its_tokens(self):
        for table, ids in self.tables:
            assert self.memory[table.blocks].reshape(-1)[: len(ids)].tolist() == ids
            assert len(set(table.blocks)) == len(table.blocks)

    @invariant()
    def everything_is_counted(self):
        counts = Counter(block for table, _ in self.tables for block in table.blocks)
        check_counts(self.pool, counts)


class PoolApart(Pool):
    """The same without reuse: no block is ever in two tables or found again."""

    reuses = False

    @invariant()
    def nothing_is_shared_or_kept(self):
        blocks = [block for table, _ in self.tables for block in table.blocks]
        assert len(set(blocks)) == len(blocks)
        assert self.pool.reusable == 0

    @rule()
    def gone_ones_are_told_once_and_begin_no_other_table(self):
        gone = self.pool.take_gone()
        assert not set(gone) & {table.blocks[0] for table, _ in self.tables}
        assert self.pool.take_gone() == ()


TestPool = Pool.TestCase
TestPoolApart = PoolApart.TestCase
for case in (TestPool, TestPoolApart):
    case.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


def test_without_reuse_the_first_block_of_a_released_table_is_told():
    pool = BlockPool(8, 4, reuses_prefixes=False)
    one, two = _table(pool, [1] * 9), _table(pool, [1] * 9)
    first = one.blocks[0], two.blocks[0]
    pool.release(one)
    pool.release(two)
    pool.release(two)
    assert pool.take_gone() == tuple(sorted(first))
    pool.release(_table(pool, [1] * 9))
    again = _table(pool, [1] * 9)
    assert again.blocks[0] not in pool.take_gone()


def _table(pool, ids, growth=0):
    table = BlockTable()
    known = np.array(ids, dtype=np.int64)
    pool.attach(table, pool.match(table, known, len(ids) - 1))
    assert pool.grow(table, len(ids), growth)
    pool.commit(table, known, len(ids))
    return table


def _is_one_run(table):
    return table.blocks == list(range(table.blocks[0], table.blocks[0] + len(table.blocks)))


def test_equal_blocks_after_different_beginnings_are_not_confused():
    pool = BlockPool(16, 4)
    pool.release(_table(pool, [1, 1, 1, 1, 5, 5, 5, 5]))
    other = np.array([2, 2, 2, 2, 5, 5, 5, 5, 9])
    assert pool.match(BlockTable(), other, 8) == []


def test_the_least_recently_used_goes_first_and_the_end_of_a_chain_before_its_beginning():
    pool = BlockPool(8, 4)
    old, new = [1] * 16, [2] * 16
    pool.release(_table(pool, old))
    pool.release(_table(pool, new))
    _table(pool, [3] * 8)
    found_old = len(pool.match(BlockTable(), np.array(old), 16))
    found_new = len(pool.match(BlockTable(), np.array(new), 16))
    assert (found_old, found_new) == (2, 4)


def test_growing_tables_stay_one_ascending_run_while_there_is_room():
    pool = BlockPool(64, 4)
    tables = [_table(pool, [each] * 8, growth=40) for each in range(4)]
    for length in range(8, 48, 4):
        for table in tables:
            assert pool.grow(table, length, 48 - length)
    assert all(_is_one_run(table) for table in tables)


def test_holds_are_given_back_when_nothing_else_is_free():
    pool = BlockPool(8, 4)
    greedy = _table(pool, [1] * 4, growth=100)
    other = _table(pool, [2] * 24)
    assert pool.free == 1
    assert pool.grow(greedy, 8)
    assert pool.free == 0
    assert not pool.grow(other, 28)
    # The other took from the far end, so the first could still grow in place.
    assert _is_one_run(greedy)


def test_old_cached_blocks_make_way_for_a_straight_run_but_recent_ones_stay():
    pool = BlockPool(32, 4)
    for each in range(8):  # all of the cache is taken by eight old conversations
        pool.release(_table(pool, [each] * 16))
    table = _table(pool, [50] * 32)
    assert _is_one_run(table)
    kept = [len(pool.match(BlockTable(), np.array([each] * 16), 16)) for each in range(8)]
    assert kept[4:] == [4, 4, 4, 4]


def test_a_table_with_blocks_cannot_be_attached():
    pool = BlockPool(8, 4)
    table = _table(pool, [1, 2, 3])
    with pytest.raises(RuntimeError):
        pool.attach(table, [])
