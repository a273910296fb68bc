"""The same with hundreds of requests to each operation.

A file of its own, for `tests/conftest.py` to pass over: making the cases takes half a minute.
"""

from __future__ import annotations

import pytest
from hypothesis import settings

from tests.serve import test_serve_schema as told
from tests.serve import test_serve_schema_rooms as rooms

real_model, home, things = told.real_model, rooms.home, rooms.things
LONG = settings(told.QUICK, max_examples=800, derandomize=False, print_blob=True)

pytestmark = pytest.mark.slow


@told.schema.parametrize()
@LONG
def test_no_request_breaks_the_server(case):
    told.hold(case)


@told.real.parametrize()
@LONG
def test_no_request_breaks_a_real_model(case, real_model):
    told.hold_real(case)


@rooms.schema.parametrize()
@settings(LONG, max_examples=200)
def test_no_request_breaks_the_studios_calls(case, home, things):
    rooms.hold_at(case, home, things)
