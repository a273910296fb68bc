"""Who may ask: keys, hosts, origins, states; and what the answers tell browsers."""

from __future__ import annotations

import httpx
import pytest

from kataribe.base.errors import SettingsError
from kataribe.run.providers import ScriptedLM
from kataribe.serve.app import create_app
from kataribe.serve.errors import is_anthropic
from kataribe.serve.gate import WHO
from kataribe.serve.lifecycle import Lifecycle
from kataribe.serve.settings import ServerSettings, check_bind
from tests.serve.conftest import hello, inside, source_of

KEYED = ServerSettings(key="open-sesame")


@pytest.mark.parametrize("path", ["/health", "/docs", "/docs/start.js", "/", "/chat/1"])
async def test_open_without_a_key(path):
    async with inside(source_of(ScriptedLM()), KEYED) as http:
        assert (await http.get(path)).status_code in (200, 503)


async def test_every_other_route_needs_the_key():
    app = create_app(source_of(), KEYED)
    paths = [path for path in app.openapi()["paths"] if path not in ("/health", WHO[1])]
    async with inside(source_of(ScriptedLM()), KEYED) as http:
        for path in [*paths, "/openapi.json", "/metrics"]:
            for method in ("GET", "POST", "DELETE"):
                answer = await http.request(method, path, json={})
                assert (answer.status_code, method, path) == (401, method, path)
                assert answer.headers["www-authenticate"] == "Bearer"
                error = answer.json()["error"]
                code = error["details"]["error_code"] if is_anthropic(path) else error["code"]
                assert code == "invalid_api_key"


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("Bearer open-sesame", 200),
        ("bearer  open-sesame ", 200),
        ("Bearer open-sesam", 401),
        ("Bearer open-sesame2", 401),
        ("Bearer OPEN-SESAME", 401),
        ("Bearer", 401),
        ("Basic open-sesame", 401),
        ("open-sesame", 401),
        ("Bearer \xff\xfe", 401),
    ],
)
async def test_key(header, status):
    async with inside(source_of(ScriptedLM()), KEYED) as http:
        sent = {"authorization": header.encode("latin-1")}
        assert (await http.get("/v1/models", headers=sent)).status_code == status
        assert (await http.get("/v1/models?key=open-sesame")).status_code == 401


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("localhost:8720", 200),
        ("LOCALHOST.", 200),
        ("127.0.0.1:1", 200),
        ("[::1]:8720", 200),
        ("chat.example.org", 200),
        ("evil.example.org", 421),
        ("localhost.evil.org", 421),
        ("127.0.0.1.nip.io", 421),
        ("192.168.1.5:8720", 421),
        ("user@localhost", 421),
        ("localhost/x", 421),
        ("localhost:port", 421),
        ("", 421),
    ],
)
async def test_host(host, status):
    settings = ServerSettings(allowed_hosts=("chat.example.org",))
    async with inside(source_of(ScriptedLM()), settings) as http:
        for path in ("/v1/models", "/"):
            answer = await http.get(path, headers={"host": host})
            assert (answer.status_code == 421) == (status == 421)
        if status == 421:
            assert answer.json()["error"]["code"] == "foreign_host"


async def test_bare_addresses_are_own_ones_only_when_listening_for_others():
    settings = ServerSettings(host="0.0.0.0", key="open-sesame")
    async with inside(source_of(ScriptedLM()), settings) as http:
        assert (await http.get("/health", headers={"host": "192.168.1.5"})).status_code == 200
        assert (await http.get("/health", headers={"host": "evil.org"})).status_code == 421


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://localhost:8720", 200),
        ("http://localhost:5173", 200),
        ("http://localhost:3000", 403),
        ("https://evil.example.org", 403),
        ("null", 403),
        ("http://[", 403),
        ("http://[::1", 403),
        ("http://localhost:8720]", 403),
    ],
)
async def test_origin(origin, status):
    settings = ServerSettings(allowed_origins=("http://localhost:5173",))
    async with inside(source_of(ScriptedLM()), settings) as http:
        answer = await http.post("/v1/chat/completions", json=hello(), headers={"origin": origin})
    assert answer.status_code == status
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/studio/api/import", "/none"])
async def test_an_origin_that_is_no_address_is_foreign_before_anybody_is_asked(path):
    async with inside(source_of(ScriptedLM()), KEYED) as http:
        answer = await http.post(path, json={}, headers={"origin": "http://["})
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "foreign_origin"


async def test_cors_is_closed():
    asking = {"origin": "https://evil.example.org", "access-control-request-method": "POST"}
    async with inside(source_of(ScriptedLM())) as http:
        answer = await http.options("/v1/chat/completions", headers=asking)
    assert answer.status_code == 405
    assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_the_errors_of_the_gate_say_how_to_allow_it():
    async with inside(source_of(ScriptedLM())) as http:
        host = await http.get("/v1/models", headers={"host": "evil.org"})
        assert "--allow-host" in host.json()["error"]["message"]
        origin = {"origin": "https://evil.org"}
        page = await http.post("/v1/chat/completions", json=hello(), headers=origin)
        assert "KATARIBE_ORIGINS" in page.json()["error"]["message"]


async def test_this_machines_name_is_its_own_only_when_listening_for_others(monkeypatch):
    monkeypatch.setattr("socket.gethostname", lambda: "Workshop")
    wide = ServerSettings(host="0.0.0.0", key="open-sesame")
    for settings, status in ((wide, 200), (ServerSettings(), 421)):
        async with inside(source_of(ScriptedLM()), settings) as http:
            for host in ("workshop", "workshop:8720", "workshop.local"):
                answer = await http.get("/health", headers={"host": host})
                assert answer.status_code == status


async def test_loading_and_stopping_say_503():
    cycle = Lifecycle()
    app = create_app(source_of(ScriptedLM()), ServerSettings(), cycle)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        for change, status in ((cycle.loading, "loading"), (cycle.stop, "stopping")):
            cycle.ready()
            assert (await http.get("/health")).json()["status"] == "ready"
            change()
            health = await http.get("/health")
            assert (health.status_code, health.json()["status"]) == (503, status)
            answer = await http.post("/v1/chat/completions", json=hello())
            if status == "loading":  # who asks waits for the model, and hears how far it is
                assert answer.status_code == 200
                continue
            assert answer.status_code == 503
            assert int(answer.headers["retry-after"]) >= 1
            assert status in answer.json()["error"]["message"]
        cycle.ready()  # whoever stops does not come back
        assert (await http.get("/health")).json()["status"] == "stopping"


async def test_every_answer_tells_browsers_to_be_careful():
    async with inside(source_of(ScriptedLM())) as http:
        for path in ("/v1/models", "/nothing.js", "/", "/docs"):
            headers = (await http.get(path)).headers
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["x-frame-options"] == "DENY"
            assert headers["referrer-policy"] == "no-referrer"
            policy = headers["content-security-policy"]
            assert policy.startswith("default-src '")
            assert "unsafe-eval" not in policy
            assert "script-src 'unsafe-inline'" not in policy
        assert (await http.get("/v1/models")).headers["cache-control"] == "no-store"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org"])
def test_others_may_not_reach_it_without_a_key(host):
    with pytest.raises(SettingsError, match="--key"):
        check_bind(ServerSettings(host=host))
    check_bind(ServerSettings(host=host, key="open-sesame"))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.0.1", "localhost", "::1", "[::1]"])
def test_loopback_needs_no_key(host):
    check_bind(ServerSettings(host=host))


@pytest.mark.parametrize(
    "wrong",
    [{"key": "short"}, {"key": "ぱすわーどぱすわーど"}, {"max_body_bytes": 0}, {"grace": -1}],
)
def test_settings_out_of_range(wrong):
    with pytest.raises(SettingsError):
        ServerSettings(**wrong)


async def test_what_is_told_at_the_stop_and_with_readiness():
    cycle, told = Lifecycle(), []
    cycle.at_stop(lambda: told.append("stop"))
    cycle.ready("pico is not loaded: its file is damaged")
    app = create_app(source_of(ScriptedLM()), ServerSettings(), cycle)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        health = await http.get("/health")
    assert health.status_code == 200
    assert "its file is damaged" in health.json()["detail"]
    cycle.stop()
    cycle.halt()
    assert told == ["stop"]


async def test_health_leaves_no_line_in_the_log(caplog):
    caplog.set_level("INFO", logger="kataribe.access")
    async with inside(source_of(ScriptedLM())) as http:
        await http.get("/health")
        await http.get("/v1/models")
    assert [line.getMessage().split()[1] for line in caplog.records] == ["/v1/models"]
