"""Actions → what hooks are told, by real commands and a real HTTP server; what fails is reported."""

from __future__ import annotations

import json
import os
import queue
import re
import shlex
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from vad_agent.core import actions as act
from vad_agent.core.actions import Action, Phase, PromptOutcome, Reason
from vad_agent.core.frames import Channel
from vad_agent.errors import SettingsError
from vad_agent.headset import action_hooks as module
from vad_agent.headset.action_hooks import (
    DEFAULT,
    KINDS,
    MOST_WAITING,
    VITAL,
    ActionHooks,
    Target,
    message,
)

LIMIT_S = 20.0
NAME, PHONE, TOPIC, SAID = "Аристарх", "+79991234567", "про возврат", "Аристарх, вас не слышно"
SECRETS = (NAME, PHONE, TOPIC, SAID, ascii(NAME)[1:-1], "не слышно")
PYTHON = shlex.quote(Path(sys.executable).as_posix())

PHASE = act.PhaseChanged(50, Phase.DIALOGUE)
SPEECH = act.Speech(50, Channel.CLIENT, 10, 40)
CUE = act.Cue(60, "not_heard", SAID, 60, 80)
PROMPT = act.PromptDone(70, "not_heard", SAID, 60, 80, 65, 65, 70, PromptOutcome.SAID)
CALLBACK = act.CallbackRequested(
    80, Reason.DROPPED, 0.0, SAID, at=None, name=NAME, phone=PHONE, topic=TOPIC
)
HANGUP = act.Hangup(90, Reason.DROPPED)
ALERT = act.Alert(95, "no_greeting")


class Reports:
    """What the operator is told."""

    def __init__(self) -> None:
        self._all: list[str] = []
        self._queue: queue.Queue[str] = queue.Queue()

    def __call__(self, text: str) -> None:
        self._all.append(text)
        self._queue.put(text)

    def next(self) -> str:
        return self._queue.get(timeout=LIMIT_S)

    @property
    def all(self) -> list[str]:
        return list(self._all)


@pytest.fixture
def reports() -> Iterator[Reports]:
    """Checks at the end that nothing personal was in any report."""
    made = Reports()
    yield made
    for text in made.all:
        assert not [secret for secret in SECRETS if secret in text], text
        assert "\n" not in text
        assert text.startswith("--on-action ")


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSES_S", (0.01, 0.02))


def until(what: str, true: Callable[[], object]) -> None:
    """Wait until it is so."""
    end = time.monotonic() + LIMIT_S
    while not true():
        assert time.monotonic() < end, f"not within {LIMIT_S:g} s: {what}"
        time.sleep(0.005)


def tell(spec: str, actions: Sequence[Action], report: Reports, limit_s: float = LIMIT_S) -> None:
    """All of it, to its end."""
    hooks = ActionHooks([spec], report, limit_s=limit_s)
    hooks.begin("c1")
    hooks.take(actions)
    hooks.close(LIMIT_S)


# -- what is told ---------------------------------------------------------------------------------


def test_a_hook_is_told_the_traces_line_and_the_call() -> None:
    told = {"call": "c1", "t": 1.8, "kind": "hangup", "reason": "dropped"}
    assert message(HANGUP, "c1") == told


def test_a_callback_has_what_dialling_needs() -> None:
    told = message(CALLBACK, "c1")
    assert told is not None
    assert told["kind"] == "callback"
    assert (told["name"], told["phone"], told["topic"]) == (NAME, PHONE, TOPIC)
    revised = act.CallbackRevised(80, Reason.AGREED, None, SAID, at="2026-02-01", phone=PHONE)
    told = message(revised, "c1")
    assert told is not None
    assert (told["kind"], told["phone"], told["name"]) == ("callback_revised", PHONE, None)
    assert told["at"] == "2026-02-01"


@pytest.mark.parametrize("action", [PHASE, SPEECH, CUE, PROMPT, HANGUP, ALERT])
def test_nothing_else_has_them(action: Action) -> None:
    told = message(action, "c1")
    assert told is not None
    assert not {"name", "phone", "topic"} & told.keys()


def test_what_leaves_no_line_is_not_told() -> None:
    silent = (act.Play(1, "not_heard", SAID), act.Stop(1, "not_heard"), act.Dismiss(1, "not_heard"))
    assert [message(action, "c1") for action in silent] == [None] * 3


# -- what is asked for ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "kinds", "where"),
    [
        (PYTHON, DEFAULT, PYTHON),
        (f"  {PYTHON} -u x.py ", DEFAULT, f"{PYTHON} -u x.py"),
        (f"hangup={PYTHON}", {"hangup"}, PYTHON),
        (f"hangup, callback = {PYTHON} x", {"hangup", "callback"}, f"{PYTHON} x"),
        (f"speech,line={PYTHON}", {"speech", "line"}, PYTHON),
        (f"callback_withdrawn={PYTHON}", {"callback_withdrawn"}, PYTHON),
        (f"{PYTHON} --to=x", DEFAULT, f"{PYTHON} --to=x"),
        (f"hangup={PYTHON} --to=x", {"hangup"}, f"{PYTHON} --to=x"),
        ("http://x/?a=b", DEFAULT, "http://x/?a=b"),
        ("https://crm.example:8443/h?a=b&c=d", DEFAULT, "https://crm.example:8443/h?a=b&c=d"),
        ("callback=https://crm/h?a=b", {"callback"}, "https://crm/h?a=b"),
        ("http://[::1]:80/", DEFAULT, "http://[::1]:80/"),
        *((f"{kind}=http://x/", {kind}, "http://x/") for kind in KINDS),
    ],
)
def test_a_target_is_read(spec: str, kinds: set[str], where: str) -> None:
    assert Target.parse(spec) == Target(frozenset(kinds), where)


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ("", "expected a command or a URL"),
        ("   ", "expected a command or a URL"),
        ("hangup=", "expected a command or a URL"),
        ("hungup=x", "no kind 'hungup': one of phase, speech"),
        ("hangup,all=x", "no kind 'all'"),
        ("no-such-program --now", "there is no program no-such-program"),
        ("hangup=/no/such/hangup.sh", "there is no program /no/such/hangup.sh"),
        ("''", "there is no program"),
        ("=x", "there is no program =x"),
        ("ftp://x/", "there is no program ftp://x/"),
        (f"{PYTHON} 'x", "No closing quotation"),
        ("http://", "expected a URL with a host"),
        ("http:///path", "expected a URL with a host"),
        ("http://x:port/", "expected a URL with a host, and a number for its port"),
        ("http://x:70000/", "expected a URL with a host, and a number for its port"),
        ("http://[::1/", "expected a URL with a host"),
        ("http://user:secret@x/", "a user in it is not supported"),
        ("http://x/a b", "a URL of ASCII characters without spaces"),
        ("http://x/звонок", "a URL of ASCII characters without spaces"),
    ],
)
def test_a_wrong_target_is_refused(spec: str, problem: str) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(spec))) as raised:
        Target.parse(spec)
    assert problem in str(raised.value)


@pytest.mark.skipif(os.name != "posix", reason="there it is the name that tells")
def test_a_file_that_cannot_be_run_is_no_program(tmp_path: Path) -> None:
    script = tmp_path / "hangup.sh"
    script.write_text("#!/bin/sh\n")
    with pytest.raises(ValueError, match="there is no program"):
        Target.parse(str(script))
    script.chmod(0o755)
    assert Target.parse(str(script)).where == str(script)


def test_all_that_is_wrong_is_said_at_once(reports: Reports) -> None:
    with pytest.raises(SettingsError) as raised:
        ActionHooks(["hungup=x", PYTHON, "http://"], reports)
    assert len(raised.value.problems) == 2
    assert str(raised.value).startswith("--on-action: 'hungup=x': ")


# -- a URL ----------------------------------------------------------------------------------------


class Server:
    """A real one. `statuses`: what it answers, one after another, then 200; 0: it never does."""

    def __init__(self) -> None:
        self.got: list[tuple[str, dict[str, str], dict[str, object]]] = []
        self.statuses: list[int] = []
        self.ended = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                server.got.append((self.path, dict(self.headers), json.loads(body)))
                status = server.statuses.pop(0) if server.statuses else 200
                if not status:
                    server.ended.wait(LIMIT_S)
                    return
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def do_GET(self) -> None:
                server.got.append((self.path, {}, {"kind": "GET"}))
                self.send_error(404)

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def kinds(self) -> list[object]:
        return [told["kind"] for _, _, told in self.got]

    def keys(self) -> list[str]:
        return [headers["Idempotency-Key"] for _, headers, _ in self.got]

    def close(self) -> None:
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(LIMIT_S)


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


def test_a_url_gets_each_action_in_order_with_a_key(server: Server, reports: Reports) -> None:
    tell(f"{server.url}/hook?a=b", [PHASE, SPEECH, CUE, PROMPT, CALLBACK, HANGUP, ALERT], reports)
    assert server.kinds() == ["phase", "cue", "prompt", "callback", "hangup", "alert"]
    assert server.keys() == ["c1-1", "c1-3", "c1-4", "c1-5", "c1-6", "c1-7"]
    path, headers, told = server.got[3]
    assert path == "/hook?a=b"
    assert headers["Content-Type"] == "application/json"
    assert told == message(CALLBACK, "c1")
    assert told["phone"] == PHONE
    assert reports.all == []


def test_a_key_is_the_same_at_every_hook_and_other_in_another_call(
    server: Server, reports: Reports
) -> None:
    hooks = ActionHooks([f"hangup={server.url}/1", f"hangup,phase={server.url}/2"], reports)
    for call in ("c1", "c2"):
        hooks.begin(call)
        hooks.take([PHASE, act.Stop(60, "not_heard")])
        hooks.take([HANGUP])
    hooks.close(LIMIT_S)
    told = {path: [] for path in ("/1", "/2")}  # type: dict[str, list[str]]
    for path, headers, _ in server.got:
        told[path].append(headers["Idempotency-Key"])
    assert told == {"/1": ["c1-2", "c2-2"], "/2": ["c1-1", "c1-2", "c2-1", "c2-2"]}


def test_what_is_vital_is_tried_again_before_the_next(server: Server, reports: Reports) -> None:
    server.statuses = [500, 503]
    tell(server.url, [CALLBACK, HANGUP], reports)
    assert server.kinds() == ["callback"] * 3 + ["hangup"]
    assert server.keys() == ["c1-1"] * 3 + ["c1-2"]
    assert reports.all == []


def test_what_is_vital_and_fails_three_times_is_reported(server: Server, reports: Reports) -> None:
    server.statuses = [500, 500, 404]
    tell(f"{server.url}/secret?key=1", [CALLBACK, HANGUP], reports)
    assert server.kinds() == ["callback"] * 3 + ["hangup"]
    assert reports.all == [f"--on-action {server.url}: callback failed, 3 times: HTTP 404"]


def test_the_rest_is_tried_once(server: Server, reports: Reports) -> None:
    server.statuses = [500]
    tell(server.url, [PROMPT, PHASE], reports)
    assert server.kinds() == ["prompt", "phase"]
    assert reports.all == [f"--on-action {server.url}: prompt failed: HTTP 500"]


def test_a_redirect_is_a_failure(server: Server, reports: Reports) -> None:
    server.statuses = [302]
    tell(server.url, [PHASE], reports)
    assert server.kinds() == ["phase"]
    assert reports.all == [f"--on-action {server.url}: phase failed: HTTP 302"]


def test_a_server_that_does_not_answer_is_given_up(server: Server, reports: Reports) -> None:
    server.statuses = [0, 200, 0]
    tell(server.url, [CALLBACK, PHASE], reports, limit_s=0.3)
    assert server.kinds() == ["callback", "callback", "phase"]
    assert reports.all == [f"--on-action {server.url}: phase failed: not within 0.3 s"]


def test_a_refused_connection_is_reported(reports: Reports) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    tell(f"{url}/secret", [HANGUP], reports)
    (told,) = reports.all
    assert told.startswith(f"--on-action {url}: hangup failed, 3 times: ")


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0\r\n\r\n", b"HTTP/1.1 two hundred\r\n\r\n"])
def test_what_speaks_no_http_is_reported(reports: Reports, answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(LIMIT_S)

        def serve() -> None:
            client, _ = listener.accept()
            with client:
                client.settimeout(LIMIT_S)
                told = b""
                while not told.endswith(b"}"):
                    told += client.recv(65536)
                client.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        tell(f"http://127.0.0.1:{listener.getsockname()[1]}", [PHASE], reports)
        thread.join(LIMIT_S)
    assert len(reports.all) == 1
    assert "phase failed: no HTTP (" in reports.all[0] or "reset" in reports.all[0]


def test_the_desktops_proxy_is_not_asked(
    server: Server, reports: Reports, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    tell(server.url, [HANGUP], reports)
    assert server.kinds() == ["hangup"]


def test_half_a_letter_does_not_stop_it(server: Server, reports: Reports) -> None:
    torn = act.CallbackRequested(80, Reason.DROPPED, 0.0, "x", name="\ud83d", phone=PHONE)
    tell(server.url, [torn, HANGUP], reports)
    assert server.kinds() == ["callback", "hangup"]
    assert server.got[0][2]["name"] == "\ud83d"


# -- a command ------------------------------------------------------------------------------------


def script(folder: Path, text: str) -> str:
    """A command that runs the text; `here` is the folder."""
    path = folder / "hook it.py"
    head = f"import sys, os, time\nfrom pathlib import Path\nhere = Path({str(folder)!r})\n"
    path.write_text(head + text, encoding="utf-8")
    return f"{PYTHON} {shlex.quote(path.as_posix())}"


KEEP = """
with open(here / "told", "ab") as told:
    told.write(sys.stdin.buffer.read())
"""


def told_to(folder: Path) -> list[dict[str, object]]:
    path = folder / "told"
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_a_command_gets_each_action_on_stdin_as_a_line(tmp_path: Path, reports: Reports) -> None:
    command = script(tmp_path, KEEP)
    tell(f"callback,hangup={command}", [PHASE, CALLBACK, HANGUP], reports)
    assert told_to(tmp_path) == [message(CALLBACK, "c1"), message(HANGUP, "c1")]
    assert reports.all == []


def test_a_commands_arguments_are_its_own(tmp_path: Path, reports: Reports) -> None:
    command = script(tmp_path, "(here / 'argv').write_text(repr(sys.argv[1:]))")
    tell(f"hangup={command} --to=x 'a b' '$HOME;' ", [HANGUP], reports)
    assert (tmp_path / "argv").read_text() == repr(["--to=x", "a b", "$HOME;"])


def test_a_command_that_fails_is_tried_again(tmp_path: Path, reports: Reports) -> None:
    counted = KEEP + "sys.exit(3 if (here / 'told').read_text().count('hangup') < 3 else 0)"
    command = script(tmp_path, counted)
    tell(command, [HANGUP], reports)
    assert [told["kind"] for told in told_to(tmp_path)] == ["hangup"] * 3
    assert reports.all == []


def test_a_command_that_fails_is_reported(tmp_path: Path, reports: Reports) -> None:
    command = script(tmp_path, KEEP + "print(sys.argv, file=sys.stderr); sys.exit(3)")
    tell(f"{command} --password x", [CALLBACK, PROMPT], reports)
    assert [told["kind"] for told in told_to(tmp_path)] == ["callback"] * 3 + ["prompt"]
    name = Path(sys.executable).as_posix()
    assert reports.all == [
        f"--on-action {name}: callback failed, 3 times: status 3",
        f"--on-action {name}: prompt failed: status 3",
    ]


def test_a_command_that_hangs_is_killed(tmp_path: Path, reports: Reports) -> None:
    hang = "(here / 'pid').write_text(str(os.getpid()))\ntime.sleep(3600)\n"
    tell(script(tmp_path, hang), [PHASE], reports, limit_s=1.5)
    name = Path(sys.executable).as_posix()
    assert reports.all == [f"--on-action {name}: phase failed: not within 1.5 s"]
    if os.name == "posix":
        with pytest.raises(ProcessLookupError):
            os.kill(int((tmp_path / "pid").read_text()), 0)


def test_what_a_command_prints_goes_nowhere(
    tmp_path: Path, reports: Reports, capfd: pytest.CaptureFixture[str]
) -> None:
    much = KEEP + "for out in (sys.stdout, sys.stderr):\n    out.write('x' * 3_000_000)\n"
    tell(script(tmp_path, much), [PHASE, HANGUP], reports)
    assert len(told_to(tmp_path)) == 2
    assert reports.all == []
    assert capfd.readouterr() == ("", "")


def test_a_command_need_not_read(tmp_path: Path, reports: Reports) -> None:
    long = act.CallbackRequested(80, Reason.DROPPED, 0.0, "x" * 500_000, phone=PHONE)
    tell(script(tmp_path, "os.close(0)\n"), [long, HANGUP], reports)
    assert reports.all == []


@pytest.mark.skipif(os.name != "posix", reason="there it is the name that tells")
def test_a_command_that_is_gone_or_cannot_run_is_reported(tmp_path: Path, reports: Reports) -> None:
    program = tmp_path / "hangup"
    program.write_text("\x7fnot a program")
    program.chmod(0o755)
    hooks = ActionHooks([str(program)], reports)
    hooks.take([PHASE])
    assert reports.next() == f"--on-action {program}: phase failed: Exec format error"
    program.unlink()
    hooks.take([HANGUP])
    gone = f"--on-action {program}: hangup failed, 3 times: No such file or directory"
    assert reports.next() == gone
    hooks.close(LIMIT_S)


def test_whatever_goes_wrong_the_worker_goes_on(
    server: Server, reports: Reports, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, failed = module.Hook._send, threading.Event()

    def tell_once(self: module.Hook, key: str, told: dict[str, object]) -> str | None:
        if told["kind"] == "phase":
            failed.set()
            raise MemoryError(NAME)
        return real(self, key, told)

    monkeypatch.setattr(module.Hook, "_send", tell_once)
    tell(server.url, [PHASE, HANGUP], reports)
    assert failed.is_set()
    assert server.kinds() == ["hangup"]
    assert reports.all == [f"--on-action {server.url}: phase failed: MemoryError"]


# -- the call does not wait -----------------------------------------------------------------------


@pytest.mark.serial
def test_the_caller_never_waits_and_others_are_told(
    server: Server, reports: Reports, tmp_path: Path
) -> None:
    hang = script(tmp_path, "while not (here / 'go').exists(): time.sleep(0.01)")
    hooks = ActionHooks([f"alert={hang}", f"hangup={server.url}"], reports)
    began = time.monotonic()
    for _ in range(50):
        hooks.take([PHASE, CALLBACK, HANGUP])
    hooks.take([ALERT] * 3)
    assert time.monotonic() - began < 0.5
    until("the other hook is told", lambda: len(server.got) == 50)
    began = time.monotonic()
    hooks.close(0.2)
    assert time.monotonic() - began < 1.0
    (told,) = reports.all
    assert told.endswith("some actions were not sent before the end")
    worker = hooks._hooks[0]._writer._thread
    assert worker.daemon  # the program's end does not wait for it
    (tmp_path / "go").touch()
    worker.join(LIMIT_S)
    assert not worker.is_alive()


def test_what_is_too_slow_loses_what_is_not_vital_first(server: Server, reports: Reports) -> None:
    server.statuses = [0]
    hooks = ActionHooks([server.url], reports)
    hooks.take([ALERT])
    until("it hangs", lambda: server.got)
    hooks.take([PHASE] * (MOST_WAITING // 2))
    assert reports.all == []
    hooks.take([PHASE, CALLBACK])
    assert reports.all == [f"--on-action {server.url}: too slow, phase was left out"]
    hooks.take([HANGUP] * (MOST_WAITING // 2 - 1))
    assert len(reports.all) == 1
    hooks.take([HANGUP])
    assert reports.all[1:] == [f"--on-action {server.url}: too slow, hangup was LOST"]
    server.ended.set()  # the one that hung has failed, or not; the rest follows
    hooks.close(LIMIT_S)
    assert server.kinds()[-MOST_WAITING:] == (
        ["phase"] * (MOST_WAITING // 2) + ["callback"] + ["hangup"] * (MOST_WAITING // 2 - 1)
    )
    assert not [text for text in reports.all if "some actions were not sent" in text]


def test_close_tells_what_waits(server: Server, reports: Reports) -> None:
    hooks = ActionHooks([f"{server.url}/1", f"{server.url}/2"], reports)
    hooks.begin("c1")
    hooks.take([HANGUP] * 40)
    hooks.close(LIMIT_S)
    for path in ("/1", "/2"):
        its = [headers["Idempotency-Key"] for where, headers, _ in server.got if where == path]
        assert its == [f"c1-{number}" for number in range(1, 41)]
    assert reports.all == []


def test_a_hook_that_hangs_takes_no_time_from_the_others_at_close(
    server: Server, reports: Reports
) -> None:
    server.statuses = [0]
    hooks = ActionHooks([f"alert={server.url}/hangs", f"hangup={server.url}/good"], reports)
    hooks.take([ALERT])
    until("it hangs", lambda: server.got)
    hooks.take([HANGUP] * 5)
    hooks.close(1.0)
    assert server.kinds() == ["alert"] + ["hangup"] * 5
    assert reports.all == [f"--on-action {server.url}: some actions were not sent before the end"]


def test_the_kinds_are_those_of_the_trace() -> None:
    made = [PHASE, SPEECH, CUE, PROMPT, CALLBACK, HANGUP, ALERT]
    assert {str(told["kind"]) for action in made if (told := message(action, ""))} <= set(KINDS)
    assert set(KINDS) - DEFAULT == {"speech", "line"}
    assert set(KINDS) >= VITAL
