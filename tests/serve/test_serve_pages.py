"""Pages and figures: models, metrics, the log, the docs and the studio's files."""

from __future__ import annotations

import logging

import pytest
from prometheus_client.parser import text_string_to_metric_families

from kataribe.base.events import Progress
from kataribe.run.providers import Reply, ScriptedLM
from kataribe.serve.settings import ServerSettings
from tests.serve.conftest import hello, inside, source_of


async def test_models_are_listed_with_what_they_hold():
    source = source_of(ScriptedLM(name="a"), ScriptedLM(name="org/b:c"))
    async with inside(source) as http:
        listed = (await http.get("/v1/models")).json()
        one = await http.get("/v1/models/org/b:c")
        missing = await http.get("/v1/models/none")
    assert [model["id"] for model in listed["data"]] == ["a", "org/b:c"]
    assert one.json() == {
        "id": "org/b:c",
        "object": "model",
        "created": 1_700_000_000,
        "owned_by": "tests",
        "max_model_len": 4096,
        "loaded": True,
        "use": "write",
    }
    assert missing.json()["error"]["code"] == "model_not_found"
    assert "a, org/b:c" in missing.json()["error"]["message"]


def figures(text: str) -> dict[tuple, float]:
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_metrics(tmp_path):
    lm = ScriptedLM([("one two", "three"), Reply("x", cached_tokens=2), "y"])
    unbuilt = ServerSettings(studio=tmp_path / "none")
    async with inside(source_of(lm), unbuilt) as http:
        await http.post("/v1/chat/completions", json=hello(n=2))
        await http.post("/v1/chat/completions", json=hello(stream=True))
        await http.post("/v1/chat/completions", json=hello(n=0))
        for path in ("/nothing/1", "/nothing/2", "/v1/models/x"):
            await http.get(path)
        answer = await http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    found = figures(answer.text)

    def requests(method: str, route: str, status: str) -> float:
        labels = (("method", method), ("route", route), ("status", status))
        return found["kataribe_http_requests_total", *labels]

    chat = "/v1/chat/completions"
    assert requests("POST", chat, "200") == 2
    assert requests("POST", chat, "400") == 1
    assert requests("GET", "other", "503") == 2  # paths of strangers are no labels
    assert requests("GET", "/v1/models/{model:path}", "404") == 1

    def tokens(kind: str) -> float:
        return found["kataribe_tokens_total", ("kind", kind), ("model", "scripted")]

    assert tokens("prompt") == 6
    assert tokens("cached") == 2
    assert tokens("completion") == len("one twothreex")
    model = ("model", "scripted")
    assert found["kataribe_time_to_first_token_seconds_count", model] == 2
    assert found["kataribe_inter_token_seconds_count", model] == 1
    assert found["kataribe_model_loaded", model] == 1
    assert found["kataribe_http_requests_running",] == 1  # this one
    assert found["kataribe_queue_waiting",] == 3
    assert found["kataribe_cache_hits_total", model] == 7
    assert found["kataribe_cache_hits_total", ("model", "other")] == 8


async def test_log_has_one_readable_line_and_nothing_private(caplog):
    caplog.set_level(logging.INFO, logger="kataribe.access")
    reply = Reply("reply-words", progress=(Progress("queued", 1, 1),), cached_tokens=1)
    settings = ServerSettings(key="open-sesame")
    async with inside(source_of(ScriptedLM(reply)), settings) as http:
        private = [{"role": "user", "content": "prompt-words"}]
        http.headers["authorization"] = "Bearer open-sesame"
        answer = await http.post(
            "/v1/chat/completions?query-words", json=hello(messages=private, user="user-words")
        )
        await http.get("/a%0Aforged%20200%20line")
    number = answer.headers["x-request-id"]
    lines = [line.getMessage() for line in caplog.records if line.name == "kataribe.access"]
    assert len(lines) == 2
    assert lines[0].startswith("POST /v1/chat/completions 200 ")
    assert f"model=scripted prompt=13 cached=1 completion=11 id={number}" in lines[0]
    assert "words" not in caplog.text.replace("forged", "")
    assert "sesame" not in caplog.text
    assert "\n" not in lines[1]


async def test_log_tells_an_error_inside_a_stream(caplog):
    caplog.set_level(logging.INFO, logger="kataribe.access")
    reply = Reply("a b", error=ZeroDivisionError(), fail_after=1)
    async with inside(source_of(ScriptedLM(reply))) as http:
        await http.post("/v1/chat/completions", json=hello(stream=True))
    assert "error=internal_error" in caplog.text


async def test_docs_come_from_here():
    async with inside(source_of(ScriptedLM()), ServerSettings(key="open-sesame")) as http:
        page = await http.get("/docs")
        assert "http" not in page.text.replace("https://", "http").split("<body>")[1]
        assert "script-src 'self'" in page.headers["content-security-policy"]
        for name in ("swagger-ui.css", "swagger-ui-bundle.js", "start.js"):
            assert f"/docs/{name}" in page.text
            file = await http.get(f"/docs/{name}")
            assert file.status_code == 200
            assert len(file.content) > 400
        assert (await http.get("/docs/__init__.py")).status_code == 401
        http.headers["authorization"] = "Bearer open-sesame"
        assert (await http.get("/docs/__init__.py")).status_code == 404
        assert (await http.get("/docs/..%2f__init__.py")).status_code == 404
        assert (await http.get("/openapi.json")).json()["openapi"].startswith("3.1")


@pytest.fixture
def studio(tmp_path):
    folder = tmp_path / "studio"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html>the studio", encoding="utf-8")
    (folder / "assets" / "main-4f2a.js").write_text("console.log(1)", encoding="utf-8")
    (folder / "favicon.svg").write_text("<svg/>", encoding="utf-8")
    (tmp_path / "secret.txt").write_text("secret", encoding="utf-8")
    return ServerSettings(studio=folder, key="open-sesame")


@pytest.mark.parametrize("path", ["/", "/index.html", "/chat", "/chat/42?x=1", "/models/org%2Fb"])
async def test_studio_page_answers_its_own_addresses(studio, path):
    async with inside(source_of(), studio) as http:
        http.headers["accept"] = "text/html,application/xhtml+xml,*/*;q=0.8"
        answer = await http.get(path)
        assert (answer.status_code, answer.text) == (200, "<!doctype html>the studio")
        assert answer.headers["cache-control"] == "no-cache"
        assert answer.headers["content-type"].startswith("text/html")
        policy = answer.headers["content-security-policy"]
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        again = await http.get(path, headers={"if-none-match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")


async def test_studio_files_are_kept_by_browsers_when_they_never_change(studio):
    async with inside(source_of(), studio) as http:
        script = await http.get("/assets/main-4f2a.js")
        assert script.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert script.headers["content-type"].startswith("text/javascript")
        assert (await http.get("/favicon.svg")).headers["cache-control"] == "no-cache"
        assert (await http.head("/")).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/assets/gone.js",
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/assets/..%2f..%2fsecret.txt",
        "/..%5csecret.txt",
        "/a%00b.txt",
        "/v1/nothing",
        "/studio/api/nothing",
    ],
)
async def test_what_is_not_there_is_404_in_json(studio, path):
    async with inside(source_of(), studio) as http:
        answer = await http.get(path)
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"
    assert "secret" not in answer.json()["error"]["type"]


async def test_texts_of_the_studio_travel_packed(studio):
    script = "const words = 'the same again and again';\n" * 500
    (studio.studio / "assets" / "long-1.js").write_text(script, encoding="utf-8")
    async with inside(source_of(), studio) as http:
        packed = await http.get("/assets/long-1.js", headers={"accept-encoding": "br, gzip"})
        plain = await http.get("/assets/long-1.js", headers={"accept-encoding": "identity"})
        head = await http.head("/assets/long-1.js", headers={"accept-encoding": "gzip"})
        tag = {"accept-encoding": "gzip", "if-none-match": packed.headers["etag"]}
        again = await http.get("/assets/long-1.js", headers=tag)
    assert packed.text == plain.text == script
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) < len(script) / 10
    assert "content-encoding" not in plain.headers
    assert packed.headers["vary"] == plain.headers["vary"] == "accept-encoding"
    assert (head.content, head.headers["content-length"]) == (b"", packed.headers["content-length"])
    assert (again.status_code, again.content) == (304, b"")
    assert "immutable" in packed.headers["cache-control"]


async def test_posting_to_a_page_is_no_page(studio):
    async with inside(source_of(), studio) as http:
        assert (await http.post("/chat")).status_code == 404


async def test_a_studio_that_is_not_built_says_how(tmp_path):
    settings = ServerSettings(studio=tmp_path / "none")
    async with inside(source_of(), settings) as http:
        answer = await http.get("/")
    assert answer.status_code == 503
    assert "make up" in answer.text
    assert "スタジオ" in answer.text
