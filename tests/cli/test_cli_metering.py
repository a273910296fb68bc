"""Whatever answers is counted where it is lent; the program writes it down and shows it."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager

import httpx
import pytest

from kataribe.base.lm import Context, Request, ask, reply
from kataribe.base.messages import text_message
from kataribe.base.settings import load_settings
from kataribe.base.workspace import Workspace
from kataribe.cli import wiring
from kataribe.cli.all_models import MOST_HOSTED, AllModels
from kataribe.cli.behind import local_behind, model_behind
from kataribe.cli.metering import trace_store
from kataribe.cli.models.pull import ensure_default
from kataribe.prove.ops.spent import Spent
from kataribe.run.catalog.catalog import Catalog
from kataribe.run.providers import Call, Reply, ScriptedLM
from kataribe.serve.models import ModelInfo
from kataribe.use.assistants.book import Book

HELPER = "model: pico\ntools: [calculator]\nguards: {standard: true}\n"
ROUTER = "router:\n  default: helper\n  rules: [{model: pico, words: [code]}]\n"
QUESTION = {"model": "pico", "messages": [{"role": "user", "content": "tell"}], "max_tokens": 3}


class Local:
    """One scripted model in the place of those of this machine."""

    def __init__(self, lm: ScriptedLM) -> None:
        self.lm = lm
        lm.score = lm.inspector = None  # type: ignore[attr-defined]

    def names(self):
        return [ModelInfo("pico", 0, "test", loaded=True, context_length=4096)]

    @asynccontextmanager
    async def lease(self, name):
        yield self.lm


@pytest.fixture
def workspace(kataribe_home) -> Workspace:
    found = Workspace(kataribe_home)
    book = Book(found.assistants)
    book.write("helper", HELPER)
    book.write("sorter", ROUTER)
    return found


def everything(workspace: Workspace, lm: ScriptedLM) -> AllModels:
    settings = load_settings(model="pico")
    return AllModels(Local(lm), Book(workspace.assistants), settings, workspace)  # type: ignore[arg-type]


def asked(text: str, **context) -> Request:
    return Request((text_message("user", text),), context=Context(**context))


async def test_all_that_an_assistant_causes_stands_below_it(workspace):
    def script(request: Request) -> Reply:
        if request.prompt[-1].role == "tool":
            return Reply("It is 42.")
        return Reply("", calls=(Call("calculator", {"expression": "6 * 7"}),))

    models = everything(workspace, ScriptedLM(script, name="pico"))
    async with models.lease("sorter") as lm:
        end = await reply(lm, asked("What is 6 times 7?", user="ann", conversation="c1"))
    assert end.reason == "stop"
    spans = models.meters.ledger.spans()
    assert len({span.trace for span in spans}) == 1
    by_id = {span.id: span for span in spans}
    above = {
        (span.kind, span.name): by_id[span.parent].name if span.parent else None
        for span in spans
        if span.kind in ("lm", "tool")
    }
    assert above == {
        ("lm", "sorter"): None,
        ("lm", "helper"): "sorter",
        ("lm", "pico"): "helper",
        ("tool", "calculator"): "helper",
    }
    root = next(span for span in spans if span.parent is None)
    assert (root.user, root.conversation) == ("ann", "c1")
    assert root.total.steps == 2
    assert root.own == Spent()
    assert sum((span.own for span in spans), Spent()) == root.total


async def test_limits_of_a_request_hold_for_all_that_an_assistant_causes(workspace):
    call = Reply("Hm. ", calls=(Call("calculator", {"expression": "6 * 7"}),))
    lm = ScriptedLM(lambda request: call, name="pico")
    async with everything(workspace, lm).lease("helper") as helper:
        end = await reply(helper, asked("Go on and on.", steps=3))
    assert end.reason == "budget"
    assert "3" in end.detail
    assert len(lm.requests) <= 3


async def test_models_at_hosts_are_made_once_and_not_for_ever(workspace, monkeypatch):
    models = everything(workspace, ScriptedLM(name="pico"))
    async with models.lease("vllm:one") as one, models.lease("vllm:one") as again:
        assert one is again
        assert one.name == "vllm:one"
    for number in range(MOST_HOSTED + 5):
        async with models.lease(f"vllm:m{number}"):
            pass
    assert len(models.hosted) == MOST_HOSTED
    assert "vllm:one" not in models.hosted


@pytest.mark.parametrize(
    ("name", "behind"),
    [
        ("pico", "pico"),
        ("helper", "pico"),
        ("sorter", "pico"),
        ("translator", "smollm2-135m"),
        ("openai:gpt-4o", None),
        ("unheard-of", "unheard-of"),
        ("round", None),
    ],
)
def test_which_model_of_this_machine_is_behind_a_name(workspace, name, behind):
    workspace.assistants.joinpath("round.yaml").write_text("model: back\n", encoding="utf-8")
    workspace.assistants.joinpath("back.yaml").write_text("model: round\n", encoding="utf-8")
    assert local_behind(name, Book(workspace.assistants), {"pico"}.__contains__) == behind


@pytest.mark.parametrize(
    ("name", "behind"),
    [
        ("pico", "pico"),
        ("helper", "pico"),
        ("far", "openai:gpt-4o"),
        ("openai:gpt-4o", "openai:gpt-4o"),
        ("usual", "the-default"),
        ("round", None),
        ("broken", None),
        ("gone", "gone"),
    ],
)
def test_which_model_alone_is_behind_a_name(workspace, name, behind):
    recipes = {
        "far": "router:\n  default: farther\n  rules: [{model: pico, words: [code]}]\n",
        "farther": "model: openai:gpt-4o\ntools: [web-page]\n",
        "usual": "technique: chain-of-thought\n",
        "round": "model: back\n",
        "back": "model: round\n",
        "broken": "modle: pico\n",
        "pico": "model: openai:gpt-4o\n",  # a model of this machine goes before it
    }
    for file, text in recipes.items():
        workspace.assistants.joinpath(f"{file}.yaml").write_text(text, encoding="utf-8")
    book = Book(workspace.assistants)
    assert model_behind(name, book, {"pico"}.__contains__, "the-default") == behind


@pytest.mark.parametrize(
    ("name", "alone"), [("hiding", None), ("above", None), ("open", "openai:gpt-4o")]
)
def test_no_model_is_asked_alone_where_an_assistant_hides_personal_data(workspace, name, alone):
    for file, text in {
        "hiding": "model: openai:gpt-4o\nguards: {personal: true}\n",
        "above": "model: hiding\n",
        "open": "model: openai:gpt-4o\nguards: {personal: false, empty: true}\n",
    }.items():
        workspace.assistants.joinpath(f"{file}.yaml").write_text(text, encoding="utf-8")
    assert everything(workspace, ScriptedLM("Hi.")).plain(name) == alone


def test_nothing_is_fetched_for_a_default_at_a_host(workspace):
    ensure_default(load_settings(model="openai:gpt-4o"), workspace)
    assert not Catalog(workspace).installed()


def client(app) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://localhost", timeout=60
    )


async def ready(http: httpx.AsyncClient) -> None:
    while (await http.get("/health")).json()["status"] != "ready":  # noqa: ASYNC110
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("default", ["helper", "vllm:far-away"])
async def test_a_default_that_is_no_model_of_this_machine_warms_up_what_is_behind_it(
    workspace, pico_path, default
):
    Catalog(workspace).import_(pico_path, as_name="pico", link=True)
    with wiring.open_app(load_settings(model=default), workspace) as app:
        async with client(app) as http:
            await ready(http)
            told = (await http.get("/health")).json()
            assert told["detail"] == ""
            in_memory = (await http.get("/studio/api/models/loaded")).json()
    names = [each["name"] for each in in_memory.get("data", [])]
    assert names == (["pico"] if default == "helper" else [])


async def test_a_served_reply_is_in_costs_and_traces(workspace, pico_path, cli):
    Catalog(workspace).import_(pico_path, as_name="pico", link=True)
    with wiring.open_app(load_settings(model="pico"), workspace) as app:
        async with client(app) as http:
            await ready(http)
            answer = await http.post("/v1/chat/completions", json=QUESTION)
            assert answer.status_code == 200, answer.text
    usage = answer.json()["usage"]
    (cost,) = await asyncio.to_thread(trace_store(workspace).costs)
    assert (cost.model, cost.used.steps, cost.used.dollars) == ("pico", 1, 0.0)
    assert cost.used.prompt_tokens == usage["prompt_tokens"]
    assert cost.used.completion_tokens == usage["completion_tokens"]
    (line,) = json.loads(cli("costs", "--json").out)
    assert line["model"] == "pico"
    assert line["calls"] == 1
    (trace,) = json.loads(cli("traces", "list", "--json").out)
    assert trace["attributes"]["gen_ai.usage.output_tokens"] == usage["completion_tokens"]
    shown = cli("traces", "show", trace["traceId"][:8])
    assert shown.code == 0
    assert "pico" in shown.out
    spans = json.loads(cli("traces", "show", trace["traceId"], "--json").out)
    assert [span["spanId"] for span in spans] == [trace["spanId"]]
    assert "tell" not in json.dumps(spans)


def test_what_a_command_asks_without_a_server_is_counted_too(workspace, pico_path):
    Catalog(workspace).import_(pico_path, as_name="pico", link=True)
    Book(workspace.assistants).write("plain", "model: pico\nguards: {standard: true}\n")
    with wiring.open_local(load_settings(model="plain"), workspace) as lm:
        ask(lm, "Tell me.")
    costs = trace_store(workspace).costs(by=("model",))
    assert [cost.model for cost in costs] == ["pico"]
    assert costs[0].used.steps >= 1


def test_costs_without_any_and_bad_words(cli, kataribe_home):
    assert json.loads(cli("costs", "--json").out) == []
    assert "Nothing was used" in cli("costs").err
    assert json.loads(cli("traces", "list", "--json").out) == []
    wrong = cli("costs", "--by", "week")
    assert wrong.code == 2
    assert "there are day, model, user" in wrong.err
    assert cli("traces", "show", "abcdef").code == 3
    assert cli("traces", "show", "ab").code == 2
