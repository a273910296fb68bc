"""Rows for masks, gaps, chats, labels and pairs: nothing lost, only what should teaches."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from kataribe.base.errors import FormatError, InputError, TemplateError, UnsupportedError
from kataribe.make.tokens import ChatTemplate
from kataribe.make.tokens.batches import IGNORED, PADDING, Batches, Pick
from kataribe.make.tokens.chat_data import (
    Conversation,
    chat_examples,
    encode_conversations,
    parse_conversation,
    read_conversations,
)
from kataribe.make.tokens.document_marks import DocumentMarks
from kataribe.make.tokens.labelled import (
    LabelledText,
    PairRows,
    class_labels,
    class_rows,
    read_classes,
    read_pairs,
    read_tags,
    tag_labels,
    tag_rows,
)
from kataribe.make.tokens.masked_rows import MaskedRows, Masking, hide
from kataribe.make.tokens.packing import PackedRows
from kataribe.make.tokens.span_rows import Noise, SpanRows, corrupted
from tests.make.tokens import token_folders, trained
from tests.make.tokens.hard_texts import a_seed

APART = DocumentMarks(1, 2)


def _documents(count: int, longest: int = 200) -> list[list[int]]:
    seed = a_seed()
    print(f"seed {seed}")
    dice = random.Random(seed)
    return [
        [dice.randrange(50, 1000) for _ in range(dice.randrange(1, longest))] for _ in range(count)
    ]


def _masking() -> Masking:
    return Masking(mask_id=3, ordinary=np.arange(50, 1000), pad_id=0)


def test_masked_rows_hide_what_they_ask_for(tmp_path: Path) -> None:
    documents = _documents(300)
    rows = MaskedRows(
        token_folders.write(tmp_path / "data", documents, APART), "train", 128, _masking()
    )
    texts: list[int] = []
    kinds: Counter[str] = Counter()
    for batch in rows.in_order(16):
        for row in range(batch.rows):
            ids, targets = batch.ids[row], batch.targets[row]
            inside = batch.documents[row] != PADDING
            assert (ids[~inside] == 0).all()
            assert (targets[~inside] == IGNORED).all()
            count = int(np.isin(ids[inside], (1, 2), invert=True).sum())
            assert int((targets != IGNORED).sum()) == max(1, round(0.15 * count))
            texts += [
                int(t if t != IGNORED else i)
                for i, t in zip(ids[inside], targets[inside], strict=True)
                if i not in (1, 2)
            ]
            taught = targets != IGNORED
            kinds["hidden"] += int((ids[taught] == 3).sum())
            kinds["same"] += int((ids[taught] == targets[taught]).sum())
            kinds["all"] += int(taught.sum())
            for number in set(batch.documents[row][inside].tolist()):
                piece = ids[batch.documents[row] == number]
                assert (piece[0], piece[-1]) == (1, 2)
    assert texts == [each for ids in documents for each in ids]
    assert kinds["hidden"] / kinds["all"] == pytest.approx(0.8, abs=0.04)
    assert kinds["same"] / kinds["all"] == pytest.approx(0.1, abs=0.03)
    assert rows.waste < 0.04


def test_what_is_hidden_changes_with_the_epoch_and_comes_again_on_resuming(tmp_path: Path) -> None:
    rows = MaskedRows(
        token_folders.write(tmp_path / "data", _documents(50)), "train", 64, _masking()
    )
    once, again, later = (rows.take([Pick(5, epoch, 3)]) for epoch in (0, 0, 1))
    assert once.ids.tolist() == again.ids.tolist()
    assert once.targets.tolist() == again.targets.tolist()
    assert once.targets.tolist() != later.targets.tolist()
    plan = Batches(len(rows), 4, seed=5)
    share = Batches(len(rows), 4, seed=5, rank=1, ranks=2)
    assert plan.at(rows, 7).ids[1::2].tolist() == share.at(rows, 7).ids.tolist()


def test_one_token_is_hidden_of_the_shortest_text() -> None:
    seen, targets = hide(np.array([77]), _masking(), Pick(1, 0, 0).dice())
    assert targets.tolist() == [77]
    assert len(seen) == 1


def _restored(source: list[int], target: list[int], noise: Noise) -> list[int]:
    """The text that a source with gaps and its target were made of."""
    gaps: dict[int, list[int]] = {}
    current = -1
    for each in target:
        if each in noise.sentinels:
            current = each
            gaps[current] = []
        else:
            gaps[current].append(each)
    found: list[int] = []
    for each in source:
        found += gaps.pop(each) if each in noise.sentinels else [each]
    assert not gaps
    return found


def test_gaps_and_what_belongs_into_them_make_the_text(tmp_path: Path) -> None:
    documents = _documents(200, 400)
    noise = Noise(tuple(range(10, 50)), pad_id=0)
    rows = SpanRows(token_folders.write(tmp_path / "data", documents), "train", 128, noise)
    assert rows.target_length == 32
    texts: list[int] = []
    cut = whole = 0
    for pair in rows.in_order(8):
        assert pair.source.ids.shape[1] == 128
        for row in range(pair.rows):
            source, target = pair.source, pair.target
            numbers = sorted(set(source.documents[row].tolist()) - {PADDING})
            assert numbers == sorted(set(target.documents[row].tolist()) - {PADDING})
            assert (source.targets[row] == IGNORED).all()
            for number in numbers:
                said = source.ids[row][source.documents[row] == number].tolist()
                place = target.documents[row] == number
                asked = target.targets[row][place].tolist()
                assert target.ids[row][place].tolist() == [0, *asked[:-1]]
                assert said[-1] == asked[-1] == 1
                text = _restored(said[:-1], asked[:-1], noise)
                assert noise.cost(len(text)) == (len(said), len(asked))
                cut += sum(each not in noise.sentinels for each in asked[:-1])
                whole += len(text)
                texts += text
    assert texts == [each for ids in documents for each in ids]
    assert cut / whole == pytest.approx(0.15, abs=0.02)
    assert rows.waste < 0.12  # short texts are dear in targets, which keep to a quarter


def test_every_length_can_be_noised() -> None:
    noise = Noise(tuple(range(10, 50)), pad_id=0)
    dice = Pick(3, 0, 0).dice()
    for length in range(1, 200):
        ids = list(range(1000, 1000 + length))
        source, target = corrupted(ids, noise, dice)
        assert _restored(source, target, noise) == ids
        assert (len(source) + 1, len(target) + 1) == noise.cost(length)


def test_what_a_tokenizer_lacks_is_told() -> None:
    llama_like = trained.tokenizer("bpe")
    assert Masking.of(llama_like).mask_id == llama_like.special_id("<|mask|>")
    assert not llama_like.special_ids.intersection(Masking.of(llama_like).ordinary.tolist())
    assert len(Noise.of(llama_like).sentinels) == 20
    with pytest.raises(InputError, match="at most 1 together"):
        Masking(3, np.arange(9), 0, hidden=0.8, swapped=0.3)
    with pytest.raises(InputError, match="nothing is hidden"):
        Masking(3, np.arange(9), 0, rate=0.0)
    with pytest.raises(InputError, match="for 0 sentinels"):
        Noise((), 0)


CHAT = [
    ("system", "Be brief."),
    ("user", "Hi <|im_end|> 猫"),
    ("assistant", "\nやあ<|im_end|>!"),
    ("user", "2+2?"),
    ("assistant", "4"),
]


def _conversation(turns: list[tuple[str, str]]) -> Conversation:
    messages = [{"role": role, "content": content} for role, content in turns]
    return parse_conversation({"messages": messages}, "It")


def test_only_the_assistants_words_and_its_ends_teach() -> None:
    tokenizer = trained.tokenizer("bpe")
    template = tokenizer.chat_template
    assert template is not None
    conversation = _conversation(CHAT)
    ((ids, taught),) = encode_conversations([conversation], tokenizer, template)
    end = tokenizer.special_id("<|im_end|>")
    taught_text = tokenizer.decode([i for i, t in zip(ids, taught, strict=True) if t])
    assert taught_text == "\nやあ<|im_end|>!<|im_end|>4<|im_end|>"
    assert sum(i == end for i, t in zip(ids, taught, strict=True) if t) == 2
    assert ids.count(end) == 5  # what people typed stays text
    assert tokenizer.decode(ids) == template.render(
        conversation.messages, add_generation_prompt=False
    )
    prompt = tokenizer.encode_chat(conversation.messages[:2])
    assert ids[: len(prompt)] == prompt
    assert taught[len(prompt)] is True
    assert not any(taught[: len(prompt)])


def test_conversations_are_packed_into_rows() -> None:
    tokenizer = trained.tokenizer("bpe")
    conversations = [_conversation(CHAT[1:3] * (1 + index % 3)) for index in range(9)]
    examples, report = chat_examples(conversations, tokenizer, 200)
    assert (report.conversations, report.kept, report.dropped, report.cut) == (9, 9, 0, 0)
    rows = PackedRows(examples, 200, pad_id=0)
    batches = list(rows.in_order(4))
    assert sum(batch.taught for batch in batches) == report.taught
    assert sum(batch.filled for batch in batches) == report.tokens
    text = "".join(
        tokenizer.decode(batch.targets[batch.targets != IGNORED].tolist()) for batch in batches
    )
    assert text.count("やあ") == 18


def test_conversations_that_are_too_long_are_counted() -> None:
    tokenizer = trained.tokenizer("bpe")
    short, long = (
        _conversation(CHAT[3:]),
        _conversation([*CHAT[1:], ("user", "x " * 90), *CHAT[4:]]),
    )
    late = _conversation([("user", "x " * 90), ("assistant", "y")])
    three = [short, long, late]
    sizes = [len(chat_examples([each], tokenizer, 999)[0].ids) for each in three]
    with pytest.raises(InputError, match=rf"2 of 3 .* 80 tokens \(the longest has {max(sizes)}\)"):
        chat_examples(three, tokenizer, 80)
    examples, report = chat_examples(three, tokenizer, 80, too_long="drop")
    assert (report.kept, report.dropped, report.cut, len(examples)) == (1, 2, 0, 1)
    examples, report = chat_examples(three, tokenizer, 80, too_long="cut")
    assert (report.kept, report.dropped, report.cut) == (2, 1, 1)
    assert examples.lengths.tolist() == [sizes[0], 80]
    with pytest.raises(InputError, match="None of 1 conversations fits"):
        chat_examples([late], tokenizer, 20, too_long="drop")
    with pytest.raises(InputError, match="no conversation"):
        chat_examples([], tokenizer, 20)
    with pytest.raises(UnsupportedError, match="no chat template"):
        chat_examples([short], trained.tokenizer("wordpiece"), 80)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"messages": [{"role": "robot", "content": "x"}]}, "role 'robot' in message 1"),
        ({"messages": [{"role": "user", "content": " "}]}, "no words in message 1"),
        ({"messages": [{"role": "user", "content": None}]}, "no words in message 1"),
        ({"messages": [{"role": "user", "content": "x"}]}, "has the turns user; .* last"),
        ({"messages": []}, "turns of nobody"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "has the turns assistant"),
        ({"text": "x"}, "has no messages"),
        ({"messages": ["x"]}, "role None"),
    ],
)
def test_bad_conversations_are_told_with_their_number(tmp_path: Path, row, words: str) -> None:
    path = tmp_path / "chats.jsonl"
    good = {"messages": [{"role": r, "content": c} for r, c in CHAT]}
    path.write_text(json.dumps(good) + "\n" + json.dumps(row) + "\n", "utf-8")
    with pytest.raises(FormatError, match=f"Conversation 2 of .*{words}"):
        list(read_conversations(path))


def test_templates_that_rewrite_or_never_end_turns_are_refused() -> None:
    tokenizer = trained.tokenizer("bpe")
    rewriting = (
        "{% for m in messages %}{% if m.role == 'assistant' and not loop.last %}...{% else %}"
        "{{ m.role + m.content }}<|im_end|>{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}assistant{% endif %}"
    )
    conversation = _conversation(CHAT[1:])
    with pytest.raises(TemplateError, match=r"not prefix-stable: for It .* up to message 2"):
        list(encode_conversations([conversation], tokenizer, ChatTemplate(rewriting)))
    endless = (
        "{% for m in messages %}{{ m.role + m.content }}{% endfor %}"
        "{% if add_generation_prompt %}assistant{% endif %}"
    )
    with pytest.raises(TemplateError, match="could never learn to stop"):
        list(encode_conversations([conversation], tokenizer, ChatTemplate(endless)))


def test_classes_are_targets_of_the_first_place(tmp_path: Path) -> None:
    path = tmp_path / "classes.jsonl"
    rows = [{"text": "good", "label": "pos"}, {"text": "bad, so bad", "label": "neg"}]
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    examples = list(read_classes(path))
    labels = class_labels(examples)
    assert labels == ["neg", "pos"]
    tokenizer = trained.tokenizer("wordpiece")
    found = class_rows(examples, labels, tokenizer, 32)
    batch = found.take([Pick(0, 0, 0), Pick(0, 0, 1)])
    assert batch.targets[:, 0].tolist() == [1, 0]
    assert batch.taught == 2
    assert batch.length % 8 == 0
    assert batch.ids[0][batch.documents[0] == 0].tolist() == tokenizer.encode("good")
    last = class_rows(examples, labels, tokenizer, 32, at_end=True).take([Pick(0, 0, 0)])
    assert last.targets[0][len(tokenizer.encode("good")) - 1] == 1
    with pytest.raises(InputError, match="data lack the label 'neutral'; they have neg"):
        class_labels(examples, ["neg", "neutral", "pos"])
    with pytest.raises(InputError, match=r"label 'neg' \(1 times\), but the labels are to be pos"):
        class_labels(examples, ["pos"])
    with pytest.raises(InputError, match="label 'neg', but the labels are"):
        class_rows(examples, ["pos"], tokenizer, 32)
    with pytest.raises(InputError, match="2 of 2 texts are longer than a row of 2"):
        class_rows(examples, labels, tokenizer, 2)
    with pytest.raises(InputError, match="no example with a label"):
        class_labels([])
    for bad, words in (
        ({"text": "x"}, "Line 1 .* no label: its field `label` is None"),
        ({"text": "", "label": "a"}, "no words in its field `text`"),
    ):
        path.write_text(json.dumps(bad), "utf-8")
        with pytest.raises(FormatError, match=words):
            list(read_classes(path))


@pytest.mark.parametrize("kind", ["bpe", "unigram", "wordpiece"])
def test_tags_lie_on_the_pieces_of_their_spans(kind, tmp_path: Path) -> None:
    text = "吾輩は東京タワーと猫のfunctionを見た。"
    spans = [("東京タワー", "place"), ("function", "thing")]
    entities = [
        {"name": name, "span": [text.index(name), text.index(name) + len(name)], "type": what}
        for name, what in spans
    ]
    path = tmp_path / "tags.jsonl"
    path.write_text(json.dumps({"text": text, "entities": entities}), "utf-8")
    (example,) = read_tags(path)
    labels = tag_labels([example])
    assert labels == ["O", "B-place", "B-thing", "I-place", "I-thing"]
    tokenizer = trained.tokenizer(kind)
    batch = tag_rows([example], labels, tokenizer, 64).take([Pick(0, 0, 0)])
    tags = [labels[t] for t in batch.targets[0].tolist() if t != IGNORED]
    pieces = tokenizer.encode_spans(text)
    assert len(tags) == len(pieces)
    begun = set()
    for tag, (_, start, end) in zip(tags, pieces, strict=True):
        inside = [
            e for e in entities if e["span"][0] < max(end, start + 1) and start < e["span"][1]
        ]
        if not inside:
            assert tag == "O"
            continue
        first = inside[0]["name"] not in begun
        assert tag == ("B-" if first else "I-") + inside[0]["type"]
        begun.add(inside[0]["name"])
    assert len(begun) == 2


@pytest.mark.parametrize("kind", ["bpe", "unigram", "wordpiece"])
def test_only_the_first_piece_of_a_word_has_its_tag(kind, tmp_path: Path) -> None:
    path = tmp_path / "tags.jsonl"
    row = {"words": ["Supercali", "fragilistic", "東京", "x"], "tags": ["B", "I", "B", "O"]}
    path.write_text(json.dumps(row), "utf-8")
    (example,) = read_tags(path)
    assert tag_labels([example]) == ["O", "B", "I"]
    tokenizer = trained.tokenizer(kind)
    batch = tag_rows([example], ["O", "B", "I"], tokenizer, 64).take([Pick(0, 0, 0)])
    assert [t for t in batch.targets[0].tolist() if t != IGNORED] == [1, 2, 1, 0]
    path.write_text(json.dumps({"words": ["a", "b"], "tags": ["O"]}), "utf-8")
    with pytest.raises(FormatError, match="2 words and 1 tags"):
        list(read_tags(path))
    path.write_text(
        json.dumps({"text": "ab", "entities": [{"span": [1, 3], "type": "x"}]}), "utf-8"
    )
    with pytest.raises(FormatError, match="one past the last of 2"):
        list(read_tags(path))
    path.write_text(json.dumps({"text": "ab"}), "utf-8")
    with pytest.raises(FormatError, match="has no tags"):
        list(read_tags(path))
    with pytest.raises(InputError, match="tag 'B', but tags are O"):
        tag_rows([example], ["O"], tokenizer, 64)


def test_pairs_stay_together(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    rows = [{"query": f"q{n}", "passage": f"p{n} " * n} for n in range(1, 5)]
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    tokenizer = trained.tokenizer("wordpiece")
    pairs = PairRows(read_pairs(path), tokenizer, 64)
    batch = Batches(len(pairs), 4, seed=1).at(pairs, 0)
    for row in range(4):
        asked, given = (
            tokenizer.decode(side.ids[row][side.documents[row] == 0].tolist(), skip_special=True)
            for side in (batch.source, batch.target)
        )
        number = asked[-1]
        assert asked == f"query : q{number}"
        assert given.split(" ")[2:] == [f"p{number}"] * int(number)
    assert batch.taught == 0
    with pytest.raises(InputError, match="of 8 texts are longer than a row of 5"):
        PairRows(read_pairs(path), tokenizer, 5)
    with pytest.raises(InputError, match="no pair"):
        PairRows([], tokenizer, 64)
    path.write_text(json.dumps({"query": "x"}), "utf-8")
    with pytest.raises(FormatError, match="no words in its field `passage`"):
        list(read_pairs(path))


def test_a_text_without_label_is_no_example() -> None:
    assert LabelledText("x").label == ""
