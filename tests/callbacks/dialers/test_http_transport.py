from __future__ import annotations

import json
import logging
import socket
import threading
from collections.abc import Iterator

import pytest

from tests.callbacks.dialers.http_centre import CUT, DROP, GARBAGE, HANG, CentreServer, limit_s
from vad_agent.callbacks.dialers.base import DialRefused, DialUncertain
from vad_agent.callbacks.dialers.http_transport import MOST_BYTES, TRIES, HttpTransport
from vad_agent.errors import DialError, SettingsError

SECRET = "correct-horse-battery"
NUMBER = "+79123456789"
FAULTS = [HANG, CUT, DROP, 500, 503, 303]
REFUSALS = [400, 401, 403, 404, 409, 301, 302, 307]


@pytest.fixture
def server() -> Iterator[CentreServer]:
    with CentreServer().serving() as server:
        yield server


@pytest.fixture
def centre(server: CentreServer, request: pytest.FixtureRequest) -> Iterator[HttpTransport]:
    limit = limit_s(request)
    centre = HttpTransport("crm", server.url, auth=("robot", SECRET), limit_s=limit, pause_s=0.005)
    yield centre
    centre.close()


def post(centre: HttpTransport, *, repeatable: bool, accept: tuple[int, ...] = ()) -> object:
    answer = centre.send(
        "POST", "/cases", repeatable=repeatable, accept=accept, json={"number": NUMBER}
    )
    return centre.json(answer)


def test_the_answer_comes_back(server: CentreServer, centre: HttpTransport) -> None:
    server.answers("POST", "/cases", 201, {"id": "k"})
    assert post(centre, repeatable=False) == {"id": "k"}
    [taken] = server.taken
    assert taken.json == {"number": NUMBER}
    assert taken.headers["authorization"].startswith("Basic ")


@pytest.mark.parametrize("fault", FAULTS)
def test_a_repeatable_request_is_tried_again_as_it_was(
    server: CentreServer, centre: HttpTransport, fault: int | str
) -> None:
    server.answers("POST", "/cases", fault)
    with pytest.raises(DialUncertain):
        post(centre, repeatable=True)
    assert [one.json for one in server.taken] == [{"number": NUMBER}] * TRIES


@pytest.mark.parametrize("fault", FAULTS)
def test_one_that_is_not_repeatable_is_sent_once(
    server: CentreServer, centre: HttpTransport, fault: int | str
) -> None:
    server.answers("POST", "/cases", fault)
    with pytest.raises(DialUncertain):
        post(centre, repeatable=False)
    assert len(server.taken) == 1


@pytest.mark.parametrize("first", [HANG, CUT, DROP, 502, 429])
def test_a_fault_that_passes_is_none(
    server: CentreServer, centre: HttpTransport, first: int | str
) -> None:
    server.answers("POST", "/cases", first)
    server.answers("POST", "/cases", 200, {"id": "k"})
    assert post(centre, repeatable=True) == {"id": "k"}
    assert len(server.taken) == 2


@pytest.mark.parametrize("status", REFUSALS)
@pytest.mark.parametrize("repeatable", [True, False])
def test_a_refusal_is_asked_for_once(
    server: CentreServer, centre: HttpTransport, status: int, repeatable: bool
) -> None:
    server.answers("POST", "/cases", status, {"error": NUMBER})
    with pytest.raises(DialRefused, match=f"^crm: HTTP {status}$"):
        post(centre, repeatable=repeatable)
    assert len(server.taken) == 1


def test_too_many_requests_took_nothing_so_any_is_tried_again(
    server: CentreServer, centre: HttpTransport
) -> None:
    server.answers("POST", "/cases", 429)
    with pytest.raises(DialRefused, match="429"):
        post(centre, repeatable=False)
    assert len(server.taken) == TRIES


def test_an_accepted_status_is_an_answer(server: CentreServer, centre: HttpTransport) -> None:
    server.answers("POST", "/cases", 409, {"id": "there"})
    assert post(centre, repeatable=False, accept=(409,)) == {"id": "there"}


@pytest.mark.parametrize("repeatable", [True, False])
def test_no_connection_is_tried_three_times_and_certainly_rings_nobody(
    monkeypatch: pytest.MonkeyPatch, repeatable: bool
) -> None:
    tries: list[object] = []
    connect = socket.create_connection

    def counted(address: tuple[str, int], *rest: object, **more: object) -> socket.socket:
        tries.append(address)
        return connect(address, *rest, **more)  # type: ignore[arg-type]

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    monkeypatch.setattr(socket, "create_connection", counted)
    centre = HttpTransport("crm", f"http://127.0.0.1:{port}", limit_s=5.0, pause_s=0.005)
    with pytest.raises(DialRefused, match="ConnectError"):
        post(centre, repeatable=repeatable)
    centre.close()
    assert len(tries) == TRIES


@pytest.mark.parametrize(("first", "later"), [(HANG, 404), (CUT, 401), (500, 429)])
def test_a_refusal_after_a_doubtful_try_says_nothing_of_that_try(
    server: CentreServer, centre: HttpTransport, first: int | str, later: int
) -> None:
    server.answers("POST", "/cases", first)
    server.answers("POST", "/cases", later)
    with pytest.raises(DialUncertain, match=str(later)):
        post(centre, repeatable=True)


def test_no_connection_after_a_doubtful_try_says_nothing_of_that_try() -> None:
    """The centre takes the order, and is gone before it can answer."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        centre = HttpTransport(
            "crm",
            f"http://127.0.0.1:{listening.getsockname()[1]}",
            limit_s=5.0,
            pause_s=0.005,
        )

        def take_and_go() -> None:
            connection, _ = listening.accept()
            connection.recv(65536)
            listening.close()
            connection.close()

        thread = threading.Thread(target=take_and_go)
        thread.start()
        with pytest.raises(DialUncertain, match=r"no connection.*may have been taken"):
            post(centre, repeatable=True)
        thread.join(5)
        centre.close()


def test_a_redirect_is_not_followed(server: CentreServer, centre: HttpTransport) -> None:
    server.answers("POST", "/cases", 307, None, {"Location": f"{server.url}/elsewhere"})
    server.answers("POST", "/elsewhere", 200, {"id": "k"})
    with pytest.raises(DialRefused):
        post(centre, repeatable=True)
    assert server.requests("POST", "/elsewhere") == []


def test_what_is_no_json_is_uncertain(server: CentreServer, centre: HttpTransport) -> None:
    server.answers("POST", "/cases", GARBAGE)
    with pytest.raises(DialUncertain, match="expected JSON"):
        post(centre, repeatable=True)


def test_json_too_deep_to_read_is_uncertain(server: CentreServer, centre: HttpTransport) -> None:
    server.answers("POST", "/cases", 200, b"[" * 100_000)
    with pytest.raises(DialUncertain, match="expected JSON"):
        post(centre, repeatable=True)


def test_an_answer_without_end_is_cut_short(server: CentreServer, centre: HttpTransport) -> None:
    server.answers("POST", "/cases", 200, "x" * (MOST_BYTES + 1))
    with pytest.raises(DialUncertain, match="ReadError"):
        post(centre, repeatable=False)


def test_an_answer_in_drops_has_one_limit_for_them_all() -> None:
    """Each drop comes within the limit, the whole never would."""
    over = threading.Event()
    sent = []

    def drip() -> None:
        connection, _ = listening.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            while not over.wait(0.05) and len(sent) < 100:
                try:
                    connection.sendall(b" ")
                except OSError:
                    return
                sent.append(1)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        centre = HttpTransport("crm", url, limit_s=0.3)
        thread = threading.Thread(target=drip)
        thread.start()
        with pytest.raises(DialUncertain, match="ReadTimeout"):
            post(centre, repeatable=False)
        over.set()
        thread.join(5)
        centre.close()
    assert len(sent) < 100


def test_a_header_that_cannot_be_sent_is_not_repeated_in_the_error() -> None:
    with CentreServer().serving() as server:
        centre = HttpTransport("crm", server.url, headers={"X-API-Key": f"{SECRET}\n"})
        with pytest.raises(DialRefused) as caught:
            post(centre, repeatable=True)
        centre.close()
        assert server.taken == []
    assert SECRET not in whole(caught.value)


@pytest.mark.parametrize("fault", [*FAULTS, 400, 429, GARBAGE])
def test_neither_credentials_nor_bodies_nor_urls_are_in_errors_or_logs(
    server: CentreServer,
    centre: HttpTransport,
    caplog: pytest.LogCaptureFixture,
    fault: int | str,
) -> None:
    caplog.set_level(logging.DEBUG)
    server.answers("POST", "/cases", fault, {"said": NUMBER})
    with pytest.raises(DialError) as caught:
        post(centre, repeatable=False)
    for secret in (SECRET, NUMBER, "cm9ib3Q6", "/cases"):
        assert secret not in caplog.text + whole(caught.value) + repr(centre)


def test_a_closed_centre_refuses(server: CentreServer, centre: HttpTransport) -> None:
    centre.close()
    with pytest.raises(DialRefused, match="closed"):
        post(centre, repeatable=True)
    assert server.taken == []


@pytest.mark.parametrize(
    "url",
    ["", "crm", "ftp://crm/", "https://", "https://crm:port/", f"https://robot:{SECRET}@crm/"],
)
def test_a_wrong_url_is_the_settings_fault_and_is_not_repeated(url: str) -> None:
    with pytest.raises(SettingsError, match=r"^crm: url: ") as caught:
        HttpTransport("crm", url)
    assert SECRET not in whole(caught.value)


def whole(error: BaseException) -> str:
    """The error and its causes, as a log would show them."""
    texts = []
    cause: BaseException | None = error
    while cause is not None:
        texts.append(f"{cause!r} {cause}")
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return json.dumps(texts, ensure_ascii=False)
