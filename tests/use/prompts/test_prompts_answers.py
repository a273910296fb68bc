"""Final answers: numbers, letters, JSON and words, as replies really write them."""

from __future__ import annotations

import random
from fractions import Fraction

import pytest

from kataribe.use.prompts.answers import final_answer, has_answer, same_answer
from kataribe.use.prompts.json_in_text import last_json
from kataribe.use.prompts.numbers_in_text import normal_form, numbers_in


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("He has 3 apples and 4 pears.\n#### 7", "7"),
        ("#### 1,234", "1234"),
        ("The answer is $18.", "18"),
        ("The final answer is: **18**", "18"),
        ("**Answer:** 18 dollars (9 eggs at $2)", "18"),
        ("Answer: 9 * 2 = 18", "18"),
        ("Answer:\n\n18", "18"),
        ("First I thought the answer is 5.\nBut no.\nAnswer: 6", "6"),
        ("So she makes 9 * 2 = $18 every day.", "18"),
        ("Therefore $\\boxed{\\frac{1}{2} = 0.5}$.", "0.5"),
        ("It is \\boxed{42}. Checked with 6 * 7.", "42"),
        ("答えは18です。", "18"),
        ("答え:１，２３４円", "1234"),
        ("答え：3万5000円", "35000"),
        ("計算すると 1億2000万 になります。", "120000000"),
        ("答えは-5です", "-5"),
        ("Answer: −5 degrees", "-5"),
        ("Answer: -$5", "-5"),
        ("Answer: $-5.50", "-5.5"),
        ("Answer: 0.50", "0.5"),
        ("Answer: .5", "0.5"),
        ("Answer: 3/4", "0.75"),
        ("Answer: 1/3", "1/3"),
        ("Answer: 6/3", "2"),
        ("Answer: 50%", "50"),
        ("Answer: 1.5 million", "1500000"),
        ("50-10=40", "40"),
        ("Answer: 18.00", "18"),
        ("She has 24.", "24"),
        ("Answer: 5/0, so 7", "7"),
    ],
)
def test_numbers(text, number):
    found = final_answer(text, "number")
    assert found is not None
    assert (found.normal, found.kind) == (number, "number")


@pytest.mark.parametrize(
    "text", ["", "No number.", "Answer:", "I count 3, 4, 5.\nAnswer:", "9" * 5000, "model x86"]
)
def test_no_number(text):
    assert final_answer(text, "number") is None


def test_numbers_against_the_values_they_were_written_from():
    seed = 4
    draw = random.Random(seed)
    for _ in range(300):
        value = Fraction(draw.randint(-(10**7), 10**7), draw.choice((1, 2, 4, 5, 10, 100)))
        assert Fraction(normal_form(value)) == value, seed
        written = f"{float(value):,.2f}"
        assert numbers_in(f"It is {written}.")[0].normal == normal_form(
            Fraction(written.replace(",", ""))
        )
    assert normal_form(Fraction(-1, 3)) == "-1/3"


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("(B)", "B"),
        ("B", "B"),
        ("b.", "B"),
        ("B) because it is blue", "B"),
        ("B) because (A) is red", "B"),
        ("**B**", "B"),
        ("Answer: B", "B"),
        ("The answer is (C) Tokyo.", "C"),
        ("The correct answer is C", "C"),
        ("Answer: I think it is B because of A dog", "B"),
        ("Answer: A dog is not it, so D", "D"),
        ("(A) is wrong. (D) is right, so I take (D).", "D"),
        ("答えはBです。", "B"),
        ("答え：（Ｃ）", "C"),
        ("Answer: C.", "C"),
    ],
)
def test_choices(text, letter):
    found = final_answer(text, "choice")
    assert found is not None
    assert (found.normal, found.kind) == (letter, "choice")


@pytest.mark.parametrize("text", ["", "A dog runs.", "Answer: none of them", "Answer: F"])
def test_no_choice(text):
    assert final_answer(text, "choice") is None


def test_choices_with_other_labels():
    kana = ("ア", "イ", "ウ")
    assert final_answer("答えはイです。", "choice", kana).normal == "イ"
    assert final_answer("(10)", "choice", ("1", "10")).normal == "10"


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ('{"b": 1.0, "a": [true, null]}', '{"a":[true,null],"b":1}'),
        ('```json\n{"a": 1}\n```', '{"a":1}'),
        ('Here it is:\n{"a": "}"} and [1, 2] end', "[1,2]"),
        ('{"a": 1} {"a": ', '{"a":1}'),
        ('{"名前": "太郎"}', '{"名前":"太郎"}'),
        ("[" * 5000 + "[1]", "[1]"),
        ("3", "3"),
    ],
)
def test_json(text, normal):
    found = final_answer(text, "json")
    assert found is not None
    assert found.normal == normal


@pytest.mark.parametrize("text", ["", "none", "{'a': 1}", '{"a": NaN}', "[" * 20_000])
def test_no_json(text):
    assert last_json(text) is None


@pytest.mark.parametrize(
    ("text", "normal", "kind"),
    [
        ('{"b": 1, "a": 2}', '{"a":2,"b":1}', "json"),
        ("Answer: (B) Tokyo", "B", "choice"),
        ("Answer: 18 dollars", "18", "number"),
        ("Answer: Tokyo.", "tokyo", "text"),
        ("Answer: **New  York**", "new york", "text"),
        ("答えは東京です。", "東京", "text"),
        ("答え: 「東京」", "東京", "text"),
        ("Hm.\nThat is all.", "that is all", "text"),
        ("Answer: A dog", "a dog", "text"),
        ("Answer: 3 cats and 4 dogs", "3 cats and 4 dogs", "text"),
        ("Answer: Washington, D.C.", "washington, d.c", "text"),
    ],
)
def test_what_an_answer_is_shows_in_its_place(text, normal, kind):
    found = final_answer(text)
    assert found is not None
    assert (found.normal, found.kind) == (normal, kind)


@pytest.mark.parametrize("text", ["", "  \n", "I think.\nAnswer:", "**"])
def test_nothing_is_no_answer(text):
    assert final_answer(text) is None


def test_the_same_answer_in_other_words():
    assert same_answer("So it is $1,000.", "... #### 1000", "number")
    assert not same_answer("Nothing", "Nothing either", "number")
    assert same_answer("Answer: TOKYO", "Tokyo")
    assert not same_answer("", "Tokyo")


def test_whether_something_is_said_to_be_the_answer():
    assert has_answer("So.\nAnswer: 4")
    assert has_answer("\\boxed{4}")
    assert not has_answer("Next, add 4.")
    assert not has_answer("Answer:")
