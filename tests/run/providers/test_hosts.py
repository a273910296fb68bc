"""Hosts: those that are known, those that people add, and what is wrong with what they wrote."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest

from kataribe.base.errors import AccessError, InputError, NotFoundError, SettingsError
from kataribe.base.events import Finished, Usage
from kataribe.base.lm import LM
from kataribe.base.messages import text_message
from kataribe.run.providers import HostedLM, known_hosts, open_hosted, parse_hosts
from kataribe.run.providers.hosted import UNKNOWN_CONTEXT
from kataribe.run.providers.prices import Priced, context_length, cost

SECRET = "sk-live-4f9a0c"


def test_every_known_host_is_sound():
    hosts = known_hosts()
    assert set(hosts) >= {"openai", "openai-responses", "anthropic", "gemini", "vllm", "llamacpp",
                          "ollama", "lmstudio", "kataribe"}  # fmt: skip
    for name, host in hosts.items():
        assert host.name == name
        assert host.address.startswith("https://" if host.needs_key else "http://127.0.0.1:")
        assert not host.address.endswith("/")
        assert host.keys or not host.needs_key
        environ = dict.fromkeys(host.keys, SECRET)
        lm = open_hosted(f"{name}:some/model:tag", hosts, environ)
        assert isinstance(lm, LM)
        assert lm.name == f"{name}:some/model:tag"
        assert lm.capabilities.location == "hosted"
        assert lm.capabilities.tools


def test_a_missing_key_names_the_variable():
    with pytest.raises(AccessError, match="OPENAI_API_KEY is not set"):
        open_hosted("openai:gpt-5", known_hosts(), {})
    with pytest.raises(AccessError, match="GEMINI_API_KEY or GOOGLE_API_KEY"):
        open_hosted("gemini:gemini-2.5-flash", known_hosts(), {"GEMINI_API_KEY": "  "})
    open_hosted("gemini:gemini-2.5-flash", known_hosts(), {"GOOGLE_API_KEY": SECRET})
    open_hosted("ollama:llama3", known_hosts(), {})


def test_a_key_that_no_header_may_carry_is_refused_unshown():
    with pytest.raises(AccessError, match="OPENAI_API_KEY holds something") as caught:
        open_hosted("openai:gpt-5", known_hosts(), {"OPENAI_API_KEY": f"{SECRET}\r\nx: y"})
    assert SECRET not in str(caught.value)
    open_hosted("openai:gpt-5", known_hosts(), {"OPENAI_API_KEY": f"{SECRET}\n"})  # a file's end


def test_an_unknown_host_suggests_near_names():
    with pytest.raises(NotFoundError, match="Did you mean anthropic"):
        open_hosted("antropic:claude", known_hosts(), {})
    with pytest.raises(NotFoundError, match=r"There are openai.*providers\.NAME"):
        open_hosted("xyz:m", known_hosts(), {})
    with pytest.raises(NotFoundError, match="openai:gpt-5"):
        open_hosted("gpt-5", known_hosts(), {})
    with pytest.raises(InputError, match="names no model"):
        open_hosted("openai:", known_hosts(), {})


def test_people_add_hosts():
    hosts = parse_hosts(
        {
            "box": {"address": "http://10.0.0.7:8000/v1/", "like": "vllm"},
            "groq": {"address": "https://api.groq.com/openai/v1", "key": "GROQ_API_KEY"},
            "claude-proxy": {"address": "https://proxy.example/v1", "wire": "anthropic"},
            "ollama": {"address": "http://gpu:11434/v1"},
        }
    )
    known = known_hosts()
    assert hosts["box"].address == "http://10.0.0.7:8000/v1"
    assert hosts["box"].manner == known["vllm"].manner
    assert (hosts["groq"].keys, hosts["groq"].needs_key) == (("GROQ_API_KEY",), True)
    assert hosts["claude-proxy"].wire == "anthropic"
    assert hosts["ollama"] == dataclasses.replace(
        known["ollama"], address="http://gpu:11434/v1", prices=None
    )
    assert hosts["openai"] == known["openai"]
    with pytest.raises(AccessError, match="GROQ_API_KEY is not set"):
        open_hosted("groq:llama", hosts, {})


@pytest.mark.parametrize(
    ("tables", "param", "says"),
    [
        ({"Box": {"address": "http://x/v1"}}, "providers.Box", "no name for a host"),
        ({"a b": {}}, "providers.a b", "no name for a host"),
        ({"box": "http://x/v1"}, "providers.box", "must be a table"),
        ({"box": {}}, "providers.box.address", "has no address"),
        ({"box": {"addres": "http://x/v1"}}, "providers.box", "Did you mean address?"),
        ({"box": {"address": 5}}, "providers.box.address", "must be a text"),
        ({"box": {"address": ""}}, "providers.box.address", "must be a text"),
        ({"box": {"address": "x:8000/v1"}}, "providers.box.address", "must be an http"),
        ({"box": {"address": "ftp://x/v1"}}, "providers.box.address", "must be an http"),
        ({"box": {"address": "http://x:port/v1"}}, "providers.box.address", "must be an http"),
        (
            {"box": {"address": "http://x/v1", "wire": "soap"}},
            "providers.box.wire",
            "there are chat",
        ),
        (
            {"box": {"address": "http://x/v1", "like": "vlm"}},
            "providers.box.like",
            "there are openai",
        ),
    ],
)
def test_what_is_wrong_with_a_host_is_named(tables, param, says):
    with pytest.raises(SettingsError) as caught:
        parse_hosts(tables)
    assert caught.value.param == param
    assert says in caught.value.message


@pytest.mark.parametrize(
    "table",
    [
        {"address": "http://x/v1", "key": SECRET},
        {"address": "http://x/v1", "key": SECRET.replace("-", "_")},
        {"address": f"http://user:{SECRET}@x/v1"},
        {"address": f"http://{SECRET}@x/v1"},
        {"address": f"http://x/v1?key={SECRET}"},
    ],
)
def test_a_key_that_stands_in_the_settings_is_not_shown(table):
    with pytest.raises(SettingsError) as caught:
        parse_hosts({"box": table})
    assert SECRET not in str(caught.value)
    assert SECRET.replace("-", "_") not in str(caught.value)


# --- money --------------------------------------------------------------------------------------


def said(prompt: int, completion: int, cached: int = 0, index: int = 0) -> Finished:
    usage = Usage(prompt, completion, cached)
    return Finished(text_message("assistant", "x"), usage, "stop", index)


def test_money_is_that_of_the_price_list():
    """The prices of 2025, which the data keep: 1.25 and 10 dollars for a million, cached 0.125."""
    gpt = Priced("openai", "", "gpt-5")
    assert cost(gpt, Usage(1_000_000, 0)) == pytest.approx(1.25)
    assert cost(gpt, Usage(1_000_000, 100_000)) == pytest.approx(1.25 + 1.0)
    assert cost(gpt, Usage(1_000_000, 0, 1_000_000)) == pytest.approx(0.125)
    assert cost(gpt, Usage(1_000_000, 0, 400_000)) == pytest.approx(0.6 * 1.25 + 0.4 * 0.125)
    claude = Priced("anthropic", "", "claude-haiku-4-5")  # 1 and 5; cache read 0.1, written 1.25
    assert cost(claude, Usage(100_000, 10_000)) == pytest.approx(0.1 + 0.05)
    assert cost(claude, Usage(100_000, 0, 50_000, 50_000)) == pytest.approx(0.005 + 0.0625)
    assert cost(Priced("google", "", "gemini-2.5-flash"), Usage(1000, 10)) is not None


def test_money_is_none_where_nobody_knows():
    assert cost(Priced("openai", "", "gpt-of-tomorrow"), Usage(10, 10)) is None
    assert cost(Priced(None, "http://127.0.0.1:8000/v1", "gpt-5"), Usage(10, 10)) is None
    assert cost(Priced("openai", "", "gpt-5"), Usage(0, 0)) is None  # the host told nothing
    assert context_length(Priced("openai", "", "gpt-of-tomorrow")) is None


def test_prices_of_an_added_host_are_found_by_its_address():
    deepseek = Priced(None, "https://api.deepseek.com/v1", "deepseek-chat")
    assert cost(deepseek, Usage(1000, 1000)) > 0


def test_a_prompt_is_paid_once_where_the_host_reads_it_once():
    hosts = known_hosts()
    gpt = HostedLM(hosts["openai"], "gpt-5", key=SECRET)
    both = [said(1_000_000, 1000), said(1_000_000, 2000, index=1)]
    assert gpt.cost(both) == pytest.approx(1.25 + 0.03)
    claude = HostedLM(hosts["anthropic"], "claude-haiku-4-5", key=SECRET)
    assert claude.cost([said(100_000, 1000), said(100_000, 1000)]) == pytest.approx(0.2 + 0.01)
    assert claude.cost([]) is None
    assert HostedLM(hosts["ollama"], "gpt-5").cost(both) is None


def test_the_context_is_that_of_the_data():
    hosts = known_hosts()
    assert HostedLM(hosts["openai"], "gpt-5", key=SECRET).capabilities.context_length == 400_000
    assert HostedLM(hosts["ollama"], "gpt-5").capabilities.context_length == UNKNOWN_CONTEXT


def test_importing_the_room_is_cheap():
    slow = "httpx, genai_prices, anthropic, openai, google.genai"
    names = f"[name for name in {slow.split(', ')!r} if name in sys.modules]"
    code = f"import sys, kataribe.run.providers; print(*{names})"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == ""


@pytest.mark.parametrize(
    ("host", "lacks"),
    [
        ("openai", set()),
        ("openai-responses", {"stop", "seed"}),
        ("anthropic", {"seed"}),
        ("gemini", set()),
        ("kataribe", set()),
    ],
)
def test_a_model_says_what_its_host_has_no_place_for(host, lacks):
    lm = HostedLM(known_hosts()[host], "some-model", key=SECRET)
    assert lm.capabilities.lacks == lacks
