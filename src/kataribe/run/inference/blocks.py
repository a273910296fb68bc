"""Who owns which block of the paged KV cache, and what can be used again.

A block holds keys and values of `block_size` consecutive positions (paged attention; Kwon et al.
2023). Full blocks never change, so sequences with an equal beginning share them: each full block
is known by a chained 128-bit BLAKE2 digest of all tokens up to its end. A block that nobody uses
keeps its content until its place is needed; the least recently used goes first, ends of chains
before their beginnings.

The runner reads blocks that lie side by side without gathering them. So a table is given one
ascending run where possible, and the places behind it are held for its growth. A hold is a wish:
when nothing else is free, others take from its far end.

Where a sequence's past is more than keys and values by position (the state of a recurrent layer,
a prompt that was read both ways), a block is worth nothing without the rest of that past: then
blocks are neither shared nor kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from itertools import count

import numpy as np
from numpy.typing import NDArray

_DIGEST_BYTES = 16
_table_ids = count(1)


class BlockTable:
    """The blocks of one sequence, in order of its positions.

    Attributes:
        blocks: Block numbers; owned by the pool, not to be changed by others.
        registered: How many of them, from the front, have been offered for reuse.
        digests: Chained digests of the sequence's full blocks; they outlive the blocks.
    """

    __slots__ = ("_hold", "_id", "blocks", "digests", "registered")

    def __init__(self) -> None:
        self.blocks: list[int] = []
        self.registered = 0
        self.digests: list[bytes] = []
        self._id = next(_table_ids)
        self._hold = (0, 0)


class BlockPool:
    """Counts the blocks of one cache. Not safe for use from several threads.

    Args:
        capacity: Blocks in the cache.
        block_size: Positions in each block.
        reuses_prefixes: Blocks are shared by equal beginnings and kept for later; see
            `Runner.reuses_prefixes`.
    """

    def __init__(self, capacity: int, block_size: int, reuses_prefixes: bool = True) -> None:
        self.capacity = capacity
        self.block_size = block_size
        self.reuses_prefixes = reuses_prefixes
        self.free = capacity
        self._references = np.zeros(capacity, dtype=np.int32)
        self._stamps = np.zeros(capacity, dtype=np.int64)  # last use; 0: nothing to use again
        self._holders = np.zeros(capacity, dtype=np.int64)  # id of the table that hopes for it
        self._contents: list[bytes | None] = [None] * capacity
        self._index: dict[bytes, int] = {}
        self._clock = 1
        self._gone: set[int] = set()

    @property
    def used(self) -> int:
        """Blocks that belong to at least one table."""
        return self.capacity - self.free

    @property
    def reusable(self) -> int:
        """Blocks whose content a new sequence could take over."""
        return len(self._index)

    def blocks_for(self, tokens: int) -> int:
        """Blocks that hold so many positions."""
        return -(-tokens // self.block_size)

    def match(self, table: BlockTable, ids: NDArray[np.int64], limit: int) -> list[int]:
        """The longest run of cached blocks that holds the beginning of `ids`.

        Args:
            table: Of the sequence; its digests are extended as needed.
            ids: All tokens of the sequence.
            limit: Positions that may come out of the cache at most.
        """
        if not self.reuses_prefixes:
            return []
        self._extend_digests(table, ids, limit)
        found: list[int] = []
        for digest in table.digests[: limit // self.block_size]:
            block = self._index.get(digest)
            if block is None:
                break
            found.append(block)
        return found

    def unused(self, blocks: Sequence[int]) -> int:
        """How many of these blocks are free, so that attaching them makes `free` smaller."""
        return sum(1 for block in blocks if self._references[block] == 0)

    def attach(self, table: BlockTable, blocks: Sequence[int]) -> None:
        """Lets an empty table begin with blocks that `match` has just found."""
        if table.blocks:
            raise RuntimeError("A block table that has blocks cannot be attached to others.")
        for block in blocks:
            if self._references[block] == 0:
                self.free -= 1
                self._holders[block] = 0
            self._references[block] += 1
        table.blocks = list(blocks)
        table.registered = len(blocks)

    def grow(self, table: BlockTable, tokens: int, growth: int = 0) -> bool:
        """Makes a table cover `tokens` positions; False, and nothing done, if too few are free.

        Args:
            table: To be extended.
            tokens: Positions that it must hold.
            growth: Positions that may follow later; places for them are held while nobody
                needs them.
        """
        need = self.blocks_for(tokens) - len(table.blocks)
        if need > self.free:
            return False
        while need > 0:
            need -= self._continue_run(table, need) or self._start_run(
                table, need, self.blocks_for(growth)
            )
        return True

    def commit(self, table: BlockTable, ids: NDArray[np.int64], length: int) -> None:
        """Offers the blocks that the first `length` tokens of `ids` have filled for reuse."""
        full = length // self.block_size
        if full <= table.registered or not self.reuses_prefixes:
            return
        self._extend_digests(table, ids, length)
        for place in range(table.registered, full):
            block, digest = table.blocks[place], table.digests[place]
            if digest not in self._index:
                self._index[digest] = block
                self._contents[block] = digest
        table.registered = full

    def fork(
        self, table: BlockTable, tokens: int
    ) -> tuple[BlockTable, list[tuple[int, int]]] | None:
        """A second table with the same first `tokens` positions; None if too few blocks are free.

        Full blocks are shared. A block that is filled in part is to be copied: the pair (source,
        target) says so, and the copy must be made before either table is written to. Where
        nothing is shared, all blocks are copied, the first one first.
        """
        shared = tokens // self.block_size if self.reuses_prefixes else 0
        copied = self.blocks_for(tokens) - shared
        if copied > self.free:
            return None
        child = BlockTable()
        child.digests = table.digests[:shared]
        self.attach(child, table.blocks[:shared])
        child.registered = min(shared, table.registered)
        self.grow(child, tokens)
        pairs = zip(table.blocks[shared:], child.blocks[shared:], strict=False)
        return child, list(pairs)

    def release(self, table: BlockTable) -> None:
        """Takes all blocks from a table; what was registered stays for reuse until evicted."""
        total = len(table.blocks)
        if total and not self.reuses_prefixes:
            self._gone.add(table.blocks[0])
        for place, block in enumerate(table.blocks):
            self._references[block] -= 1
            if self._references[block] == 0:
                self.free += 1
                cached = self._contents[block] is not None
                self._stamps[block] = self._clock + total - place if cached else 0
        self._clock += total + 1
        table.blocks = []
        table.registered = 0
        self._drop_hold(table)

    def take_gone(self) -> tuple[int, ...]:
        """First blocks of tables released since the last call; see `StepBatch.gone`."""
        gone = tuple(sorted(self._gone))
        self._gone.clear()
        return gone

    def _extend_digests(self, table: BlockTable, ids: NDArray[np.int64], length: int) -> None:
        size = self.block_size
        previous = table.digests[-1] if table.digests else b""
        for place in range(len(table.digests), length // size):
            content = ids[place * size : (place + 1) * size].tobytes()
            previous = blake2b(previous + content, digest_size=_DIGEST_BYTES).digest()
            table.digests.append(previous)

    def _take(self, table: BlockTable, block: int) -> None:
        digest = self._contents[block]
        if digest is not None:
            del self._index[digest]
            self._contents[block] = None
        self._stamps[block] = 0
        self._holders[block] = 0
        self._references[block] = 1
        self.free -= 1
        if not table.blocks:
            self._gone.discard(block)  # what it was the first of is begun anew
        table.blocks.append(block)

    def _continue_run(self, table: BlockTable, need: int) -> int:
        """Takes blocks behind the last one, while they are held for this table or blank."""
        if not table.blocks:
            return 0
        first = table.blocks[-1] + 1
        taken = 0
        for block in range(first, min(first + need, self.capacity)):
            holder = self._holders[block]
            blank = holder == 0 and self._contents[block] is None
            if self._references[block] or not (blank or holder == table._id):
                break
            self._take(table, block)
            taken += 1
        return taken

    def _start_run(self, table: BlockTable, need: int, growth: int) -> int:
        """Takes a new run and holds the places behind it; the number of blocks taken."""
        self._drop_hold(table)
        start, length = self._find_run(need, need + growth)
        taken = min(need, length)
        for block in range(start, start + taken):
            self._take(table, block)
        hold = (start + taken, start + min(length, need + growth))
        self._holders[hold[0] : hold[1]] = table._id
        table._hold = hold
        return taken

    def _drop_hold(self, table: BlockTable) -> None:
        first, last = table._hold
        held = self._holders[first:last]
        held[held == table._id] = 0
        table._hold = (0, 0)

    def _find_run(self, need: int, wanted: int) -> tuple[int, int]:
        """Start and length of the best run of free blocks; the length may be below `need`.

        First the smallest blank run with room to grow, then the one that was used longest ago
        among the older half of what is cached (so that a recent prefix is not thrown away for a
        straight run), then the same without room to grow, then whatever is longest, last of all
        out of other tables' holds.
        """
        free = self._references == 0
        unheld = free & (self._holders == 0)
        blank = unheld & (self._stamps == 0)
        old = unheld & (self._stamps <= self._middle_stamp(unheld))
        starts, lengths = _runs(blank)
        fitting = np.flatnonzero(lengths >= wanted)
        if fitting.size:
            return int(starts[fitting[np.argmin(lengths[fitting])]]), wanted
        start = self._oldest_window(old, wanted)
        if start is not None:
            return start, wanted
        if lengths.size and lengths.max() >= need:
            return int(starts[np.argmax(lengths)]), int(lengths.max())
        for mask in (old, unheld):
            start = self._oldest_window(mask, need)
            if start is not None:
                return start, need
        return self._longest(unheld if unheld.any() else free, need)

    def _oldest_window(self, mask: NDArray[np.bool_], length: int) -> int | None:
        """Where so many blocks of `mask` lie side by side, used longest ago together."""
        if length > mask.size:
            return None
        inside = np.concatenate([[0], np.cumsum(mask)])
        stamps = np.concatenate([[0], np.cumsum(self._stamps)])
        places = np.flatnonzero(inside[length:] - inside[:-length] == length)
        if not places.size:
            return None
        ages = stamps[places + length] - stamps[places]
        return int(places[np.argmin(ages)])

    def _longest(self, mask: NDArray[np.bool_], need: int) -> tuple[int, int]:
        starts, lengths = _runs(mask)
        best = int(np.argmax(lengths))
        length = min(int(lengths[best]), need)
        # From the end, so that a table whose hold this is can still grow at its beginning.
        return int(starts[best] + lengths[best]) - length, length

    def _middle_stamp(self, mask: NDArray[np.bool_]) -> int:
        stamps = self._stamps[mask]
        if not stamps.size:
            return 0
        return int(np.partition(stamps, stamps.size // 2)[stamps.size // 2])


def _runs(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Starts and lengths of the runs of True."""
    edges = np.flatnonzero(np.diff(mask, prepend=False, append=False))
    starts = edges[::2].astype(np.int64)
    return starts, edges[1::2] - starts
