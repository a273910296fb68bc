"""Asking without what a model does not take; what a person asks for is refused all the same."""

from __future__ import annotations

import pytest

from kataribe.base.abilities import check_abilities, is_asked, without
from kataribe.base.easing import LEFT_OUT, Eased
from kataribe.base.errors import InputError, ProviderError, UnsupportedError
from kataribe.base.events import Finished, Step
from kataribe.base.lm import LEAVABLE, Capabilities, Request, Sampling, reply
from kataribe.base.messages import text_message, text_of
from kataribe.run.providers import Reply, ScriptedLM

HI = (text_message("user", "Hi"),)
FULL = Request(HI, Sampling(temperature=0.7, top_p=0.9), stop=("#",), seed=7)
PLAIN = Request(HI, Sampling(top_p=0.9))


def refuses(*fields: str, told: str = "param") -> ScriptedLM:
    """A model whose host says no to these only when it is asked, one at a time."""

    def script(request: Request) -> str | Exception:
        for field in fields:
            if is_asked(request, field):
                if told == "param":
                    return InputError("Unsupported value.", param=field)
                return InputError(f"'{field}' is not supported with this model.")
        return "Hello."

    return ScriptedLM(script)


@pytest.mark.parametrize("field", sorted(LEAVABLE))
def test_a_field_is_asked_for_until_it_is_left_out(field):
    assert is_asked(FULL, field)
    assert not is_asked(without(FULL, field), field)
    assert not is_asked(PLAIN, field)
    others = LEAVABLE - {field}
    assert all(is_asked(without(FULL, field), other) for other in others)
    with pytest.raises(UnsupportedError) as caught:
        check_abilities("tiny", Capabilities(100, lacks=frozenset({field})), FULL)
    assert (caught.value.param, "tiny" in caught.value.message) == (field, True)
    check_abilities("tiny", Capabilities(100, lacks=LEAVABLE), PLAIN)


def test_other_fields_are_nobodys_to_leave_out():
    with pytest.raises(ValueError, match="none of seed, stop, temperature"):
        without(FULL, "top_p")


async def test_what_a_model_is_known_to_lack_is_not_sent():
    lm = ScriptedLM(capabilities=Capabilities(4096, lacks=LEAVABLE))
    eased = Eased(lm, LEAVABLE, told=("temperature",))
    events = [event async for event in eased.stream(FULL)]
    assert lm.requests == [PLAIN]
    assert eased.left_out == LEAVABLE
    (step,) = [event for event in events if isinstance(event, Step)]
    assert (step.name, step.detail) == (
        LEFT_OUT,
        "scripted takes no temperature, so it was asked without.",
    )


@pytest.mark.parametrize("told", ["param", "words"])
async def test_what_it_refuses_when_it_is_asked_is_left_out_then(told):
    lm = refuses("temperature", "seed", told=told)
    eased = Eased(lm, LEAVABLE)
    assert text_of((await reply(eased, FULL)).message) == "Hello."
    assert eased.left_out == {"temperature", "seed"}
    assert len(lm.requests) == 3
    assert lm.requests[-1].stop == ("#",)


async def test_what_it_takes_is_sent():
    lm = ScriptedLM()
    assert isinstance((await reply(Eased(lm, LEAVABLE), FULL)), Finished)
    assert lm.requests == [FULL]


@pytest.mark.parametrize(
    ("error", "fields"),
    [
        (InputError("No.", param="temperature"), {"seed"}),  # a person's temperature
        (InputError("No.", param="top_p"), LEAVABLE),
        (InputError("The prompt is too long."), LEAVABLE),
        (ProviderError("The temperature in our rooms is high."), LEAVABLE),
    ],
)
async def test_other_refusals_pass(error, fields):
    lm = ScriptedLM(error)
    with pytest.raises(type(error)):
        await reply(Eased(lm, fields), FULL)
    assert len(lm.requests) == 1


async def test_a_reply_that_has_begun_is_not_asked_for_again():
    lm = ScriptedLM(Reply("one two", error=InputError("No.", param="seed"), fail_after=1))
    with pytest.raises(InputError):
        await reply(Eased(lm, LEAVABLE), FULL)
    assert len(lm.requests) == 1
