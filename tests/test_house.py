"""The tests' own house: the network is closed, the workspace is not the user's."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import urllib.request
from pathlib import Path

import pytest


@pytest.mark.parametrize("address", [("192.0.2.1", 80), ("pypi.org", 443)])
def test_other_machines_are_out_of_reach(address):
    with pytest.raises(AssertionError, match=address[0]):
        socket.create_connection(address, timeout=1)


def test_other_machines_are_out_of_reach_by_raw_address():
    with socket.socket() as one, pytest.raises(AssertionError, match=r"192\.0\.2\.1"):
        one.connect(("192.0.2.1", 80))
    with socket.socket(socket.AF_INET6) as one, pytest.raises(AssertionError, match="2001:db8"):
        one.connect_ex(("2001:db8::1", 80))
    with (
        socket.socket(type=socket.SOCK_DGRAM) as one,
        pytest.raises(AssertionError, match=r"192\.0\.2\.1"),
    ):
        one.sendto(b"x", ("192.0.2.1", 53))


def test_other_machines_are_out_of_reach_of_libraries():
    with pytest.raises(AssertionError, match=r"example\.org"):
        urllib.request.urlopen("http://example.org", timeout=1)


async def test_asyncio_is_held_too():
    with pytest.raises(AssertionError, match=r"192\.0\.2\.1"):
        await asyncio.open_connection("192.0.2.1", 80)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_this_machine_is_in_reach(host):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            server.accept()[0].close()

        thread = threading.Thread(target=answer)
        thread.start()
        socket.create_connection((host, server.getsockname()[1]), timeout=5).close()
        thread.join()


def test_the_workspace_is_an_empty_one(kataribe_home):
    assert Path(os.environ["KATARIBE_HOME"]) == kataribe_home
    assert not list(kataribe_home.iterdir())
    assert Path.home() not in kataribe_home.parents or Path.home() == Path("/")
    assert not [name for name in os.environ if name.endswith("_API_KEY")]
