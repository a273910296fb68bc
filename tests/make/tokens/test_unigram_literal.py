"""Control tokens of a Unigram vocabulary, written by people, stay words."""

from __future__ import annotations

import pytest

from kataribe.make.tokens.load import load_tokenizer
from kataribe.make.tokens.tokenizer import Tokenizer
from tests.source_models import SENTINELS, TEXTS, make_source_model


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    folder = tmp_path_factory.mktemp("unigram")
    make_source_model("t5", folder)
    return load_tokenizer(folder)


@pytest.mark.parametrize("control", ["</s>", "<pad>", "<unk>", *SENTINELS])
def test_no_control_token_comes_of_its_text(tokenizer: Tokenizer, control: str) -> None:
    number = tokenizer.special_id(control)
    for text in (control, f"a{control}b", f"a {control} b"):
        said = tokenizer.encode(text, special=False, add_bos=False)
        if control != "<unk>":  # what the vocabulary lacks becomes it, whatever was written
            assert number not in said
        assert number in tokenizer.encode(text, special=True, add_bos=False)


def test_other_texts_are_cut_as_ever(tokenizer: Tokenizer) -> None:
    for text in (*TEXTS, "", " ", "a  b", "<s", "x" * 5000):
        assert tokenizer.encode(text, special=False) == tokenizer.encode(text)
