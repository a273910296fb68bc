"""What is held out: its share, its hashes, its labels, and that training never sees it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kataribe.base.errors import InputError
from kataribe.make.tokens.apart import check_apart, hold_out
from kataribe.make.tokens.labelled import PairRows
from kataribe.make.training.instruction import _conversations
from kataribe.make.training.labelling import _rows
from tests.make.tokens import trained


def _chat(question: str, answer: str = "Yes.") -> dict[str, Any]:
    turns = (("user", question), ("assistant", answer))
    return {"messages": [{"role": role, "content": said} for role, said in turns]}


def _write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def _said(conversations: list[Any]) -> list[str]:
    return [each.messages[0].parts[0].text.lower() for each in conversations]


@pytest.mark.parametrize("share", [0.0, 0.05, 0.3, 0.5, 0.7, 0.99])
def test_the_share_is_held_out_and_no_more(share: float) -> None:
    items = [f"text {number}" for number in range(200)]
    learned, held = hold_out(items, share, str)
    assert len(held) == round(200 * share)
    assert sorted([*learned, *held]) == sorted(items)
    assert hold_out(items, share, str) == (learned, held)
    if share == 0.3:  # by hash, not by place: what is held out does not follow the order
        backwards = hold_out(items[::-1], share, str)[1]
        assert backwards == held[::-1]


def test_the_same_text_is_on_one_side() -> None:
    items = [f"Text {number % 50}".upper() if number % 3 else f" text  {number % 50}"
             for number in range(400)]  # fmt: skip
    learned, held = hold_out(items, 0.2, str)
    sides = [{" ".join(each.lower().split()) for each in side} for side in (learned, held)]
    assert 0 < len(held) <= 80
    assert not sides[0] & sides[1]
    assert hold_out(["a"] * 40, 0.5, str) == (["a"] * 40, [])


def test_repeated_conversations_are_on_one_side(tmp_path: Path) -> None:
    rows = [_chat(f"Question {number % 60}?") for number in range(300)]
    train, valid = _conversations(_write(tmp_path / "chats.jsonl", rows), 0.1)
    assert 0 < len(valid) <= 30
    assert not set(_said(train)) & set(_said(valid))
    train, valid = _conversations(tmp_path / "chats.jsonl", 0.7)
    assert len(train) >= 90


def test_conversations_on_both_sides_are_refused(tmp_path: Path) -> None:
    rows = [_chat(f"Question {number}?") for number in range(20)]
    _write(tmp_path / "chats" / "train.jsonl", rows)
    _write(tmp_path / "chats" / "valid.jsonl", [_chat("Another?"), *rows[3:5]])
    with pytest.raises(InputError, match=r"2 of the 3 .*such as 'Question 3\? Yes\.'") as it:
        _conversations(tmp_path / "chats", 0.05)
    assert it.value.code == "validation_overlaps"
    _write(tmp_path / "chats" / "valid.jsonl", [_chat("Another?"), _chat("Question 3?", "No.")])
    assert [len(side) for side in _conversations(tmp_path / "chats", 0.05)] == [20, 2]


ROWS: dict[str, list[dict[str, Any]]] = {
    "classify": [{"text": f"text {n}", "label": "ab"[n % 2]} for n in range(30)],
    "tag": [{"words": [f"word{n}", "is"], "tags": ["AB"[n % 2], "O"]} for n in range(30)],
    "embed": [{"query": f"query {n}", "passage": f"passage {n}"} for n in range(30)],
}


def _about(path: Path, held_out: float = 0.2) -> dict[str, Any]:
    return {
        "examples": str(path), "context": 64, "too_long": "refuse", "held_out": held_out,
        "labels": [],
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["classify", "tag", "embed"])
def test_examples_on_both_sides_are_refused(tmp_path: Path, kind: Any) -> None:
    tokenizer, folder = trained.tokenizer("bpe"), tmp_path / kind
    _write(folder / "train.jsonl", ROWS[kind][:20])
    _write(folder / "valid.jsonl", ROWS[kind][19:])
    with pytest.raises(InputError, match="1 of the 11 different examples") as it:
        _rows(kind, _about(folder), tokenizer)
    assert it.value.code == "validation_overlaps"
    _write(folder / "valid.jsonl", ROWS[kind][20:])
    learned, judged, _ = _rows(kind, _about(folder), tokenizer)
    assert judged is not None
    assert (len(learned), len(judged)) == (20, 10)


@pytest.mark.parametrize("kind", ["classify", "tag", "embed"])
def test_repeated_examples_are_on_one_side(tmp_path: Path, kind: Any) -> None:
    path = _write(tmp_path / "a.jsonl", ROWS[kind] * 5)
    learned, judged, _ = _rows(kind, _about(path), trained.tokenizer("bpe"))
    assert judged is not None
    assert (len(learned), len(judged)) == (120, 30)  # six texts, five times each
    if isinstance(learned, PairRows):
        return
    sides = [{tuple(row[0]) for row in side._rows} for side in (learned, judged)]  # type: ignore[attr-defined]
    assert (len(sides[0]), len(sides[1]), len(sides[0] & sides[1])) == (24, 6, 0)


@pytest.mark.parametrize("kind", ["classify", "tag"])
def test_a_rare_label_is_learned_wherever_its_hash_falls(tmp_path: Path, kind: Any) -> None:
    for place in range(12):
        rows = [dict(row) for row in ROWS[kind]]
        rows[place] |= {"label": "rare"} if kind == "classify" else {"tags": ["rare", "O"]}
        path = _write(tmp_path / f"{place}.jsonl", rows)
        learned, judged, labels = _rows(kind, _about(path, 0.5), trained.tokenizer("bpe"))
        assert "rare" in labels
        assert judged is not None
        assert (len(learned), len(judged)) == (15, 15)


def test_nothing_in_common_is_no_error() -> None:
    check_apart(["a", "b"], ["c"], "train", "valid")
    with pytest.raises(InputError, match="'b'"):
        check_apart(["a", "b"], ["c", " B\n"], "train", "valid")
