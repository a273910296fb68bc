"""States of recurrent layers, of many sequences: who has which, and the step that moves them on.

A sequence is known by the first block of its table, which no other shares (see
`Runner.reuses_prefixes`). It has two places: one with its state at the start of the newest step,
one with that at its end. So a step that failed, or whose logits were refused, can be computed
again from the same state; and the next step overwrites the older one.

States are float32, whatever the type of the weights: they are summed over thousands of tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from kataribe.base.errors import KataribeError
from kataribe.make.model.layers.recurrence import Recurrence, State
from kataribe.run.inference.step import Slice, StepBatch

_UNDONE = -1
"""In place of its length, of a state that the step has yet to write: no slice begins there."""


class StateStore:
    """Keeps states of at most so many sequences.

    Args:
        recurrences: The recurrent layers by their numbers.
        sequences: How many sequences at most.
        like: A tensor that lies where states are to lie.
    """

    def __init__(self, recurrences: Mapping[int, Recurrence], sequences: int, like: Tensor) -> None:
        self._sequences = sequences
        # Two for each, and as many for those that have gone since the last step. The system gives
        # memory for a place when it is first written, and what was given back last is taken first.
        places = 4 * sequences
        self._free = list(range(places, 0, -1))  # place 0 is that of nothing read
        self._places: dict[int, dict[int, int]] = {}  # first block -> length -> place
        self.pools: dict[int, State] = {}
        """By layer, the states of all places, where they are of one size."""
        self.grown: dict[int, dict[int, State]] = {}
        """By layer and place, states that grow with what was read."""
        for layer, recurrence in recurrences.items():
            if recurrence.fixed:
                self.pools[layer] = recurrence.start(places + 1, like)
            else:
                self.grown[layer] = {0: recurrence.start(1, like)}

    @property
    def size_bytes(self) -> int:
        """Bytes of the states that sequences have now."""
        places = [place for known in self._places.values() for place in known.values()]
        fixed = sum(part[0].nbytes for pool in self.pools.values() for part in pool)
        grown = (states[place] for states in self.grown.values() for place in places)
        return len(places) * fixed + sum(part.nbytes for state in grown for part in state)

    @property
    def sequences(self) -> int:
        """How many sequences have a state."""
        return len(self._places)

    def begin(self, batch: StepBatch) -> list[tuple[int, int]]:
        """For each slice, the place of the state at its start and that for the one at its end.

        Raises `KataribeError` where a sequence has no state at its slice's start, or where there
        are more sequences than places.
        """
        for block in batch.gone:
            self._forget(block)
        return [self._move(part) for part in batch.slices]

    def end(self, batch: StepBatch, moves: Sequence[tuple[int, int]]) -> None:
        """Takes note that the states at the end of these slices have been written."""
        for part, (_, after) in zip(batch.slices, moves, strict=True):
            known = self._places[part.blocks[0]]
            del known[_UNDONE]
            known[part.start + len(part.ids)] = after

    def copy(self, pairs: Sequence[tuple[int, int]]) -> None:
        """Gives sequences that begin in the second block of a pair the states of the first's."""
        for source, target in pairs:
            if source not in self._places:
                continue
            self._forget(target)
            copied: dict[int, int] = {}
            for length, place in self._places[source].items():
                copied[length] = self._take()
                self._copy_place(place, copied[length])
            self._places[target] = copied

    def _move(self, part: Slice) -> tuple[int, int]:
        first, start = part.blocks[0], part.start
        known = self._places.get(first, {})
        if start and start not in known:
            raise KataribeError(
                f"The state of a sequence at token {start} is not there; known are those at "
                f"{sorted(known) or 'none'}. It must be read anew from its beginning."
            )
        before = known[start] if start else 0
        for length in [length for length in known if length != start]:
            self._give_back(known.pop(length))
        after = self._take()
        self._places[first] = {**known, _UNDONE: after}
        return before, after

    def _take(self) -> int:
        if not self._free:
            raise KataribeError(
                f"There are more replies at a time than the {self._sequences} that the model has "
                "states for."
            )
        return self._free.pop()

    def _give_back(self, place: int) -> None:
        self._free.append(place)
        for states in self.grown.values():
            states.pop(place, None)

    def _forget(self, block: int) -> None:
        for place in set(self._places.pop(block, {}).values()):
            self._give_back(place)

    def _copy_place(self, source: int, target: int) -> None:
        for pool in self.pools.values():
            for part in pool:
                part[target] = part[source]
        for states in self.grown.values():
            states[target] = states[source]  # such states are never written to in place


class StateStep:
    """The `recur` of one step: see `kataribe.make.model.layers.past.Past`."""

    def __init__(self, store: StateStore, batch: StepBatch) -> None:
        self._store, self._batch = store, batch
        self._moves = store.begin(batch)
        self._chunks: list[tuple[int, int, int, int]] = []  # rows low:high, before, after
        singles: list[tuple[int, int, int]] = []
        row = 0
        for part, (before, after) in zip(batch.slices, self._moves, strict=True):
            end = row + len(part.ids)
            if end - row == 1:
                singles.append((row, before, after))
            else:
                self._chunks.append((row, end, before, after))
            row = end
        self._rows, self._before, self._after = torch.tensor(singles or [(0, 0, 0)]).unbind(1)
        self._singles = singles
        self._total = row

    def recur(self, layer: int, x: Tensor, recurrence: Recurrence) -> Tensor:
        """(tokens, out width) from (tokens, width), all tokens of the step in its order."""
        parts: list[tuple[int, int, Tensor]] = []
        fixed = layer in self._store.pools
        for low, high, before, after in self._chunks:
            parts.append((low, high, self._read(layer, x[low:high], before, after, recurrence)))
        if self._singles and not fixed:
            for low, before, after in self._singles:
                one = self._read(layer, x[low : low + 1], before, after, recurrence)
                parts.append((low, low + 1, one))
        if len(parts) == 1 and parts[0][1] - parts[0][0] == self._total:
            return parts[0][2]
        together = self._together(layer, x, recurrence) if self._singles and fixed else None
        if together is not None and not parts:
            return together
        width = (parts[0][2] if together is None else together).shape[-1]
        out = x.new_empty(self._total, width, dtype=torch.float32)
        for low, high, found in parts:
            out[low:high] = found
        if together is not None:
            out[self._rows.to(out.device)] = together
        return out

    def done(self) -> None:
        """The step was computed to its end."""
        self._store.end(self._batch, self._moves)

    def _read(
        self, layer: int, x: Tensor, before: int, after: int, recurrence: Recurrence
    ) -> Tensor:
        """Of one sequence."""
        store = self._store
        if layer in store.pools:
            pool = store.pools[layer]
            state = tuple(part[before : before + 1] for part in pool)
        else:
            state = store.grown[layer][before]
        out, state = recurrence.advance(x[None], state, None)
        if layer in store.pools:
            for kept, part in zip(pool, state, strict=True):
                kept[after] = part[0]
        else:
            store.grown[layer][after] = state
        return out[0]

    def _together(self, layer: int, x: Tensor, recurrence: Recurrence) -> Tensor:
        """One token each of several sequences, in the order of the step."""
        pool = self._store.pools[layer]
        device = x.device
        before, after = self._before.to(device), self._after.to(device)
        chosen = x if len(self._singles) == self._total else x[self._rows.to(device)]
        state = tuple(part.index_select(0, before) for part in pool)
        out, state = recurrence.advance(chosen[:, None], state, None)
        for kept, part in zip(pool, state, strict=True):
            kept.index_copy_(0, after, part)
        return out[:, 0]
