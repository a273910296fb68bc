"""Working memory: the older part becomes a summary that loses no name, number or open task."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from kataribe.base.errors import ContextLengthError, InputError, ProviderError
from kataribe.base.events import Step, Usage
from kataribe.base.lm import Capabilities, Context, Request, Sampling, Thinking, ToolSpec, reply
from kataribe.base.messages import (
    ImagePart,
    Message,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    text_message,
    text_of,
)
from kataribe.base.tool_calls import call_tool
from kataribe.run.providers.scripted import Reply, ScriptedLM
from kataribe.run.providers.scripted_tokens import ScriptedTokenizer
from kataribe.use.agents.compaction import Compacting, CompactionOptions
from kataribe.use.agents.counting import PER_PICTURE, rough_count, rough_tools
from kataribe.use.agents.cutting import BEGIN, line_of
from kataribe.use.agents.kept_words import left_out
from kataribe.use.agents.loop import Agent, AgentOptions
from kataribe.use.agents.summaries import Summaries
from kataribe.use.agents.working import AgentLimits
from kataribe.use.prompts.react import ReAct, ReActOptions
from tests.use.agents.parts import Plain, calls, listen, steps

CONTEXT = 2000
SMALL = Capabilities(CONTEXT, tools=True, raw_prompt=True)
OPTIONS = CompactionOptions(fill=0.75, turns=2, summary=120)


def count(messages: Sequence[Message]) -> int:
    return len(ScriptedTokenizer().chat_ids(tuple(messages)))


def talk(turns: int, size: int = 100) -> tuple[Message, ...]:
    said: list[Message] = []
    for number in range(turns):
        said.append(text_message("user", f"question {number} " + "x" * size))
        said.append(text_message("assistant", f"answer {number} " + "y" * size))
    return (*said[:-1],)


def model(summary: str = "Summary.", context: int = CONTEXT) -> ScriptedLM:
    return ScriptedLM(
        lambda request: summary if "Sum up" in text_of(request.prompt[0]) else "Answer.",
        capabilities=replace(SMALL, context_length=context),
    )


def asked(lm: ScriptedLM) -> list[Request]:
    return [r for r in lm.requests if "Sum up" not in text_of(r.prompt[0])]


def summed(lm: ScriptedLM) -> list[Request]:
    return [r for r in lm.requests if "Sum up" in text_of(r.prompt[0])]


async def test_what_fits_passes_as_it_is():
    lm = model()
    request = Request(talk(4))
    events, _ = await listen(Compacting(lm, count, OPTIONS), request)
    assert lm.requests == [request]
    assert steps(events, "compacted") == []


async def test_the_older_part_becomes_a_summary_and_the_newest_turns_stay():
    lm = model("They spoke of x.")
    messages = (text_message("system", "Be kind."), *talk(20))
    events, end = await listen(Compacting(lm, count, OPTIONS), Request(messages))
    (said,) = steps(events, "compacted")
    (final,) = asked(lm)
    assert f"{count(messages):,} tokens before" in said
    assert f"{count(final.prompt):,} now" in said
    assert final.prompt[1:] == messages[-3:]  # two questions and the answer between them
    system = text_of(final.prompt[0])
    assert system.startswith("Be kind.")
    assert f"{BEGIN}\nThey spoke of x." in system
    assert count(final.prompt) <= 0.75 * CONTEXT
    assert text_of(end.message) == "Answer."


async def test_all_of_the_older_part_is_summed_up_however_long():
    lm = model()
    messages = talk(60)
    await listen(Compacting(lm, count, OPTIONS), Request(messages))
    read = "".join(text_of(request.prompt[1]) for request in summed(lm))
    assert len(summed(lm)) > 3
    for number in range(58):
        assert f"question {number} " in read
        assert f"answer {number} " in read
    for request in summed(lm)[1:]:
        assert BEGIN in text_of(request.prompt[1])  # each goes on from the one before


async def test_a_message_longer_than_the_context_is_summed_up_in_pieces():
    lm = model()
    long = text_message("user", " ".join(f"word{n}" for n in range(2000)))
    messages = (long, text_message("assistant", "I see."), *talk(2))
    await listen(Compacting(lm, count, OPTIONS), Request(messages))
    read = "".join(
        text_of(r.prompt[1]).partition("user: ")[2] or text_of(r.prompt[1]) for r in summed(lm)
    )
    assert "word0 " in read
    assert "word1999" in read


async def test_usage_counts_the_summary_too():
    lm = model()
    _, end = await listen(Compacting(lm, count, OPTIONS), Request(talk(20)))
    alone = model()
    each = [(await reply(alone, request)).usage for request in lm.requests]
    total = Usage(sum(u.prompt_tokens for u in each), sum(u.completion_tokens for u in each))
    assert end.usage == total


async def test_the_next_request_uses_the_same_summary():
    lm = model()
    wrapped = Compacting(lm, count, OPTIONS)
    messages = talk(20)
    await listen(wrapped, Request(messages))
    first = len(summed(lm))
    longer = (*messages, text_message("assistant", "Answer."), text_message("user", "And now?"))
    events, _ = await listen(wrapped, Request(longer))
    assert len(summed(lm)) == first
    assert steps(events, "compacted") == []
    assert asked(lm)[1].prompt[-3:] == longer[-3:]
    other = (text_message("user", "Quite another beginning"), *talk(20))
    await listen(wrapped, Request(other))
    assert len(summed(lm)) > first


async def test_a_long_conversation_is_summed_up_little_by_little():
    lm = model()
    wrapped = Compacting(lm, count, OPTIONS)
    messages: tuple[Message, ...] = ()
    for number in range(60):
        messages = (*messages, text_message("user", f"question {number} " + "x" * 100))
        await listen(wrapped, Request(messages))
        messages = (*messages, text_message("assistant", "y" * 100))
    read = sum(len(text_of(request.prompt[1])) for request in summed(lm))
    assert read < 3 * sum(len(text_of(message)) for message in messages)
    assert all(count(request.prompt) <= CONTEXT for request in lm.requests)


async def test_calls_stay_with_their_results_and_the_question_stays_word_for_word():
    question = text_message("user", "Find all the numbers " + "q" * 50)
    messages: list[Message] = [*talk(3), text_message("assistant", "ok"), question]
    for number in range(12):
        call = ToolCallPart(f"c{number}", "look", f'{{"at": {number}}}')
        messages.append(Message("assistant", (TextPart("Hm."), call)))
        messages.append(Message("tool", (ToolResultPart(call.id, f"found {number} " + "z" * 100),)))
    lm = model()
    await listen(Compacting(lm, count, OPTIONS), Request(tuple(messages)))
    (final,) = asked(lm)
    assert final.prompt[1] == question
    assert final.prompt[2].role == "assistant"
    assert final.prompt[-1] == messages[-1]
    told = {part.id for m in final.prompt for part in m.parts if isinstance(part, ToolCallPart)}
    had = {p.call_id for m in final.prompt for p in m.parts if isinstance(p, ToolResultPart)}
    assert told == had
    assert "found 0" in "".join(text_of(request.prompt[1]) for request in summed(lm))


async def test_an_agent_works_on_beyond_its_context():
    numbers = iter(range(1000))

    def script(request: Request) -> str | Reply:
        if "Sum up" in text_of(request.prompt[0]):
            return "Looked at many things."
        number = next(numbers)
        return calls(("look", {"at": number})) if number < 40 else "I have seen all."

    lm = ScriptedLM(script, capabilities=SMALL)
    tool = Plain("look", lambda at: f"thing {at} " + "z" * 150)
    agent = Agent(Compacting(lm, count, OPTIONS), [tool], call_tool, LONG)
    events, end = await listen(agent, Request((text_message("user", "Look at everything."),)))
    assert (end.reason, text_of(end.message)) == ("stop", "I have seen all.")
    assert len(tool.calls) == 40
    assert len(steps(events, "compacted")) > 3
    assert all(text_of(r.prompt[1]) == "Look at everything." for r in asked(lm)[20:])


LONG = AgentOptions(limits=AgentLimits(steps=100))


async def test_what_a_summary_loses_is_added():
    secret = (
        "Call Dr. Mori at mori@example.org about invoice 4711 of $1,250.50.\n"
        "鈴木さんは「青い扉」を2026年3月に開けた。サーバーはカタリベ。\n"
        "- [ ] send the contract to Acme Corp"
    )
    messages = (text_message("user", secret), text_message("assistant", "Yes."), *talk(60))
    lm = model("They talked.", context=8000)
    await listen(Compacting(lm, count, CompactionOptions(turns=2, summary=400)), Request(messages))
    summary = text_of(asked(lm)[0].prompt[0])
    for word in (
        "Mori",
        "mori@example.org",
        "4711",
        "1,250.50",
        "鈴木さん",
        "「青い扉」",
        "2026",
        "カタリベ",
    ):
        assert word in summary
    assert "- [ ] send the contract to Acme Corp" in summary


def test_what_a_summary_has_is_not_said_again():
    text = "Then Mori paid 40 euros to Acme."
    assert left_out(text, text, 100, len) == ""
    assert "40" in left_out(text, "Mori paid 400 to Acme.", 100, len)  # 400 is another number
    assert "Mori" not in left_out(text, "Mori paid 400 to Acme.", 100, len)


def test_japanese_numbers_stand_behind_letters():
    said = left_out("会議は2026年3月4日に、鈴木さんと8人で。版は第3章、合計1,250円。", "", 400, len)
    for number in ("2026年3月4日", "8人", "1,250円", "3"):
        assert number in said.partition("Also mentioned: ")[2].split("; "), said
    assert "2026" not in left_out("契約は2026年に終わる。", "契約は2026年に終わる。", 400, len)


def test_words_behind_a_number_are_no_unit():
    said = left_out("Pay 4711 of 9000 within 12 kg at 7.5 km.", "", 400, len)
    assert said.partition(": ")[2].split("; ") == ["Pay", "4711", "9000", "12 kg", "7.5 km"]


def test_what_does_not_fit_is_counted():
    text = " ".join(f"and {n * 1111}" for n in range(1, 200))
    said = left_out(text, "", 80, len)
    assert len(said) < 120
    assert "more)" in said


async def test_max_tokens_of_the_reply_are_left_free():
    lm = model()
    request = Request(talk(12), Sampling(max_tokens=900))
    assert count(request.prompt) > CONTEXT - 900
    await listen(Compacting(lm, count, OPTIONS), request)
    assert count(asked(lm)[0].prompt) + 900 <= CONTEXT


async def test_what_cannot_be_made_shorter_is_refused_with_its_length():
    lm = model()
    with pytest.raises(ContextLengthError) as caught:
        await reply(Compacting(lm, count, OPTIONS), Request((text_message("user", "x" * 5000),)))
    assert caught.value.prompt_tokens > CONTEXT


async def test_another_model_can_sum_up():
    lm, other = model(), ScriptedLM("Short.", capabilities=replace(SMALL, context_length=50_000))
    await listen(Compacting(lm, count, OPTIONS, other), Request(talk(30)))
    assert summed(lm) == []
    assert len(other.requests) == 1
    assert other.requests[0].sampling == Sampling(temperature=0.0, max_tokens=120)


# What is only known roughly, and what goes on from one request to the next


def too_long(limit: int, say: bool) -> Callable[[Request], str | Exception]:
    """A model whose context is `limit` tokens; it may not say how long a prompt was."""

    def script(request: Request) -> str | Exception:
        tokens = count(request.prompt) + (request.sampling.max_tokens or 0)
        if tokens > limit and say:
            return ContextLengthError(tokens, limit)
        if tokens > limit:
            return InputError("Too long.", code="context_length_exceeded")
        return "Summary." if "Sum up" in text_of(request.prompt[0]) else "Answer."

    return script


@pytest.mark.parametrize("say", [True, False])
@pytest.mark.parametrize("known", [CONTEXT, 2**31 - 1])
async def test_a_rough_count_is_mended_by_what_the_model_refuses(say, known):
    lm = ScriptedLM(too_long(CONTEXT, say), capabilities=Capabilities(known))
    summaries = Summaries()
    wrapped = Compacting(lm, lambda messages: count(messages) // 3, OPTIONS, summaries=summaries)
    messages = talk(40)
    events, end = await listen(wrapped, Request(messages))
    assert text_of(end.message) == "Answer."
    assert steps(events, "compacted")
    last = asked(lm)[-1]
    assert last.prompt[-1] == messages[-1]
    before = len(lm.requests)
    longer = (*messages, text_message("assistant", "Answer."), text_message("user", "And now?"))
    other = Compacting(lm, lambda messages: count(messages) // 3, OPTIONS, summaries=summaries)
    _, end = await listen(other, Request(longer))
    assert text_of(end.message) == "Answer."
    assert len(lm.requests) == before + 1  # what was learned and summed up is remembered


async def test_one_message_that_is_too_long_is_refused_by_a_server_that_says_no_more():
    lm = ScriptedLM(too_long(500, say=False), capabilities=Capabilities(2**31 - 1))
    with pytest.raises(InputError, match="Too long"):
        await listen(Compacting(lm, count, OPTIONS), Request((text_message("user", "x" * 900),)))
    assert len(lm.requests) == 1


async def test_tools_take_room_too():
    lm = model()
    tools = (ToolSpec("look", "x" * 2000, {"type": "object"}),)
    request = Request(talk(6), tools=tools)
    assert count(request.prompt) < 0.75 * CONTEXT
    events, _ = await listen(Compacting(lm, count, OPTIONS), request)
    assert steps(events, "compacted")


async def test_facts_that_come_into_the_system_text_do_not_cost_a_summary():
    lm, summaries = model(), Summaries()
    messages = talk(20)
    for fact in ("Ann likes tea.", "Ann likes coffee."):
        system = text_message("system", fact)
        wrapped = Compacting(lm, count, OPTIONS, summaries=summaries)
        await listen(wrapped, Request((system, *messages)))
    first = summed(lm)
    assert text_of(asked(lm)[1].prompt[0]).startswith("Ann likes coffee.")
    await listen(
        Compacting(lm, count, OPTIONS, summaries=summaries),
        Request(messages, context=Context(user="bob")),
    )
    assert len(summed(lm)) > len(first)  # what is one person's is not looked up for another


async def test_a_limit_within_the_summary_ends_the_reply():
    def script(request: Request) -> Reply:
        return Reply("They sp", reason="budget", detail="All of it is spent.")

    lm, summaries = ScriptedLM(script, capabilities=SMALL), Summaries()
    _, end = await listen(Compacting(lm, count, OPTIONS, summaries=summaries), Request(talk(20)))
    assert (end.reason, end.detail, end.message.parts) == ("budget", "All of it is spent.", ())
    assert end.usage.completion_tokens == len("They sp")
    assert len(lm.requests) == 1
    lm = model()
    await listen(Compacting(lm, count, OPTIONS, summaries=summaries), Request(talk(20)))
    assert summed(lm)  # half a summary is not remembered


async def test_acting_in_plain_text_keeps_its_question_and_goes_on_beyond_the_context():
    numbers = iter(range(1000))

    def script(request: Request) -> str:
        if "Sum up" in text_of(request.prompt[0]):
            return "Looked at many things."
        at = next(numbers)
        return f"Thought: on.\nAction: look[{at}]" if at < 30 else "Final Answer: All seen."

    wide = replace(SMALL, tools=False, context_length=3000)
    lm = ScriptedLM(script, capabilities=wide)
    look = Plain("look", lambda at: f"thing {at} " + "z" * 150)
    look_spec = {"type": "object", "properties": {"at": {"type": "string"}}, "required": ["at"]}

    class Look:
        spec = ToolSpec("look", "Looks.", look_spec)
        call = look.call

    react = ReAct(Compacting(lm, count, OPTIONS), [Look()], ReActOptions(most_steps=100))
    events, end = await listen(react, Request((text_message("user", "Look at everything."),)))
    assert (end.reason, text_of(end.message)) == ("stop", "All seen.")
    assert len(look.calls) == 30
    assert len(steps(events, "compacted")) > 1
    for request in asked(lm):
        question = next(m for m in request.prompt if m.role == "user")
        assert "Question: Look at everything." in text_of(question)
        assert "- look: Looks." in text_of(question)


async def test_a_model_without_temperature_sums_up():
    lm = model()
    lm._capabilities = replace(SMALL, lacks=frozenset({"temperature"}))
    await listen(Compacting(lm, count, OPTIONS), Request(talk(20)))
    assert {request.sampling.temperature for request in summed(lm)} == {None}


@pytest.mark.parametrize("mind", [ProviderError("Model works only in thinking mode."), None])
async def test_a_summary_is_written_without_thoughts_where_that_can_be(mind: Exception | None):
    def script(request: Request) -> str | Exception:
        if "Sum up" not in text_of(request.prompt[0]):
            return "Answer."
        return InputError(str(mind), param="thinking") if mind and request.thinking else "Short."

    lm = ScriptedLM(script, capabilities=SMALL)
    events, _ = await listen(Compacting(lm, count, OPTIONS), Request(talk(40)))
    assert len(steps(events, "compacted")) == 1
    wishes = [request.thinking for request in summed(lm)]
    assert wishes[0] == Thinking(wanted=False)
    assert len(wishes) > 2
    assert set(wishes[1:]) == ({None} if mind else {Thinking(wanted=False)})
    assert asked(lm)[0].thinking is None


async def test_a_summary_that_was_cut_is_asked_for_once_more_shorter():
    def script(request: Request) -> str:
        order = text_of(request.prompt[0])
        if "Sum up" not in order:
            return "Answer."
        return "They spoke of x." if "too long" in order else "They spoke, and " * 50

    lm, summaries = ScriptedLM(script, capabilities=SMALL), Summaries()
    events, end = await listen(
        Compacting(lm, count, OPTIONS, summaries=summaries), Request(talk(20))
    )
    (told,) = steps(events, "compacted")
    assert told.endswith("now.")
    shown = text_of(asked(lm)[0].prompt[0])
    assert "They spoke of x." in shown
    assert "They spoke, and" not in shown
    first, second = summed(lm)[:2]
    assert first.sampling.max_tokens == OPTIONS.summary < (second.sampling.max_tokens or 0)
    assert end.usage.completion_tokens > OPTIONS.summary  # the first try counts, too


async def test_of_a_summary_that_is_cut_twice_whole_sentences_stay_and_it_is_said():
    said = "They spoke of x. " * 5 + "Then they went on and on " * 60
    lm = model(said)
    events, _ = await listen(Compacting(lm, count, OPTIONS), Request(talk(20)))
    (told,) = steps(events, "compacted")
    assert "no whole summary in two tries (length): its whole sentences are kept" in told
    shown = text_of(asked(lm)[0].prompt[0])
    assert "They spoke of x. They spoke of x." in shown
    assert "Then they" not in shown


@pytest.mark.parametrize("fits", [True, False])
async def test_where_there_is_no_summary_everything_stays(fits: bool):
    """A model that thinks until its tokens are used up, whatever it is told."""

    def script(request: Request) -> str | Reply:
        if "Sum up" in text_of(request.prompt[0]):
            return Reply("", reasoning="Hm. " * 500)
        return "Answer."

    lm, summaries = ScriptedLM(script, capabilities=SMALL), Summaries()
    lm_ = Compacting(lm, count, OPTIONS, summaries=summaries)
    request = Request(talk(8 if fits else 40))
    if not fits:
        with pytest.raises(ContextLengthError):
            await listen(lm_, request)
        return
    events, end = await listen(lm_, request)
    assert "so the conversation stays as it is" in steps(events, "not compacted")[0]
    assert text_of(end.message) == "Answer."
    assert asked(lm)[0].prompt == request.prompt
    lm = model()
    await listen(Compacting(lm, count, OPTIONS, summaries=summaries), request)
    assert summed(lm)  # nothing was remembered


async def test_a_step_before_a_refusal_does_not_keep_it_from_being_asked_with_less():
    """A router says where it goes before the model there refuses the length."""
    known = {"limit": 1500}

    def script(request: Request) -> str | Reply:
        if "Sum up" in text_of(request.prompt[0]):
            return "Summary."
        size = count(request.prompt)  # type: ignore[arg-type]
        if size > known["limit"]:
            error = ContextLengthError(size, known["limit"])
            return Reply("", steps=(Step("route", "plain"),), error=error, fail_after=1)
        return "Answer."

    lm = ScriptedLM(script, capabilities=replace(SMALL, context_length=10_000))
    _, end = await listen(Compacting(lm, count, OPTIONS), Request(talk(20)))
    assert text_of(end.message) == "Answer."


def test_pictures_of_results_count_and_are_told():
    picture = ImagePart("image/png", b"")
    result = ToolResultPart("c", "seen", images=(picture, picture))
    message = Message("tool", (result,))
    bare = Message("tool", (replace(result, images=()),))
    assert rough_count([message]) == rough_count([bare]) + 2 * PER_PICTURE
    assert line_of(message) == "tool: [result: seen] [a picture] [a picture]"


def test_rough_counts_are_never_far_below_the_bytes():
    call = ToolCallPart("c", "look", '{"at": 1}')
    parts = (TextPart("語" * 30), call, ToolResultPart("c", "x" * 30))
    assert rough_count([Message("assistant", parts)]) >= 30 + 10 + len('look{"at": 1}') // 3
    assert rough_count([]) == 0
    assert rough_count([Message("user", (ImagePart("image/png", b""),))]) >= 1000
    assert rough_tools([ToolSpec("look", "x" * 300)]) >= 100


async def test_a_raw_prompt_passes():
    lm = ScriptedLM("Answer.", capabilities=SMALL)
    await listen(Compacting(lm, count, OPTIONS), Request("x" * 1900))
    assert lm.requests[0].prompt == "x" * 1900


@pytest.mark.parametrize("change", [{"fill": 0.0}, {"fill": 1.1}, {"turns": 0}, {"summary": 0}])
def test_options_that_make_no_sense_are_refused(change):
    with pytest.raises(InputError, match=next(iter(change))):
        CompactionOptions(**change)


async def test_random_conversations_keep_their_shape():
    seed = random.randrange(10**6)
    print("seed", seed)
    dice = random.Random(seed)
    for _ in range(30):
        lm = model()
        messages: list[Message] = []
        if dice.random() < 0.5:
            messages.append(text_message("system", "s" * dice.randrange(200)))
        for number in range(dice.randrange(1, 30)):
            messages.append(text_message("user", f"u{number} " + "x" * dice.randrange(150)))
            for step in range(dice.choice([0, 0, 1, 3])):
                call = ToolCallPart(f"{number}.{step}", "look", "{}")
                messages.append(Message("assistant", (call,)))
                messages.append(
                    Message("tool", (ToolResultPart(call.id, "z" * dice.randrange(150)),))
                )
            messages.append(text_message("assistant", f"a{number} " + "y" * dice.randrange(150)))
        messages.append(text_message("user", "the newest question"))
        await listen(Compacting(lm, count, OPTIONS), Request(tuple(messages)))
        (final,) = asked(lm)
        assert count(final.prompt) <= max(0.75 * CONTEXT, 0)
        rest = [m for m in final.prompt if m.role != "system"]
        assert rest == messages[len(messages) - len(rest) :]
        assert rest[0].role == "user"


def test_who_sums_up_is_told_of_pictures():
    message = Message("user", (TextPart("What is this?"), ImagePart("image/png", b"\x89PNG")))
    assert line_of(message) == "user: What is this? [a picture]"
