"""What a model cannot do is refused with the field's name."""

from __future__ import annotations

import pytest

from kataribe.base.abilities import check_abilities, messages_of
from kataribe.base.errors import UnsupportedError
from kataribe.base.lm import Capabilities, JsonFormat, Request, ToolSpec
from kataribe.base.messages import AudioPart, ImagePart, Message, text_message

CHAT = (text_message("user", "hello"),)
BARE = Capabilities(100)


@pytest.mark.parametrize(
    ("request_", "ability", "param"),
    [
        (Request(CHAT, tools=(ToolSpec("f"),)), "tools", "tools"),
        (Request(CHAT, logprobs=0), "logprobs", "logprobs"),
        (Request(CHAT, response_format=JsonFormat()), "structured_output", "response_format"),
        (Request(CHAT, verbosity="low"), "verbosity", "verbosity"),
        (Request("bare"), "raw_prompt", "prompt"),
        (Request((1, 2)), "raw_prompt", "prompt"),
        (Request((Message("user", (ImagePart("image/png", b""),)),)), "images", "messages[0]"),
        (Request((*CHAT, Message("user", (AudioPart("a", b""),)))), "audio", "messages[1]"),
    ],
)
def test_each_ability_is_asked_for(request_, ability, param):
    with pytest.raises(UnsupportedError) as caught:
        check_abilities("tiny", BARE, request_)
    assert caught.value.param.startswith(param)
    assert "tiny" in caught.value.message
    check_abilities("able", Capabilities(100, **{ability: True}), request_)


def test_a_plain_chat_needs_no_ability():
    check_abilities("tiny", BARE, Request(CHAT))
    assert messages_of(Request(CHAT)) == CHAT
    assert messages_of(Request((1, 2))) == ()
