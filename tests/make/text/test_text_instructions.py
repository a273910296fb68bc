"""Instruction data: what is asked, what is answered, and that nothing is on both sides."""

from __future__ import annotations

import inspect
import json
import textwrap
from dataclasses import replace

import pytest
from prose import english, japanese

from kataribe.base.errors import FormatError, InputError, NotFoundError
from kataribe.make.text import open_corpus
from kataribe.make.text.instructions import InstructionChoices, make_instructions, making
from kataribe.make.text.instructions.functions import (
    first_sentence,
    functions_of,
    stdlib_functions,
)
from kataribe.make.text.instructions.pairs import joined, translations
from kataribe.make.text.instructions.stdlib import japanese_questions_about, questions_about

SOURCE = '''
def wrap(text, width=70, *rest, keep=True, **more):
    """Wrap a paragraph, e.g. of prose, into lines. Returns a list.

    More words.
    """
    return text.split()

class Box:
    """A box."""
    def open(self, key):
        """Open the box with a key."""
        return key

    def _hidden(self):
        """Not for anybody."""

def silent(a):
    return a

def only():
    """Say nothing at all here"""
'''


def ask(source, module="tiny.mod", about=questions_about):
    return list(about(functions_of(source, module)))


def test_functions_are_read_without_being_run():
    wrap, opened, only = functions_of(SOURCE, "tiny.mod")
    assert wrap.signature == "tiny.mod.wrap(text, width=70, *rest, keep=True, **more)"
    assert wrap.sentence == "Wrap a paragraph, e.g. of prose, into lines."
    assert wrap.source == (
        "def wrap(text, width=70, *rest, keep=True, **more):\n    return text.split()"
    )
    assert (opened.qualified, opened.signature) == (
        "tiny.mod.Box.open",
        "tiny.mod.Box.open(key)",
    )
    assert (only.sentence, only.source) == ("Say nothing at all here.", None)
    assert list(functions_of("def broken(:", "x")) == []


@pytest.mark.parametrize(
    ("docstring", "sentence"),
    [
        ("Return x. And more.", None),  # two words
        ("Return the value of x. And more.", "Return the value of x."),
        ("Return the value\n    of x\n\nMore.", "Return the value of x."),
        ("Read version 3.11 of it now.", "Read version 3.11 of it now."),
        ("dedent(text) -> str", None),
        (">>> f(1) is an example here", None),
        ("Usage: f(x) and so on", None),
        ("", None),
    ],
)
def test_the_first_sentence_of_a_docstring(docstring, sentence):
    assert first_sentence(docstring) == sentence


def test_answers_are_right_for_a_known_function():
    by_kind = {}
    for example in ask(SOURCE):
        by_kind.setdefault(example.kind, []).append(example)
    [arguments] = [e for e in by_kind["arguments"] if "wrap" in e.question]
    assert arguments.answer == (
        "It takes text, width (default 70), *rest, keep (default True) and **more."
    )
    assert {e.answer for e in by_kind["count"]} == {
        "It takes five arguments.",
        "It takes one argument.",
        "It takes no arguments.",
    }
    assert {e.answer for e in by_kind["import"]} == {
        "from tiny.mod import wrap",
        "from tiny.mod import Box",
        "from tiny.mod import only",
    }
    assert {e.answer for e in by_kind["which"]} >= {"tiny.mod.wrap does that."}
    assert [e.answer for e in by_kind["does"]].count("Open the box with a key.") == 2


def test_questions_in_japanese_have_the_same_answers():
    by_kind = {}
    for example in ask(SOURCE, about=japanese_questions_about):
        by_kind.setdefault(example.kind, []).append(example)
    [arguments] = [e for e in by_kind["ja_arguments"] if "wrap" in e.question]
    assert arguments.answer == (
        "引数は text、width(既定値 70)、*rest、keep(既定値 True)、**more です。"
    )
    assert {e.answer for e in by_kind["ja_count"]} == {
        "引数は 5 個です。",
        "引数は 1 個です。",
        "引数はありません。",
    }
    assert {e.answer for e in by_kind["ja_import"]} == {
        e.answer for e in ask(SOURCE) if e.kind == "import"
    }
    assert {e.item for e in ask(SOURCE, about=japanese_questions_about)} == {
        e.item for e in ask(SOURCE)
    }


def test_what_shares_an_import_or_a_sentence_is_one_item():
    class_of = "class Box:\n" + "".join(
        f'    def {name}(self):\n        """{sentence}"""\n'
        for name, sentence in (("lift", "Lift the box up."), ("drop", "Let the box fall down."))
    )
    like = 'def raise_it():\n    """Lift the box up."""\n'
    other = 'def turn():\n    """Turn the key around."""\n'
    items = {}
    for example in ask(class_of + like + other):
        items.setdefault(example.item, set()).add(example.answer)
    assert len(items) == 2  # lift, drop and raise_it hang together; turn is alone
    [alone] = [answers for answers in items.values() if "Turn the key around." in answers]
    assert "tiny.mod.Box.drop does that." not in alone


@pytest.fixture(scope="module")
def known_functions():
    return list(stdlib_functions())


def test_functions_of_the_standard_library_are_as_python_itself_tells(known_functions):
    known = {each.qualified: each for each in known_functions}
    assert len(known) > 2000
    assert known["textwrap.dedent"].sentence.startswith("Remove any common leading whitespace")
    told = [argument.name for argument in known["textwrap.shorten"].arguments]
    signature = inspect.signature(textwrap.shorten)
    assert [name.lstrip("*") for name in told] == list(signature.parameters)


@pytest.fixture(scope="module")
def stdlib(known_functions, tmp_path_factory):
    target = tmp_path_factory.mktemp("made") / "stdlib"
    with pytest.MonkeyPatch.context() as patch:  # reading them once is enough
        patch.setattr(making, "stdlib_functions", lambda: known_functions)
        return make_instructions(InstructionChoices(("stdlib", "stdlib:ja"), most=9000), target)


def conversations(path):
    return [json.loads(line)["messages"] for line in path.read_text("utf-8").splitlines()]


def test_no_item_and_no_question_is_on_both_sides(stdlib):
    train, valid = conversations(stdlib.train), conversations(stdlib.valid)
    assert len(train) == stdlib.card["splits"]["train"]["documents"] > 10_000
    assert len(valid) == stdlib.card["splits"]["valid"]["documents"] > 300
    assert {len(each) for each in train + valid} == {2}
    assert {tuple(m["role"] for m in each) for each in valid} == {("user", "assistant")}
    questions = [each[0]["content"] for each in train]
    assert len(questions) == len(set(questions))
    assert not {each[0]["content"] for each in valid} & set(questions)
    stdlib.verify()
    rows = [
        [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        for path in (stdlib.train, stdlib.valid)
    ]
    for shared in ("import", "ja_import", "does", "which", "ja_module", "code"):
        told = [{r["messages"][1]["content"] for r in side if r["kind"] == shared} for side in rows]
        assert told[0], shared
        assert told[1], shared
        assert not told[0] & told[1], shared
    assert not {r["item"] for r in rows[0]} & {r["item"] for r in rows[1]}
    assert stdlib.card["leak_check"]["answers_shared"] == 0
    assert stdlib.card["leak_check"]["given_answers_shared"] > 0  # two arguments, say
    assert open_corpus(stdlib.path).card["kind"] == "instructions"


@pytest.mark.slow
def test_it_is_made_the_same_again(stdlib, tmp_path):
    again = make_instructions(
        InstructionChoices(("stdlib", "stdlib:ja"), most=9000), tmp_path / "again"
    )
    assert again.card["splits"] == stdlib.card["splits"]
    few = make_instructions(InstructionChoices(most=500), tmp_path / "few")
    assert sum(each["documents"] for each in few.card["splits"].values()) <= 500


PAIRS = [
    {"en": "i can 't tell who will arrive first .", "ja": "誰が一番に着くか私には分かりません。"},
    {"en": "I like cats.", "ja": "猫が好きです。"},
    {"en": "I am fond of cats.", "ja": "猫が好きです。"},
]


def write_pairs(tmp_path, pairs):
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(json.dumps(pair, ensure_ascii=False) for pair in pairs), "utf-8")
    return path


def test_translations_ask_both_ways(tmp_path):
    examples = list(translations(write_pairs(tmp_path, PAIRS)))
    assert [e.kind for e in examples] == ["to_japanese", "to_english"] * 3
    assert examples[0].answer == PAIRS[0]["ja"]
    assert examples[1].answer == "I can't tell who will arrive first."
    assert PAIRS[0]["ja"] in examples[1].question
    assert examples[2].item == examples[4].item != examples[0].item


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("show your own business .", "Show your own business."),
        ("it 's me , isn 't it ?", "It's me, isn't it?"),
        ("i think i 'll go .", "I think I'll go."),
        ("Already written, as people do.", "Already written, as people do."),
    ],
)
def test_english_in_words_is_joined(given, written):
    assert joined(given) == written


def test_pairs_that_share_a_sentence_stay_together(tmp_path):
    pairs = [
        {"en": f"Sentence {i // 2} of it.", "ja": f"文{(i + 1) // 2}です。"} for i in range(6)
    ] + [{"en": english(i, 9), "ja": japanese(i, 30)} for i in range(200)]
    path = write_pairs(tmp_path, pairs)
    made = make_instructions(
        InstructionChoices((f"pairs:{path}",), valid_share=0.3), tmp_path / "made"
    )
    sides = [
        {m["content"] for each in conversations(p) for m in each} for p in (made.train, made.valid)
    ]
    assert not sides[0] & sides[1]
    assert made.card["leak_check"]["questions_shared"] == 0
    assert made.card["leak_check"]["compared"]["valid"] > 20


def prose_pairs(count):
    return [{"en": english(i, 20), "ja": japanese(i, 40)} for i in range(count)]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"answer": "Something else. " * 9}, "questions are asked in training too"),
        ({}, "is the same as train.jsonl:1"),
        ({"answer": lambda said: said[:-3] + "."}, "like train.jsonl:1"),
        ({"question": "New. " * 60, "item": "new"}, "answers are given in training too"),
        ({"question": "New. " * 60, "answer": "Also new. " * 30}, "are about what training is"),
    ],
)
def test_a_planted_leak_is_found_in_the_files(tmp_path, monkeypatch, change, words):
    path = write_pairs(tmp_path, prose_pairs(60))
    write, first = making._write, []

    def planting(examples, to):
        if to.name == "train.jsonl":
            first.append(examples[0])
            return write(examples, to)
        new = {k: v(first[0].answer) if callable(v) else v for k, v in change.items()}
        leak = replace(first[0], **new)
        return write([*examples, leak], to)

    monkeypatch.setattr(making, "_write", planting)
    with pytest.raises(InputError, match=words) as raised:
        make_instructions(InstructionChoices((f"pairs:{path}",), 0.2), tmp_path / "made")
    assert raised.value.code == "validation_overlaps"
    assert not (tmp_path / "made").exists()


def test_what_is_nearly_trained_on_leaves_validation_and_is_counted(tmp_path):
    pairs = prose_pairs(80)
    pairs += [{"en": p["en"][:-4] + "x.", "ja": p["ja"][:-3] + "x."} for p in pairs[:40]]
    path = write_pairs(tmp_path, pairs)
    made = make_instructions(InstructionChoices((f"pairs:{path}",), 0.3), tmp_path / "made")
    card = made.card
    assert card["dropped_from_valid"]["like_training"] > 0
    assert card["repeated_questions"] == 0
    assert card["splits"]["valid"]["documents"] == len(conversations(made.valid))
    assert card["leak_check"]["compared"]["valid"] == card["splits"]["valid"]["documents"]
    assert card["leak_check"]["near_found"] == card["leak_check"]["contained_found"] == 0
    made.verify()


def test_a_question_is_asked_once_whoever_asks_it(tmp_path):
    pairs = prose_pairs(60)
    path = write_pairs(tmp_path, pairs)
    other = tmp_path / "other.jsonl"  # the same questions in another file, about other items
    lines = [
        json.dumps({"en": words, "ja": japanese(900 + i, 40)})
        for i, pair in enumerate(pairs)
        for words in (pair["en"], f"A {english(500 + i, 20)}")
    ]
    other.write_text("\n".join(lines))
    made = make_instructions(
        InstructionChoices((f"pairs:{path}", f"pairs:{other}"), 0.3), tmp_path / "made"
    )
    assert made.card["repeated_questions"] == 60 + 60  # English; Japanese, twice in one file
    kept = sum(each["documents"] for each in made.card["splits"].values())
    assert kept <= 2 * (60 + 120) - 120


def test_bad_input_is_said(tmp_path):
    with pytest.raises(InputError, match="sources are stdlib, stdlib:ja, manuals:SOURCE"):
        InstructionChoices(("wikipedia",))
    with pytest.raises(InputError, match="between 0 and 1"):
        InstructionChoices(valid_share=2)
    with pytest.raises(InputError, match="least is 2"):
        InstructionChoices(most=1)
    target = tmp_path / "made"
    with pytest.raises(NotFoundError, match="There is no file"):
        make_instructions(InstructionChoices((f"pairs:{tmp_path}/none",)), target)
    path = write_pairs(tmp_path, [*PAIRS, {"en": "one side"}])
    with pytest.raises(FormatError, match=r"pairs\.jsonl:4 is no pair"):
        make_instructions(InstructionChoices((f"pairs:{path}",)), target)
    path = write_pairs(tmp_path, PAIRS[1:2])
    with pytest.raises(InputError, match=r"no questions in (train|valid)\.jsonl"):
        make_instructions(InstructionChoices((f"pairs:{path}",)), target)
    assert not target.exists()
