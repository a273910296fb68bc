"""Fetching: only public addresses, whatever redirects and name servers say; bounded; readable."""

from __future__ import annotations

import asyncio
import gzip
import http.server
import ipaddress
import json
import random
import shutil
import ssl
import subprocess
import threading
import tracemalloc
import zlib

import httpx
import pytest

from kataribe.base.errors import InputError, KataribeError, ProviderError, SettingsError
from kataribe.use.agents.tools import fetch as fetching
from kataribe.use.agents.tools.addresses import checked_address, is_public, resolve_host
from kataribe.use.agents.tools.fetch import (
    FetchRules,
    Page,
    check_url,
    fetch,
    fetch_tool,
    page_text,
)
from kataribe.use.agents.tools.html_text import html_to_text
from kataribe.use.agents.tools.web_search import web_search_tools

OUR_HOST = frozenset({"site.test"})


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.seen.append((self.headers["Host"], self.path, dict(self.headers)))
        answer = self.server.answers[self.path.partition("?")[0]]
        status, headers, body = answer(self) if callable(answer) else answer
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Length" not in headers and "Transfer-Encoding" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:
            return

    def log_message(self, *_):
        return


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        return


@pytest.fixture
def server():
    server = Server(("127.0.0.1", 0), Handler)
    server.seen, server.answers = [], {}
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


class Names:
    """A name server that answers what it is told to, in order, the last for ever."""

    def __init__(self, **answers):
        self.answers = {name.replace("_", "."): list(each) for name, each in answers.items()}
        self.asked = []

    async def __call__(self, host, port):
        self.asked.append(host)
        answers = self.answers[host]
        return answers.pop(0) if len(answers) > 1 else answers[0]


def here(server, path="/"):
    return f"http://site.test:{server.server_port}{path}"


LOCAL = Names(site_test=[["127.0.0.1"]])
HTML = {"Content-Type": "text/html; charset=utf-8"}


async def got(server, path="/", **rules):
    return await fetch(here(server, path), FetchRules(private_hosts=OUR_HOST, **rules), LOCAL)


async def test_a_page_is_fetched_as_text(server):
    page = "<title>T</title><h1>見出し</h1><p>One<br>two</p><script>bad()</script>"
    server.answers["/a"] = (200, HTML, page.encode())
    tool = fetch_tool(FetchRules(private_hosts=OUR_HOST), LOCAL)
    told = await tool.call({"url": here(server, "/a")})
    assert told == f"{here(server, '/a')}\n\nT\n\n# 見出し\n\nOne\ntwo"
    [(host, _, headers)] = server.seen
    assert host == f"site.test:{server.server_port}"
    assert headers["User-Agent"] == "Kataribe"
    assert "Cookie" not in headers


PRIVATE = [
    "127.0.0.1",
    "127.8.9.1",
    "0.0.0.0",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "192.0.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "fd12:3456::1",
    "fec0::1",
    "ff02::1",
    "2001:db8::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "2001:0:4136:e378:8000:63bf:80ff:fffe",
    "no address",
    "",
]
PUBLIC = [
    "8.8.8.8",
    "1.1.1.1",
    "93.184.216.34",
    "2606:4700::1111",
    "::ffff:8.8.8.8",
    "2002:808:808::",
]


@pytest.mark.parametrize("address", PRIVATE)
async def test_private_addresses_are_never_connected_to(address):
    assert not is_public(address)
    if address:
        names = Names(evil_test=[[address]])
        with pytest.raises(InputError, match=r"evil\.test.*no address of the public internet"):
            await fetch("http://evil.test/", FetchRules(), names)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_may_be(address):
    assert is_public(address)


def test_addresses_agree_with_the_registries_of_special_ones():
    """IANA's special-purpose registries for IPv4 (RFC 6890 and later), at random places in each."""
    special = "0/8 10/8 100.64/10 127/8 169.254/16 172.16/12 192.0.2/24 192.168/16 198.18/15 "
    special += "198.51.100/24 203.0.113/24 224/4 240/4"
    seed = random.randrange(10**9)
    print("seed", seed)
    dice = random.Random(seed)
    for each in special.split():
        head, _, bits = each.partition("/")
        network = ipaddress.ip_network(f"{'.'.join((head.split('.') + ['0'] * 3)[:4])}/{bits}")
        for _ in range(50):
            place = network[dice.randrange(network.num_addresses)]
            assert not is_public(str(place))
            assert not is_public(f"::ffff:{place}")


async def test_one_private_address_among_public_ones_is_enough():
    names = Names(mixed_test=[["8.8.8.8", "10.0.0.1"]])
    with pytest.raises(InputError, match=r"10\.0\.0\.1"):
        await checked_address("mixed.test", 80, names, frozenset())


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{port}/",
        "http://localhost:{port}/",
        "http://[::1]:{port}/",
        "http://[::ffff:127.0.0.1]:{port}/",
        "http://2130706433:{port}/",
        "http://0x7f.1:{port}/",
        "http://0177.0.0.1:{port}/",
        "http://127.1:{port}/",
        "http://0:{port}/",
        "http://１２７.０.０.１:{port}/",
    ],
)
async def test_no_way_of_writing_this_machine_gets_through(server, url):
    """With the system's own resolver: it knows many ways to write an address."""
    server.answers["/"] = (200, HTML, b"secret")
    with pytest.raises((InputError, ProviderError)):
        await fetch(url.format(port=server.server_port), FetchRules(), _tolerant)
    assert server.seen == []


async def _tolerant(host, port):
    try:
        return await resolve_host(host, port)
    except AssertionError:  # the tests' closed network; the name went to the real resolver
        return ["127.0.0.1"]


async def test_the_same_server_answers_when_it_is_allowed_by_name(server):
    """The control for the tests above: without the check the page would be read."""
    server.answers["/"] = (200, HTML, b"secret")
    rules = FetchRules(private_hosts=frozenset({"127.0.0.1"}))
    page = await fetch(f"http://127.0.0.1:{server.server_port}/", rules)
    assert page.data == b"secret"


async def test_redirects_are_followed_and_checked_each(server):
    server.answers["/a"] = (302, {"Location": "/b?x=1"}, b"")
    server.answers["/b"] = (301, {"Location": here(server, "/c")}, b"")
    server.answers["/c"] = (200, HTML, b"end")
    assert (await got(server, "/a")).url == here(server, "/c")
    server.answers["/a"] = (302, {"Location": f"http://inner.test:{server.server_port}/c"}, b"")
    names = Names(site_test=[["127.0.0.1"]], inner_test=[["127.0.0.1"]])
    server.seen.clear()
    with pytest.raises(InputError, match=r"inner\.test"):
        await fetch(here(server, "/a"), FetchRules(private_hosts=OUR_HOST), names)
    assert [path for _, path, _ in server.seen] == ["/a"]


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://site.test/", "gopher://x", "//"])
async def test_redirects_to_other_schemes_are_refused(server, target):
    server.answers["/a"] = (302, {"Location": target}, b"")
    with pytest.raises((InputError, ProviderError)):
        await got(server, "/a")


async def test_endless_redirects_end(server):
    server.answers["/a"] = (302, {"Location": "/a"}, b"")
    with pytest.raises(ProviderError, match="more than 5"):
        await got(server, "/a")
    assert len(server.seen) == 6


async def test_a_name_that_changes_its_address_is_asked_once(server):
    """DNS rebinding: the address that was checked is the one that is connected to."""
    server.answers["/"] = (200, HTML, b"ours")
    names = Names(site_test=[["127.0.0.1"], ["169.254.169.254"]])
    rules = FetchRules(private_hosts=OUR_HOST)
    assert (await fetch(here(server), rules, names)).data == b"ours"
    assert names.asked == ["site.test"]
    with pytest.raises(ProviderError):  # told to go elsewhere, it goes there and nowhere else
        await fetch(here(server), FetchRules(private_hosts=OUR_HOST, seconds=1), _unroutable)
    assert len(server.seen) == 1


async def _unroutable(host, port):
    return ["127.255.255.254"]


async def test_proxies_of_the_environment_are_not_used(server, monkeypatch):
    server.answers["/"] = (200, HTML, b"ours")
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert (await got(server)).data == b"ours"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "site.test",
        "file:///etc/passwd",
        "ftp://site.test/",
        "javascript:alert(1)",
        "http://",
        "http:///path",
        "http://user:word@site.test/",
        "http://site.test:22/",
        "http://site.test:25/",
        "http://site.test:99999/",
        "http://[::1/",
        "http://a b/",
        "http://site.test/" + "x" * 3000,
        "http://site.test/\r\nX: y",
    ],
)
def test_addresses_that_are_refused_unasked(url):
    with pytest.raises(InputError):
        check_url(url)


async def test_a_page_that_is_too_big(server):
    server.answers["/"] = (200, HTML, b"x" * 100_001)
    with pytest.raises(InputError, match="more than 100000 bytes"):
        await got(server, bytes=100_000)
    server.answers["/"] = (200, HTML, b"x" * 100_000)
    assert len((await got(server, bytes=100_000)).data) == 100_000


async def test_an_endless_page(server):
    def endless(handler):
        handler.send_response(200)
        handler.end_headers()
        try:
            while True:
                handler.wfile.write(b"x" * 65536)
        except OSError:
            raise ConnectionError from None

    server.answers["/"] = endless
    with pytest.raises(InputError, match="more than"):
        await got(server, bytes=1_000_000)


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_a_packed_bomb_is_unpacked_to_the_limit_only(server, encoding):
    pack = gzip.compress if encoding == "gzip" else zlib.compress
    packed = pack(bytes(200 << 20))
    server.answers["/"] = (200, {**HTML, "Content-Encoding": encoding}, packed)
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match="more than 1000000"):
            await got(server, bytes=1_000_000)
        assert tracemalloc.get_traced_memory()[1] < 16_000_000  # one piece would unpack to 60 MB
    finally:
        tracemalloc.stop()
    server.answers["/"] = (200, {**HTML, "Content-Encoding": "gzip"}, gzip.compress(b"small"))
    assert (await got(server)).data == b"small"


async def test_packings_that_nobody_asked_for(server):
    server.answers["/"] = (200, {**HTML, "Content-Encoding": "br"}, b"x")
    with pytest.raises(ProviderError, match="'br'"):
        await got(server)
    server.answers["/"] = (200, {**HTML, "Content-Encoding": "gzip"}, b"no gzip")
    with pytest.raises(ProviderError, match="packed wrongly"):
        await got(server)


async def test_a_server_that_trickles(server):
    gate = threading.Event()

    def slow(handler):
        handler.send_response(200)
        handler.end_headers()
        for _ in range(100):
            try:
                handler.wfile.write(b"x")
            except OSError:
                break
            gate.wait(0.05)
        raise ConnectionError

    server.answers["/"] = slow
    with pytest.raises(ProviderError, match=r"within 0\.3 s"):
        await got(server, seconds=0.3)
    gate.set()


@pytest.mark.parametrize("status", [204, 304, 403, 404, 500])
async def test_other_answers_are_errors(server, status):
    server.answers["/"] = (status, {}, b"")
    with pytest.raises(ProviderError, match=str(status)):
        await got(server)


async def test_a_server_that_breaks_off(server):
    server.answers["/"] = (200, {**HTML, "Content-Length": "1000", "Connection": "close"}, b"x")
    with pytest.raises(ProviderError, match="could not be fetched"):
        await got(server)


async def test_nobody_listens():
    with pytest.raises(ProviderError, match="could not be fetched"):
        await fetch("http://site.test:9999/", FetchRules(private_hosts=OUR_HOST), LOCAL)


async def test_what_is_no_text_is_not_read(server):
    server.answers["/"] = (200, {"Content-Type": "image/png"}, b"\x89PNG")
    page = await got(server)
    with pytest.raises(KataribeError, match="image/png of 4 bytes"):
        page_text(page)


@pytest.mark.parametrize(
    ("told", "data"),
    [
        ("euc_jp", "日本語".encode("euc_jp")),
        (None, "日本語".encode()),
        (None, "日本語のページ".encode("cp932")),
        (None, b'<meta charset="euc-jp">' + "日本語".encode("euc_jp")),
        ("nonsense", "日本語".encode()),
    ],
)
def test_encodings_are_found(told, data):
    assert "日本語" in page_text(Page("u", "text/html", data, told))


@pytest.fixture
def certificate(tmp_path):
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    made = [
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        "key.pem",
        "-out",
        "cert.pem",
    ]
    named = ["-days", "2", "-subj", "/CN=site.test", "-addext", "subjectAltName=DNS:site.test"]
    subprocess.run(
        ["openssl", *made, *named],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    return tmp_path


async def test_the_certificate_must_be_that_of_the_name(server, certificate, monkeypatch):
    server.answers["/"] = (200, HTML, b"safe")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    trusting = httpx.create_ssl_context(trust_env=False)
    trusting.load_verify_locations(certificate / "cert.pem")
    monkeypatch.setattr(fetching, "_tls", lambda: trusting)
    names = Names(site_test=[["127.0.0.1"]], other_test=[["127.0.0.1"]])
    both = FetchRules(private_hosts=frozenset({"site.test", "other.test"}))
    url = f"https://site.test:{server.server_port}/"
    assert (await fetch(url, both, names)).data == b"safe"
    with pytest.raises(ProviderError, match=r"(?i)certificate"):
        await fetch(url.replace("site", "other"), both, names)
    monkeypatch.undo()
    with pytest.raises(ProviderError, match=r"(?i)certificate"):
        await fetch(url, both, names)


def test_html_to_text():
    html = """<html><head><title> A &amp; B </title><style>x{}</style></head><body>
    <nav>menu</nav><h2>Head</h2><p>One <b>bold</b>
    word.</p><ul><li>first<li>second</ul><table><tr><th>a<th>b<tr><td>1<td>2</table>
    <pre>  keep
  lines</pre><!-- no --><noscript>no</noscript>end</body></html>"""
    text = html_to_text(html)
    assert text.startswith("A & B\n\nmenu\n\n## Head\n\nOne bold word.")
    for piece in ("- first\n- second", "a | b\n1 | 2", "keep\nlines", "end"):
        assert piece in text
    for piece in ("x{}", "no", "<"):
        assert piece not in text.replace("noscript", "")


@pytest.mark.parametrize(
    "html",
    ["", "<", "plain", "<div>" * 20_000 + "deep", "\0<p>a", "<p>" * 1000, "<title>only</title>"],
    ids=range(7),
)
def test_odd_html_is_read_without_a_fault(html):
    text = html_to_text(html)
    for word in ("plain", "deep", "only"):
        assert (word in text) == (word in html)


async def test_web_search(server):
    found = [
        {"title": f"T{n}", "url": f"https://x.test/{n}", "content": "語" * 600} for n in range(20)
    ]
    found[1] = {"title": None, "url": "https://x.test/1"}
    body = json.dumps({"results": found}).encode()
    server.answers["/base/search"] = (200, {"Content-Type": "application/json"}, body)
    [tool] = web_search_tools(f"http://127.0.0.1:{server.server_port}/base/")
    told = await tool.call({"query": "a & b", "results": 3})
    assert told.count("https://x.test/") == 3
    assert told.startswith("1. T0\n   https://x.test/0\n   語")
    assert len(told) < 2000
    assert server.seen[0][1] == "/base/search?q=a+%26+b&format=json"
    server.answers["/base/search"] = (200, {}, b'{"results": []}')
    assert "Nothing was found" in await tool.call({"query": "x"})


def test_web_search_is_off_without_an_address():
    assert web_search_tools(None) == web_search_tools("") == ()
    with pytest.raises(SettingsError, match="'searx'"):
        web_search_tools("searx")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((403, {}, b""), "search.formats"),
        ((500, {}, b""), "answered 500"),
        ((200, {}, b"<html>"), "no SearXNG JSON"),
        ((200, {}, b"[]"), "no SearXNG JSON"),
        ((200, {}, b"{}"), "no SearXNG JSON"),
    ],
)
async def test_a_search_engine_that_fails(server, answer, words):
    server.answers["/search"] = answer
    [tool] = web_search_tools(f"http://127.0.0.1:{server.server_port}")
    with pytest.raises(ProviderError, match=words):
        await tool.call({"query": "x"})


@pytest.mark.parametrize(
    "given", [{"query": " "}, {"query": "x" * 501}, {"query": "x", "results": 0}]
)
async def test_searches_that_make_no_sense(given):
    [tool] = web_search_tools("http://127.0.0.1:9")
    with pytest.raises(InputError):
        await tool.call(given)
    with pytest.raises(ProviderError, match="cannot be reached"):
        await asyncio.wait_for(tool.call({"query": "x"}), 30)
