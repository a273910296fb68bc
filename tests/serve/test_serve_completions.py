"""Bare prompts: their forms, echo and log-probabilities in the legacy shape; and tokens."""

from __future__ import annotations

import pytest

from kataribe.base.errors import UnsupportedError
from kataribe.base.lm import ChoiceFormat, GrammarFormat, JsonFormat, RegexFormat
from kataribe.run.providers import ScriptedLM, ScriptedTokenizer
from kataribe.serve.settings import ServerSettings
from tests.serve.conftest import Source, inside, source_of
from tests.serve.test_serve_streams import data_of


async def complete(lm: ScriptedLM, **fields):
    async with inside(source_of(lm), ServerSettings(max_prompts=8)) as http:
        return await http.post("/v1/completions", json={"model": "scripted", **fields})


@pytest.mark.parametrize(
    ("prompt", "asked"),
    [
        ("a", ["a"]),
        ("", [""]),
        (["a", "b"], ["a", "b"]),
        ([97, 98], [(97, 98)]),
        ([[97], [98, 99]], [(97,), (98, 99)]),
    ],
)
async def test_forms_of_a_prompt(prompt, asked):
    lm = ScriptedLM("x")
    answer = await complete(lm, prompt=prompt)
    assert answer.status_code == 200
    assert sorted(map(str, (request.prompt for request in lm.requests))) == sorted(map(str, asked))
    assert all(request.sampling.max_tokens == 16 for request in lm.requests)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({}, "prompt"),
        ({"prompt": None}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": [[]]}, "prompt[0]"),
        ({"prompt": ["a", 1]}, "prompt[0]"),
        ({"prompt": [-1]}, "prompt[0]"),
        ({"prompt": [1.5]}, "prompt[0]"),
        ({"prompt": [99_999]}, "prompt"),
        ({"prompt": ["a"] * 9}, "prompt"),
        ({"prompt": "a", "suffix": "b"}, "suffix"),
        ({"prompt": "a", "best_of": 2}, "best_of"),
        ({"prompt": "a", "max_tokens": 0}, "max_tokens"),
        ({"prompt": "a", "max_tokens": -1}, "max_tokens"),
        ({"prompt": "a", "max_tokens": 0, "echo": True, "min_tokens": 1}, "min_tokens"),
        ({"prompt": "a", "logprobs": 21}, "logprobs"),
        ({"prompt": "a", "logprobs": True}, "logprobs"),
        ({"prompt": "a", "messages": []}, "messages"),
    ],
)
async def test_wrong_field_is_named(fields, param):
    answer = await complete(ScriptedLM("x"), **fields)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


async def test_echo_with_logprobs_in_the_legacy_shape():
    answer = await complete(
        ScriptedLM("é!"), prompt="aあ", echo=True, logprobs=2, max_tokens=8, temperature=0
    )
    choice = answer.json()["choices"][0]
    assert choice["text"] == "aあé!"
    scores = choice["logprobs"]
    assert scores["tokens"] == [
        "a",
        "bytes:\\xe3",
        "bytes:\\x81",
        "bytes:\\x82",
        "bytes:\\xc3",
        "bytes:\\xa9",
        "!",
    ]
    assert scores["text_offset"] == [0, 1, 1, 1, 2, 2, 3]
    assert scores["token_logprobs"] == [None] + [-0.25] * 6
    assert scores["top_logprobs"][0] is None
    assert scores["top_logprobs"][-1] == {"!": -0.25, '"': -0.5}


async def test_score_only_draws_nothing():
    lm = ScriptedLM("never said")
    answer = (await complete(lm, prompt="ab", echo=True, max_tokens=0, logprobs=1)).json()
    assert lm.requests[0].score_only
    assert answer["choices"][0]["text"] == "ab"
    assert len(answer["choices"][0]["logprobs"]["tokens"]) == 2
    assert answer["usage"]["completion_tokens"] == 0


async def test_a_harness_can_read_the_scores():
    """What lm-evaluation-harness does with an answer: sums after the context, and is it greedy."""
    context, whole = [97, 98], [97, 98, 99, 100]
    answer = await complete(
        ScriptedLM("z"),
        prompt=[whole, whole],
        max_tokens=1,
        logprobs=1,
        echo=True,
        seed=1234,
        temperature=0,
    )
    for choice in sorted(answer.json()["choices"], key=lambda one: one["index"]):
        scores = choice["logprobs"]["token_logprobs"][len(context) : -1]
        tops = choice["logprobs"]["top_logprobs"][len(context) : -1]
        tokens = choice["logprobs"]["tokens"][len(context) : -1]
        assert sum(scores) == -0.5
        assert all(max(top, key=top.get) == said for said, top in zip(tokens, tops, strict=True))


async def test_prompts_and_choices_are_numbered_through():
    lm = ScriptedLM(lambda request: [f"{request.prompt}1", f"{request.prompt}2"])
    asked = {"prompt": ["a", "b", "c"], "n": 2}
    whole = (await complete(lm, **asked)).json()
    texts = {choice["index"]: choice["text"] for choice in whole["choices"]}
    assert texts == {0: "a1", 1: "a2", 2: "b1", 3: "b2", 4: "c1", 5: "c2"}
    assert whole["usage"]["prompt_tokens"] == 3
    assert whole["usage"]["completion_tokens"] == 12
    stream = await complete(lm, **asked, stream=True, stream_options={"include_usage": True})
    chunks = data_of(stream.text)
    assert chunks[-1]["usage"] == whole["usage"]
    told = dict.fromkeys(range(6), "")
    for chunk in chunks[:-1]:
        told[chunk["choices"][0]["index"]] += chunk["choices"][0]["text"]
    assert told == texts


async def test_one_failing_prompt_fails_the_call():
    lm = ScriptedLM(lambda request: ZeroDivisionError() if request.prompt == "b" else "x")
    answer = await complete(lm, prompt=["a", "b", "c"])
    assert answer.status_code == 500
    assert lm.running == 0


@pytest.mark.parametrize(
    ("option", "form"),
    [
        ({"json": {"type": "object"}}, JsonFormat({"type": "object"})),
        ({"json_object": True}, JsonFormat()),
        ({"regex": "a+"}, RegexFormat("a+")),
        ({"grammar": 'start: "a"'}, GrammarFormat('start: "a"')),
        ({"choice": ["yes", "no (at all)", "3.5"]}, ChoiceFormat(("yes", "no (at all)", "3.5"))),
    ],
)
async def test_structured_outputs(option, form):
    lm = ScriptedLM("x")
    answer = await complete(lm, prompt="a", structured_outputs=option)
    assert answer.status_code == 200
    assert lm.requests[0].response_format == form
    assert lm.requests[0].response_format.param == "structured_outputs"


async def test_sampling_reaches_the_model():
    lm = ScriptedLM("x")
    fields = {
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 40,
        "min_p": 0.1,
        "repetition_penalty": 1.1,
        "presence_penalty": 1,
        "frequency_penalty": -1,
        "min_tokens": 2,
        "max_tokens": 9,
        "ignore_eos": True,
        "logit_bias": {"7": -100},
    }
    await complete(lm, prompt="a", seed=5, stop=["\n"], **fields)
    request = lm.requests[0]
    assert (request.seed, request.stop) == (5, ("\n",))
    for name, value in {**fields, "logit_bias": {7: -100}}.items():
        assert getattr(request.sampling, name) == value


def told(
    self, messages, *, tools=(), add_generation_prompt=True, continue_last=False, variables
) -> list[int]:
    """Stands for a chat template that shows what it was given."""
    roles = ",".join(message.role for message in messages)
    shown = f"{roles}|{len(tools)}|{add_generation_prompt}|{continue_last}|{dict(variables)}"
    return list(shown.encode())


async def tokenize(monkeypatch, path: str = "/tokenize", **fields):
    monkeypatch.setattr(ScriptedTokenizer, "chat_ids", told)
    settings = ServerSettings(default_model="scripted")
    async with inside(source_of(ScriptedLM()), settings) as http:
        return await http.post(path, json=fields)


async def test_tokenize_and_back(monkeypatch):
    answer = (await tokenize(monkeypatch, prompt="aあ", return_token_strs=True)).json()
    assert answer == {
        "count": 4,
        "max_model_len": 4096,
        "tokens": [97, 0xE3, 0x81, 0x82],
        "token_strs": ["<0x61>", "<0xE3>", "<0x81>", "<0x82>"],
    }
    back = await tokenize(monkeypatch, "/detokenize", tokens=answer["tokens"])
    assert back.json() == {"prompt": "aあ"}


async def test_tokenize_a_chat(monkeypatch):
    answer = await tokenize(
        monkeypatch,
        messages=[{"role": "developer", "content": "x"}, {"role": "user", "content": "y"}],
        add_generation_prompt=False,
        chat_template_kwargs={"k": 1},
    )
    assert bytes(answer.json()["tokens"]).decode() == "system,user|0|False|False|{'k': 1}"


@pytest.mark.parametrize(
    ("path", "fields", "status", "param"),
    [
        ("/tokenize", {}, 400, "prompt"),
        ("/tokenize", {"prompt": "a", "model": "none"}, 404, "model"),
        ("/tokenize", {"prompt": "a", "pront": 1}, 400, "pront"),
        ("/tokenize", {"prompt": "a", "messages": []}, 400, "prompt"),
        (
            "/tokenize",
            {"messages": [{"role": "assistant", "content": "x"}], "continue_final_message": True},
            400,
            "continue_final_message",
        ),
        ("/detokenize", {"tokens": [258]}, 400, "tokens"),
        ("/detokenize", {"tokens": [-1]}, 400, "tokens[0]"),
        ("/detokenize", {"tokens": "a"}, 400, "tokens"),
    ],
)
async def test_wrong_token_calls(monkeypatch, path, fields, status, param):
    answer = await tokenize(monkeypatch, path, **fields)
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param)


async def test_prompt_and_messages_exclude_each_other(monkeypatch):
    answer = await tokenize(monkeypatch, "/tokenize", prompt="a", messages=[])
    assert "exclude each other" in answer.json()["error"]["message"]


async def test_a_model_without_a_template_says_so(monkeypatch):
    def refuse(self, messages, **options):
        raise UnsupportedError("A base model.", param="messages")

    monkeypatch.setattr(ScriptedTokenizer, "chat_ids", refuse)
    async with inside(Source({"scripted": ScriptedLM()})) as http:
        asked = {"model": "scripted", "messages": [{"role": "user", "content": "x"}]}
        answer = await http.post("/tokenize", json=asked)
        nameless = await http.post("/tokenize", json={"prompt": "x"})
    assert answer.json()["error"]["code"] == "unsupported"
    assert nameless.json()["error"]["param"] == "model"
