"""The API is as it says it is: schemathesis asks every operation, with what fits and with what does not."""

from __future__ import annotations

import logging
from typing import Any, cast

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import Case
from schemathesis.specs.openapi.checks import (
    negative_data_rejection,
    positive_data_acceptance,
)

from tests.server.api_desk import BEARER, NUMBER, TOKENS, ApiDesk, api_desk, client, served
from vad_agent.server.api_app import create_app
from vad_agent.server.app_state import AppState

SCHEMA = schemathesis.openapi.from_dict(create_app(cast(AppState, None), TOKENS).openapi())
LEFT_OUT = [
    positive_data_acceptance,  # a number, a date: more is checked than a schema says
    negative_data_rejection,  # `keep_wrong_number` mends
]
BOUNDED = settings(
    max_examples=15,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with api_desk(tmp_path_factory.mktemp("desk")) as one, served(one.app) as url:
        yield one, url


@pytest.fixture(autouse=True)
def nothing_broke(here: tuple[ApiDesk, str], caplog: pytest.LogCaptureFixture) -> Any:
    caplog.set_level(logging.ERROR, logger="vad_agent")
    yield
    assert not [record for record in caplog.records if record.name.startswith("vad_agent")]
    promise = here[0].app_state.queries.promise()
    assert promise.missing == 0


@SCHEMA.parametrize()
@BOUNDED
def test_every_operation(case: Case, here: tuple[ApiDesk, str]) -> None:
    case.call_and_validate(base_url=here[1], headers=BEARER, excluded_checks=LEFT_OUT)


@SCHEMA.include(path_regex=r"\{id\}").parametrize()
@BOUNDED
def test_every_operation_on_a_callback_that_is_there(case: Case, here: tuple[ApiDesk, str]) -> None:
    one, url = here
    case.path_parameters = {"id": one.ask(phone=NUMBER)["id"]}
    case.call_and_validate(base_url=url, headers=BEARER, excluded_checks=LEFT_OUT)


def test_the_description_is_served_to_who_has_a_token(here: tuple[ApiDesk, str]) -> None:
    one, _ = here
    told = one.get("/openapi.json").json()
    assert told == SCHEMA.raw_schema
    assert told["openapi"].startswith("3.1")
    with client(one.app) as anybody:
        assert anybody.get("/api/v1/openapi.json").status_code == 401


def test_a_wrong_method_is_told_which_ones_there_are(here: tuple[ApiDesk, str]) -> None:
    one, _ = here
    answer = one.client.request("DELETE", "/api/v1/callbacks", headers=BEARER)
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, POST"


def test_each_operation_says_which_token_and_which_errors() -> None:
    for path, methods in SCHEMA.raw_schema["paths"].items():
        for method, told in methods.items():
            open_to_all = path.endswith(("/health", "/ready", "/hooks/{dialer}"))
            assert ("security" in told) is not open_to_all, path
            assert "500" in told["responses"], path
            assert told["summary"], path
            assert told["description"], path
            if method == "post":
                assert {"413", "422", "503"} <= told["responses"].keys(), path
