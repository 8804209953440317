"""Lines from outside, over real sockets and a real pipe → what the loop is told, and what is answered."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import socket
import stat
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from vad_agent.client.headset_protocol import COMMANDS, NOT_FROM_OUTSIDE, Command, parse_control
from vad_agent.common.private_files import state_folder
from vad_agent.core.events import Event, EventKind
from vad_agent.errors import EventError, OutputError
from vad_agent.headset import softphone_event_socket as module
from vad_agent.headset.softphone_event_socket import (
    LONGEST,
    MOST_CLIENTS,
    TOKEN_FILE,
    SoftphoneEventSocket,
)

LIMIT_S = 10.0
NAME, PHONE = "Аристарх", "+79991234567"
OK = {"ok": True}
unix = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no Unix sockets here")


class Heard:
    """What the loop and the operator were told."""

    def __init__(self) -> None:
        self.put: queue.Queue[Event | Command] = queue.Queue()
        self.reports: queue.Queue[str] = queue.Queue()

    def next(self) -> Event | Command:
        return self.put.get(timeout=LIMIT_S)

    def report(self) -> str:
        return self.reports.get(timeout=LIMIT_S)

    def inlet(self, where: str) -> SoftphoneEventSocket:
        return SoftphoneEventSocket(where, self.put.put, self.reports.put)


class Client:
    """A script of the softphone's: connects, writes, reads answers."""

    def __init__(self, where: Path | int, *, token: bool = True) -> None:
        if isinstance(where, Path):
            self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.socket.connect(str(where))
        else:
            self.socket = socket.create_connection(("127.0.0.1", where))
        self.socket.settimeout(LIMIT_S)
        self.lines = self.socket.makefile("rb")
        if token and not isinstance(where, Path):
            text = (state_folder() / TOKEN_FILE).read_text(encoding="ascii").strip()
            assert self.ask(event(token=text)) == OK

    def send(self, line: bytes) -> None:
        self.socket.sendall(line)

    def answer(self) -> dict[str, object]:
        told = json.loads(self.lines.readline())
        assert isinstance(told, dict)
        return told

    def ask(self, line: bytes) -> dict[str, object]:
        self.send(line + b"\n")
        return self.answer()

    def ended(self) -> bool:
        """The other end has closed; waits for it."""
        with contextlib.suppress(ConnectionError):
            return self.lines.readline() == b""
        return True

    def close(self) -> None:
        self.lines.close()
        self.socket.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def event(**told: object) -> bytes:
    return json.dumps(told, ensure_ascii=False).encode()


def problem_of(line: bytes) -> str:
    """The error's text; empty: there is none."""
    try:
        parse_control(line)
    except EventError as error:
        return str(error)
    return ""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert isinstance(port, int)
    return port


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "inlet"]


def until(what: str, true: object) -> None:
    """Wait until it is so."""
    assert callable(true)
    end = time.monotonic() + LIMIT_S
    while not true():
        assert time.monotonic() < end, f"not within {LIMIT_S:g} s: {what}"
        time.sleep(0.005)


@pytest.fixture(autouse=True)
def own_state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture(params=[pytest.param("unix", marks=unix), "port"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Path | int:
    """A Unix socket's path, or a port."""
    return tmp_path / "events" if request.param == "unix" else free_port()


@pytest.fixture
def served(heard: Heard, where: Path | int) -> Iterator[Path | int]:
    """Where an inlet listens."""
    inlet = heard.inlet(str(where))
    inlet.start()
    yield where
    inlet.close()
    until("its threads end", lambda: not threads())


# -- lines ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "what"),
    [
        (b'{"kind": "answered", "call_id": "17"}', Event(EventKind.ANSWERED, call_id="17")),
        (b'{"kind": "hangup", "cause": 16}\r\n', Event(EventKind.HANGUP, cause="16")),
        (b'{"kind": "hold", "party": "client", "x": [1]}', Event(EventKind.HOLD, party="client")),
        (b'\xef\xbb\xbf{"kind": "unhold"}', Event(EventKind.UNHOLD)),
        (event(kind="client_name", name=NAME), Event(EventKind.CLIENT_NAME, name=NAME)),
        (event(kind="callback_agreed", phone=7), Event(EventKind.CALLBACK_AGREED, phone="7")),
        (event(kind="client_name", name=None), Event(EventKind.CLIENT_NAME)),
        *((event(command=command.value), command) for command in map(Command, COMMANDS)),
    ],
)
def test_a_line_is_an_event_or_a_command(line: bytes, what: Event | Command) -> None:
    assert parse_control(line) == what


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"hangup", "expected a JSON object on one line, in UTF-8"),
        (b'{"kind": "hang', "expected a JSON object on one line, in UTF-8"),
        (b'{"kind": "client_name", "name": "\xcf\xe5"}', "expected a JSON object on one line"),
        (b"[" * 50_000, "expected a JSON object on one line"),
        (b'{"seq": ' + b"9" * 9_000 + b"}", "expected a JSON object on one line"),
        (b'["hangup"]', "expected a JSON object, got list"),
        (b'"hangup"', "expected a JSON object, got str"),
        (b"null", "expected a JSON object, got NoneType"),
        (b"{}", "event kind: expected one of ringing, answered"),
        (b'{"kind": "hungup"}', "event kind: expected one of ringing, answered"),
        (b'{"command": "stop"}', "command: expected one of start_call, end_call"),
        (b'{"command": "line_unused"}', "command: expected one of start_call, end_call"),
        (b'{"command": ["quit"]}', "command: expected one of start_call, end_call"),
        (b'{"kind": "hold", "party": ["client"]}', "party: expected text"),
        (b'{"kind": "hold", "seq": "one"}', "seq: expected a whole number"),
    ],
)
def test_a_wrong_line_is_refused(line: bytes, problem: str) -> None:
    with pytest.raises(EventError) as raised:
        parse_control(line)
    assert problem in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("kind", sorted(NOT_FROM_OUTSIDE))
def test_the_players_and_the_devices_events_are_refused(kind: EventKind) -> None:
    with pytest.raises(EventError, match=f"{kind.value} is reserved for the product itself"):
        parse_control(event(kind=kind.value, party="client", latency_s=0.1))


@pytest.mark.parametrize(
    "field",
    [
        "kind",
        "command",
        "party",
        "cause",
        "name",
        "phone",
        "at",
        "topic",
        "prompt",
        "text",
        "call_id",
        "seq",
        "ts",
        "latency_s",
    ],
)
@pytest.mark.parametrize(
    "value",
    [{"name": NAME, "phone": PHONE}, [NAME, PHONE], [{"as": ["got", NAME]}], "; got " + NAME],
    ids=["object", "list", "deep", "text"],
)
def test_an_error_quotes_nothing_personal(field: str, value: object) -> None:
    told = {"kind": "callback_agreed", "name": NAME, "phone": PHONE, field: value}
    error = problem_of(event(**told))
    assert error or isinstance(value, str)  # a text is right in most fields
    assert NAME not in error
    assert PHONE not in error


# -- sockets --------------------------------------------------------------------------------------


def test_each_line_is_put_in_order_and_answered(served: Path | int, heard: Heard) -> None:
    with Client(served) as client:
        assert client.ask(b'{"kind": "ringing"}') == OK
        assert client.ask(event(kind="client_name", name=NAME)) == OK
        assert client.ask(b'{"command": "end_call"}') == OK
        client.send(b'{"kind": "answered"}\n\n  \n{"kind": "hold"}\n{"command": "undo"}\n')
        assert [client.answer() for _ in range(3)] == [OK] * 3
    told = [heard.next() for _ in range(6)]
    assert told[:2] == [Event(EventKind.RINGING), Event(EventKind.CLIENT_NAME, name=NAME)]
    assert told[2:] == [
        Command.END_CALL,
        Event(EventKind.ANSWERED),
        Event(EventKind.HOLD),
        Command.UNDO,
    ]
    assert heard.put.empty()


def test_a_wrong_line_is_answered_and_the_next_is_read(served: Path | int, heard: Heard) -> None:
    with Client(served) as client:
        for wrong in (b"hello", b'{"kind": "client_name", "name": "\xcf\xe5"}', b'{"kind": 1}'):
            assert client.ask(wrong).keys() == {"error"}
        told = client.ask(event(kind="hold", party={"name": NAME, "phone": PHONE}))
        assert NAME not in str(told)
        assert PHONE not in str(told)
        assert client.ask(b'{"kind": "player_ready", "latency_s": 0.1}').keys() == {"error"}
        assert client.ask(b'{"kind": "hangup"}') == OK
    assert heard.next() == Event(EventKind.HANGUP)
    assert heard.put.empty()


@pytest.mark.parametrize("longer", [1, LONGEST, 5 * LONGEST])
def test_a_line_that_is_too_long_is_refused_once(
    served: Path | int, heard: Heard, longer: int
) -> None:
    line = event(kind="client_name", name=NAME, pad="")
    line = line[:-2] + b"x" * (LONGEST - len(line) - 1 + longer) + b'"}'
    assert len(line) == LONGEST - 1 + longer
    with Client(served) as client:
        assert client.ask(line) == {"error": f"expected a line of {LONGEST} bytes at most"}
        assert client.ask(b'{"kind": "hold"}') == OK
    assert heard.next() == Event(EventKind.HOLD)


def test_the_longest_line_is_taken(served: Path | int, heard: Heard) -> None:
    line = event(kind="hold", pad="")
    line = line[:-2] + b"x" * (LONGEST - len(line) - 1) + b'"}'
    with Client(served) as client:
        assert client.ask(line) == OK
    assert heard.next() == Event(EventKind.HOLD)


def test_a_line_in_pieces_is_one(served: Path | int, heard: Heard) -> None:
    with Client(served) as client:
        for letter in event(kind="client_name", name=NAME) + b"\n":
            client.send(bytes([letter]))
        assert client.answer() == OK
    assert heard.next() == Event(EventKind.CLIENT_NAME, name=NAME)


@pytest.mark.parametrize("end", [b'{"kind": "hangup"}', b'{"kind": "hang'])
def test_the_last_line_may_lack_its_end(served: Path | int, heard: Heard, end: bytes) -> None:
    with Client(served) as client:
        client.send(b'{"kind": "hold"}\n' + end)
        client.socket.shutdown(socket.SHUT_WR)
        assert client.answer() == OK
        assert client.answer().keys() == ({"ok"} if end.endswith(b"}") else {"error"})
        assert client.ended()
    assert heard.next() == Event(EventKind.HOLD)
    assert heard.put.qsize() == end.endswith(b"}")


@unix
def test_a_client_who_does_not_wait_for_answers_is_heard_to_the_end(
    tmp_path: Path, heard: Heard
) -> None:
    inlet = heard.inlet(str(tmp_path / "events"))
    with Client(tmp_path / "events") as client:  # gone before the first line is read
        client.send(b'{"kind": "hold"}\nwrong\n{"kind": "unhold"}\n{"kind": "hangup"}\n')
    inlet.start()
    assert [heard.next() for _ in range(3)] == list(map(Event, ("hold", "unhold", "hangup")))
    inlet.close()


def test_many_clients_at_once(served: Path | int, heard: Heard) -> None:
    def tell(number: int) -> None:
        with Client(served) as client:
            for line in range(50):
                assert client.ask(event(kind="hold", call_id=str(number), seq=line)) == OK

    writers = [threading.Thread(target=tell, args=(number,)) for number in range(20)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(LIMIT_S)
    told = [heard.next() for _ in range(20 * 50)]
    for number in range(20):
        its = [one.seq for one in told if isinstance(one, Event) and one.call_id == str(number)]
        assert its == list(range(50))


def test_too_many_clients_are_turned_away_and_a_place_comes_free(
    served: Path | int, heard: Heard
) -> None:
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Client(served)) for _ in range(MOST_CLIENTS)]
        assert all(client.ask(b'{"kind": "hold"}') == OK for client in clients)
        assert stack.enter_context(Client(served, token=False)).ended()
        clients[0].close()
        until("a client has gone", lambda: len(threads()) == MOST_CLIENTS)
        assert stack.enter_context(Client(served)).ask(b'{"kind": "hold"}') == OK
    assert heard.put.qsize() == MOST_CLIENTS + 1


def test_a_client_who_reads_no_answers_holds_nobody_up(served: Path | int, heard: Heard) -> None:
    with Client(served) as deaf, Client(served) as other:
        deaf.socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                deaf.socket.send(b"?\n" * 1000)
        assert other.ask(b'{"kind": "hangup"}') == OK
    assert heard.next() == Event(EventKind.HANGUP)


@pytest.mark.serial
def test_close_ends_soon_with_clients_still_there(heard: Heard, where: Path | int) -> None:
    inlet = heard.inlet(str(where))
    inlet.start()
    with Client(where) as client:
        assert client.ask(b'{"kind": "hold"}') == OK
        began = time.monotonic()
        inlet.close()
        assert time.monotonic() - began < 0.5
        assert client.ended()
    until("its threads end", lambda: not threads())
    inlet.close()  # again: nothing


def test_a_full_table_of_files_does_not_end_it(
    heard: Heard, where: Path | int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "IDLE_S", 0.01)
    inlet = heard.inlet(str(where))
    real, failed = inlet._socket, threading.Event()
    assert real is not None

    class Failing:
        def accept(self) -> object:
            if not failed.is_set():
                failed.set()
                raise OSError(24, "Too many open files")
            return real.accept()

        def __getattr__(self, name: str) -> object:
            return getattr(real, name)

    inlet._socket = Failing()  # type: ignore[assignment]
    inlet.start()
    with Client(where) as client:
        assert client.ask(b'{"kind": "hold"}') == OK
    assert failed.is_set()
    inlet.close()


# -- the socket's file ----------------------------------------------------------------------------


@unix
def test_the_socket_is_its_owners_and_goes_at_the_end(tmp_path: Path, heard: Heard) -> None:
    path = tmp_path / "events"
    before = os.umask(0)
    try:
        inlet = heard.inlet(str(path))
        assert os.umask(0) == 0
    finally:
        os.umask(before)
    assert path.is_socket()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    inlet.start()
    inlet.close()
    assert not path.exists()


@unix
def test_a_socket_that_nobody_serves_is_replaced(tmp_path: Path, heard: Heard) -> None:
    path = tmp_path / "events"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as killed:
        killed.bind(str(path))
    assert path.is_socket()
    inlet = heard.inlet(str(path))
    inlet.start()
    with Client(path) as client:
        assert client.ask(b'{"kind": "hold"}') == OK
    inlet.close()


@unix
def test_a_socket_that_is_served_is_left_alone(tmp_path: Path, heard: Heard) -> None:
    path = tmp_path / "events"
    inlet = heard.inlet(str(path))
    inlet.start()
    with pytest.raises(OutputError, match="another vad-agent listens there"):
        Heard().inlet(str(path))
    with Client(path) as client:
        assert client.ask(b'{"kind": "hold"}') == OK
    inlet.close()


@unix
@pytest.mark.parametrize("kind", ["busy", "datagram"])
def test_a_socket_of_somebody_elses_is_left_alone(tmp_path: Path, heard: Heard, kind: str) -> None:
    path = tmp_path / "events"
    with contextlib.ExitStack() as stack:
        type_ = socket.SOCK_STREAM if kind == "busy" else socket.SOCK_DGRAM
        theirs = stack.enter_context(socket.socket(socket.AF_UNIX, type_))
        theirs.bind(str(path))
        if kind == "busy":
            theirs.listen(0)
            waiting = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            waiting.connect(str(path))  # its queue is full now
        with pytest.raises(OutputError, match="cannot make the socket of events"):
            heard.inlet(str(path))
        assert path.is_socket()


@unix
@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_what_is_no_socket_is_left_alone(tmp_path: Path, heard: Heard, kind: str) -> None:
    path = tmp_path / "events"
    if kind == "file":
        path.write_text("precious")
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(tmp_path / "nowhere")
    with pytest.raises(OutputError, match="it is no socket, and is left alone"):
        heard.inlet(str(path))
    assert path.is_symlink() or path.exists()
    assert kind != "file" or path.read_text() == "precious"


@unix
@pytest.mark.parametrize("name", ["no/such/folder", "n" * 300, "n/" * 60 + "n"])
def test_a_socket_that_cannot_be_made_is_said(tmp_path: Path, heard: Heard, name: str) -> None:
    with pytest.raises(OutputError, match="cannot make the socket of events: ") as raised:
        heard.inlet(str(tmp_path / name))
    assert "\n" not in str(raised.value)


# -- a port ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "first",
    [
        b'{"kind": "hold"}',
        b'{"command": "quit"}',
        b'{"token": ""}',
        b'{"token": "wrong"}',
        b'{"token": 7}',
        b'["token"]',
        b"nonsense",
        b'{"token": "\xd1\x8f"}',
        b"[" * 30_000,
    ],
)
def test_a_port_asks_for_the_token_first(heard: Heard, first: bytes) -> None:
    port = free_port()
    inlet = heard.inlet(str(port))
    inlet.start()
    assert inlet.token_path is not None
    assert stat.S_IMODE(inlet.token_path.stat().st_mode) == 0o600
    with Client(port, token=False) as client:
        error = str(client.ask(first)["error"])
        assert error == f'expected {{"token": "…"}} first, the one in {inlet.token_path}'
        client.send(b'{"kind": "hold"}\n')
        assert client.ended()
    assert "без токена" in heard.report()
    assert heard.put.empty()
    with Client(port) as client:
        assert client.ask(b'{"kind": "hold"}') == OK
    inlet.close()


def test_who_says_no_token_takes_no_place_for_long(
    heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TOKEN_S", 0.2)
    port = free_port()
    inlet = heard.inlet(str(port))
    inlet.start()
    with Client(port, token=False) as silent, Client(port) as known:
        assert silent.ended()
        assert known.ask(b'{"kind": "hold"}') == OK
    inlet.close()


def test_a_port_is_open_on_this_machine_alone(heard: Heard) -> None:
    inlet = heard.inlet(str(free_port()))
    assert inlet._socket is not None
    assert inlet._socket.getsockname()[0] == "127.0.0.1"
    inlet.close()


def test_a_port_can_be_taken_again_at_once(heard: Heard) -> None:
    port = free_port()
    for _ in range(3):
        inlet = heard.inlet(str(port))
        inlet.start()
        with Client(port) as client:
            assert client.ask(b'{"kind": "hold"}') == OK
            inlet.close()  # our side first: the connection lingers
            assert client.ended()
        until("its threads end", lambda: not threads())


def test_a_port_that_is_taken_is_said(heard: Heard) -> None:
    port = free_port()
    inlet = heard.inlet(str(port))
    with pytest.raises(OutputError, match=f"127.0.0.1:{port}: cannot listen for events: "):
        Heard().inlet(str(port))
    inlet.close()


def test_no_port_has_such_a_number(heard: Heard) -> None:
    with pytest.raises(OutputError, match="cannot listen for events: "):
        heard.inlet("70000")


def test_a_page_in_the_browser_is_not_listened_to(served: Path | int, heard: Heard) -> None:
    request = (
        b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/plain\r\n\r\n"
        b'{"command": "quit"}\n'
    )
    with Client(served) as page:
        page.send(request)
        assert page.ended()
    with Client(served) as client:
        assert client.ask(b'{"kind": "hold"}') == OK
    assert heard.next() == Event(EventKind.HOLD)
    assert heard.put.empty()


# -- stdin ----------------------------------------------------------------------------------------


class Stdin:
    """A pipe as stdin."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def fileno(self) -> int:
        return self._descriptor


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The end of stdin that others write to; it is closed by the test or afterwards."""
    reading, writing = os.pipe()
    monkeypatch.setattr(sys, "stdin", Stdin(reading))
    yield writing
    with contextlib.suppress(OSError):
        os.close(writing)
    until("its thread ends", lambda: not threads())
    os.close(reading)


def test_lines_of_stdin_are_put_and_what_is_wrong_is_reported(pipe: int, heard: Heard) -> None:
    inlet = heard.inlet("-")
    inlet.start()
    os.write(pipe, b'{"kind": "ringing"}\n')
    assert heard.next() == Event(EventKind.RINGING)  # before the end of stdin
    os.write(pipe, b'{"kind": "client_name", "name": "\xcf"}\n{"command": "start_call"}\n')
    assert heard.report() == "stdin: expected a JSON object on one line, in UTF-8"
    assert heard.next() == Command.START_CALL
    os.write(pipe, event(kind="hold", cause=[NAME, PHONE]) + b"\n")
    told = heard.report()
    assert NAME not in told
    assert PHONE not in told
    os.write(pipe, b'{"kind": "hangup"}')
    os.close(pipe)
    assert heard.next() == Event(EventKind.HANGUP)
    until("its thread ends", lambda: not threads())
    assert heard.put.empty()
    assert heard.reports.empty()
    inlet.close()


def test_a_line_of_stdin_that_is_too_long_is_reported_once(pipe: int, heard: Heard) -> None:
    inlet = heard.inlet("-")
    inlet.start()
    with open(pipe, "wb", closefd=False) as out:
        out.write(b"x" * (3 * LONGEST) + b'\n{"kind": "hold"}\n')
    assert heard.report() == f"stdin: expected a line of {LONGEST} bytes at most"
    assert heard.next() == Event(EventKind.HOLD)
    assert heard.reports.empty()
    inlet.close()


@pytest.mark.serial
def test_close_does_not_wait_for_stdin(pipe: int, heard: Heard) -> None:
    inlet = heard.inlet("-")
    inlet.start()
    until("it waits for stdin", threads)
    began = time.monotonic()
    inlet.close()
    assert time.monotonic() - began < 0.5
    os.write(pipe, b'{"kind": "hold"}\n')


def test_no_stdin_is_no_error(heard: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    inlet = heard.inlet("-")
    inlet.start()
    until("its thread ends", lambda: not threads())
    inlet.close()


@pytest.mark.skipif(os.name != "posix", reason="descriptors are other ones there")
def test_a_stdin_that_cannot_be_read_is_reported(
    tmp_path: Path, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open(tmp_path / "out", "wb") as out:  # as nohup leaves it
        monkeypatch.setattr(sys, "stdin", Stdin(out.fileno()))
        inlet = heard.inlet("-")
        inlet.start()
        assert heard.report() == "stdin: cannot be read: Bad file descriptor"
        until("its thread ends", lambda: not threads())
    inlet.close()
