"""Accounts over HTTP: signing in and out, cookies, sessions, passwords, keys."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kataribe.base.errors import BusyError
from kataribe.serve import attempts as attempts_of
from kataribe.serve import gate
from kataribe.serve.attempts import FREE_BY_ADDRESS, FREE_BY_NAME, LONGEST, Attempts
from kataribe.store import people, sessions
from tests.serve.conftest import hello
from tests.serve.people_stage import PASSWORD, Stage, sign_in, stage_in

ME = "/studio/api/me"
KEYS = "/studio/api/keys"
SESSIONS = "/studio/api/sessions"


@pytest.fixture
def stage(tmp_path: Path):
    with stage_in(tmp_path) as stage:
        yield stage


def _cookie(answer) -> str:
    return answer.headers["set-cookie"]


async def test_without_accounts_nobody_signs_in(stage: Stage):
    async with stage.client() as http:
        assert (await http.get(ME)).json() == {
            "mode": "single",
            "person": None,
            "needs_key": False,
        }
        assert (await http.get("/v1/models")).status_code == 200
        for answer in (await sign_in(http, "taro"), await http.get(KEYS)):
            assert answer.status_code == 400
            assert "kataribe users add" in answer.json()["error"]["message"]


async def test_me_says_that_a_key_is_needed_and_lets_nobody_in(tmp_path: Path):
    with stage_in(tmp_path, key="open-sesame") as stage:
        async with stage.client() as http:
            assert (await http.get(ME)).json()["needs_key"] is True
            assert (await http.post(ME, json={})).status_code == 401
            assert (await sign_in(http, "taro")).status_code == 401
        async with stage.client("open-sesame") as http:
            assert (await http.get(ME)).json()["needs_key"] is False
        async with stage.client("open-sesam") as http:
            assert (await http.get(ME)).json()["needs_key"] is True


async def test_an_account_counts_at_once_and_its_person_gets_in(stage: Stage):
    async with stage.client() as http:
        assert (await http.get("/v1/models")).status_code == 200
        taro = stage.add("Taro", PASSWORD)
        refused = await http.get("/v1/models")
        assert refused.status_code == 401
        assert refused.json()["error"]["code"] == "sign_in_needed"
        assert (await http.get(ME)).json() == {
            "mode": "accounts",
            "person": None,
            "needs_key": False,
        }
        answer = await sign_in(http, " ＴＡＲＯ")
        assert answer.json()["person"] == {"id": taro.id, "name": "Taro"}
        assert (await http.get(ME)).json()["person"]["name"] == "Taro"
        assert (await http.get("/v1/models")).status_code == 200
        asked = await http.post("/v1/chat/completions", json=hello())
        assert asked.json()["choices"][0]["message"]["content"] == "Tokyo."


async def test_the_cookie_is_careful(stage: Stage):
    stage.add("taro", PASSWORD)
    async with stage.client() as http:
        name, *parts = _cookie(await sign_in(http, "taro")).split("; ")
        assert name.startswith("kataribe-8720=p")
        assert set(parts) == {"Path=/", "Max-Age=2592000", "HttpOnly", "SameSite=Strict"}
        token = name.partition("=")[2]
        assert len(token) > 40
        assert token not in str(stage.rows())
        assert PASSWORD not in str(stage.rows())


async def test_behind_https_the_cookie_is_secure_and_of_this_host_only(stage: Stage):
    stage.add("taro", PASSWORD)
    headers = {"origin": "https://localhost:8720"}
    async with stage.client() as http:
        sent = {"name": "taro", "password": PASSWORD}
        answer = await http.post("/studio/api/sign-in", json=sent, headers=headers)
        name, *parts = _cookie(answer).split("; ")
        assert name.startswith("__Host-kataribe-8720=s")
        assert "Secure" in parts
        token = name.partition("=")[2]
    async with stage.client() as http:
        for cookie, status in (
            (f"__Host-kataribe-8720={token}", 200),
            (f"kataribe-8720={token}", 401),  # as another host of the domain could set it
            (f"kataribe-8721={token}", 401),
            ("kataribe-8720=", 401),
            ("kataribe-8720=p\xff", 401),
        ):
            sent = {"cookie": cookie.encode("latin-1")}
            assert (await http.get("/v1/models", headers=sent)).status_code == status


async def test_wrong_name_and_wrong_password_read_alike(stage: Stage, monkeypatch):
    stage.add("taro", PASSWORD)
    tried: list[tuple] = []
    monkeypatch.setattr(
        "kataribe.store.passwords._scrypt",
        lambda password, salt, *cost: tried.append((cost, len(salt))) or b"no",
    )
    async with stage.client() as http:
        answers = [await sign_in(http, name, "wrong password") for name in ("taro", "nobody")]
    assert [answer.status_code for answer in answers] == [401, 401]
    assert answers[0].json() == answers[1].json()
    assert len(tried) == 2
    assert tried[0] == tried[1]  # the same work, so the same time


async def test_a_disabled_account_reads_like_a_wrong_password(stage: Stage):
    taro = stage.add("taro", PASSWORD)
    stage.add("hanako")
    key = stage.key_of(taro)
    async with stage.client() as http, stage.client(key) as program:
        assert (await sign_in(http, "taro")).status_code == 200
        assert (await program.get("/v1/models")).status_code == 200
        with stage.store.writing() as tx:
            people.set_disabled(tx, taro.id, disabled=True)
        assert (await http.get("/v1/models")).status_code == 401
        assert (await program.get("/v1/models")).status_code == 401
        assert (await sign_in(http, "taro")).json()["error"]["code"] == "wrong_password"


async def test_a_disabled_last_account_locks_the_door(stage: Stage):
    taro = stage.add("taro")
    with stage.store.writing() as tx:
        people.set_disabled(tx, taro.id, disabled=True)
    async with stage.client() as http:
        assert (await http.get("/v1/models")).status_code == 401


async def test_guessing_waits_longer_and_longer(stage: Stage):
    async with stage.client() as http:
        stage.add("taro", PASSWORD)
        for _ in range(FREE_BY_NAME):
            assert (await sign_in(http, "taro", "wrong password")).status_code == 401
        answer = await sign_in(http, "Taro")
        assert answer.status_code == 429
        assert answer.json()["error"]["code"] == "too_many_tries"
        assert int(answer.headers["retry-after"]) >= 1


def test_attempts_grow_by_name_and_by_address_and_are_forgotten():
    clock = [0.0]
    attempts = Attempts(lambda: clock[0])
    waits = []
    for _ in range(FREE_BY_NAME + 12):
        try:
            attempts.begin("taro", f"10.0.0.{len(waits)}")
        except BusyError as error:
            waits.append(error.retry_after)
            clock[0] += error.retry_after
            attempts.begin("taro", "10.1.0.1")
    assert waits == sorted(waits)
    assert waits[0] >= 1
    assert waits[-1] > 8 * waits[0]
    assert max(waits) <= LONGEST
    attempts.begin("hanako", "10.2.0.1")  # of another name, from another place
    clock[0] += 3601
    attempts.begin("taro", "10.3.0.1")

    for number in range(FREE_BY_ADDRESS):
        attempts.begin(f"name{number}", "10.9.9.9")
    with pytest.raises(BusyError):
        attempts.begin("somebody", "10.9.9.9")


def test_success_forgets_the_name_and_not_the_address():
    attempts = Attempts(lambda: 0.0)
    for number in range(FREE_BY_ADDRESS - 1):
        attempts.begin(f"name{number}", "10.0.0.1")
    attempts.begin("mallory", "10.0.0.1")
    attempts.succeed("mallory", "10.0.0.1")
    attempts.begin("next", "10.0.0.1")
    with pytest.raises(BusyError):
        attempts.begin("after", "10.0.0.1")


def test_a_flood_of_names_ends_nobodys_wait(monkeypatch: pytest.MonkeyPatch):
    most = 500  # with as many as are really kept, each try is looked for among all of them
    monkeypatch.setattr(attempts_of, "MOST", most)
    attempts = Attempts(lambda: 0.0)
    for _ in range(FREE_BY_NAME):
        attempts.begin("taro", "10.0.0.1")
    for number in range(most + 10):
        attempts.begin(f"name{number}", f"address{number}")
    with pytest.raises(BusyError):
        attempts.begin("taro", "10.0.0.2")
    assert len(attempts._tries) <= most


async def test_signing_out_ends_the_session_everywhere(stage: Stage):
    stage.add("taro", PASSWORD)
    async with stage.client() as http, stage.client() as thief:
        await sign_in(http, "taro")
        thief.cookies = http.cookies.__class__(http.cookies)
        assert (await thief.get("/v1/models")).status_code == 200
        answer = await http.post("/studio/api/sign-out")
        assert answer.json()["person"] is None
        assert "Max-Age=0" in _cookie(answer)
        assert (await thief.get("/v1/models")).status_code == 401
        assert (await http.post("/studio/api/sign-out")).status_code == 200  # twice is no error


async def test_signing_in_again_gives_a_new_token_and_ends_the_old_one(stage: Stage):
    stage.add("taro", PASSWORD)
    async with stage.client() as http:
        first = _cookie(await sign_in(http, "taro")).split(";")[0]
        second = _cookie(await sign_in(http, "taro")).split(";")[0]
        assert first != second
    async with stage.client() as http:
        assert (await http.get("/v1/models", headers={"cookie": first})).status_code == 401
        assert (await http.get("/v1/models", headers={"cookie": second})).status_code == 200


async def test_sessions_slide_and_end(stage: Stage, monkeypatch):
    clock = [1_000_000.0]
    for module in ("kataribe.serve.who", "kataribe.serve.people"):
        monkeypatch.setattr(f"{module}.now", lambda: clock[0])
    stage.add("taro", PASSWORD)
    async with stage.client() as http:
        await sign_in(http, "taro")
        assert "set-cookie" not in (await http.get(ME)).headers
        clock[0] += sessions.LASTS - 10
        assert "Max-Age=2592000" in _cookie(await http.get(ME))
        clock[0] += sessions.LASTS - 10
        assert (await http.get("/v1/models")).status_code == 200
        clock[0] -= 400 * 24 * 3600  # a clock that goes back shuts nobody out
        assert (await http.get("/v1/models")).status_code == 200
        clock[0] += sessions.LASTS + 1
        assert (await http.get("/v1/models")).status_code == 401


async def test_a_new_password_ends_all_other_sessions(stage: Stage):
    stage.add("taro", PASSWORD)
    async with stage.client() as http, stage.client() as other:
        await sign_in(http, "taro")
        await sign_in(other, "taro")
        for wrong, status in (
            ({"current": "not the password", "new": "long enough, really"}, 401),
            ({"current": PASSWORD, "new": "short"}, 400),
            ({"current": PASSWORD, "new": "bell\x07 and whistle"}, 400),
            ({"current": PASSWORD}, 400),
        ):
            answer = await http.post("/studio/api/password", json=wrong)
            assert answer.status_code == status
        assert (await other.get(ME)).json()["person"] is not None
        new = {"current": PASSWORD, "new": "ひらがなでもよい長い言葉"}
        answer = await http.post("/studio/api/password", json=new)
        assert [one["current"] for one in answer.json()["data"]] == [True]
        assert (await http.get("/v1/models")).status_code == 200
        assert (await other.get("/v1/models")).status_code == 401
        assert (await sign_in(other, "taro")).status_code == 401
        assert (await sign_in(other, "taro", new["new"])).status_code == 200


async def test_other_browsers_can_be_signed_out(stage: Stage):
    stage.add("taro", PASSWORD)
    async with stage.client() as http, stage.client(agent="Lynx\x7f") as other:
        await sign_in(http, "taro")
        await sign_in(other, "taro")
        shown = (await http.get(SESSIONS)).json()["data"]
        assert {one["agent"] for one in shown if not one["current"]} == {"Lynx"}
        there = next(one["id"] for one in shown if not one["current"])
        left = await http.delete(f"{SESSIONS}/{there}")
        assert [one["current"] for one in left.json()["data"]] == [True]
        assert (await other.get("/v1/models")).status_code == 401
        assert (await http.delete(f"{SESSIONS}/{there}")).status_code == 404


async def test_keys_are_shown_once_and_work_for_programs(stage: Stage):
    stage.add("taro", PASSWORD)
    async with stage.client() as http:
        await sign_in(http, "taro")
        made = (await http.post(KEYS, json={"name": "ノート PC"})).json()
        assert made["key"].startswith("sk-kataribe-")
        assert made["key"].startswith(made["begins"])
        assert made["key"] not in str(stage.rows())
        listed = (await http.get(KEYS)).json()["data"]
        assert [(one["name"], one["used_at"]) for one in listed] == [("ノート PC", None)]
        assert "key" not in listed[0]
        for wrong in ({}, {"name": ""}, {"name": " "}, {"name": "a\x00b"}, {"name": "x" * 101}):
            assert (await http.post(KEYS, json=wrong)).status_code == 400
        async with stage.client(made["key"]) as program:
            answer = await program.post("/v1/chat/completions", json=hello())
            assert answer.status_code == 200
            assert (await http.get(KEYS)).json()["data"][0]["used_at"] is not None
            # A key opens models and its person's things, but makes and deletes no keys.
            for method, path in (("POST", KEYS), ("GET", SESSIONS), ("GET", KEYS)):
                refused = await program.request(method, path, json={"name": "more"})
                assert (refused.status_code, refused.json()["error"]["code"]) == (
                    401,
                    "sign_in_needed",
                )
            assert (await http.delete(f"{KEYS}/{made['id']}")).json()["data"] == []
            assert (await program.get("/v1/models")).status_code == 401


async def test_a_cookie_does_nothing_for_pages_of_other_sites(stage: Stage):
    stage.add("taro", PASSWORD)
    async with stage.client() as http:
        await sign_in(http, "taro")
        for headers in (
            {"origin": "https://evil.example.org"},
            {"origin": "http://localhost:3000"},
            {"sec-fetch-site": "cross-site"},
            {"sec-fetch-site": "same-site"},
        ):
            for method, path in (("POST", KEYS), ("GET", KEYS), ("POST", "/studio/api/sign-out")):
                answer = await http.request(method, path, json={"name": "x"}, headers=headers)
                assert (answer.status_code, method, headers) == (403, method, headers)
        for headers in ({"sec-fetch-site": "same-origin"}, {"sec-fetch-site": "none"}):
            assert (await http.get(KEYS, headers=headers)).status_code == 200


async def test_the_servers_key_opens_models_and_nobodys_things(tmp_path: Path):
    with stage_in(tmp_path, key="open-sesame") as stage:
        stage.add("taro", PASSWORD)
        async with stage.client("open-sesame") as http:
            for path in ("/v1/models", "/metrics", "/openapi.json"):
                assert (await http.get(path)).status_code == 200
            refused = await http.get("/studio/api/conversations")
            assert refused.status_code == 401
            assert refused.json()["error"]["code"] == "person_needed"
            # With a session beside it, the session says who asks.
            await sign_in(http, "taro")
            assert (await http.get("/studio/api/conversations")).status_code == 200


async def test_a_stream_ends_with_its_session(stage: Stage, monkeypatch):
    monkeypatch.setattr(gate, "RECHECKED", 0.0)
    taro = stage.add("taro")
    stage.add("hanako")
    key = stage.key_of(taro)

    async def endless(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for number in range(1000):
            if number == 3:
                with stage.store.writing() as tx:
                    people.set_disabled(tx, taro.id, disabled=True)
            await send({"type": "http.response.body", "body": b"word ", "more_body": True})

    stage.app.add_route("/endless", endless)
    stage.app.router.routes[-1].app = endless
    async with stage.client(key) as http:
        answer = await http.get("/endless")
    assert answer.content == b"word word word "


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": "taro"},
        {"name": "", "password": "x"},
        {"name": "taro", "password": ""},
        {"name": "x" * 65, "password": "y"},
        {"name": "taro", "password": "x" * 1025},
        {"name": ["taro"], "password": "x"},
        {"name": "taro", "password": "x", "admin": True},
    ],
)
async def test_malformed_sign_ins(stage: Stage, body):
    stage.add("taro")
    async with stage.client() as http:
        assert (await http.post("/studio/api/sign-in", json=body)).status_code == 400


@pytest.mark.parametrize("path", ["sign-in", "sign-out", "password"])
async def test_long_bodies_stay_outside(stage: Stage, path):
    stage.add("taro", PASSWORD)
    sent = {"content-type": "application/json"}
    longest = json.dumps({"current": "😀" * 1024, "new": "😀" * 1024})
    async with stage.client() as http:
        assert (await sign_in(http, "taro")).status_code == 200
        answer = await http.post(f"/studio/api/{path}", content=longest, headers=sent)
        assert answer.status_code != 413
        http.cookies.clear()
        if path == "password":
            assert (await sign_in(http, "taro")).status_code == 200
        answer = await http.post(f"/studio/api/{path}", content=" " * 33_000, headers=sent)
        assert answer.status_code == 413
        assert "at most 32768 bytes" in answer.json()["error"]["message"]


async def test_strange_words_are_only_wrong(stage: Stage):
    stage.add("taro")
    async with stage.client() as http:
        for name in ("local", "\ud800", "a\x00b", "' OR 1=1 --"):
            raw = f'{{"name": {ascii(name)!s}, "password": "\\ud800 surrogate"}}'
            raw = raw.replace("'", '"') if name != "' OR 1=1 --" else raw
            sent = {"content-type": "application/json"}
            answer = await http.post("/studio/api/sign-in", content=raw, headers=sent)
            assert answer.status_code in (400, 401)
