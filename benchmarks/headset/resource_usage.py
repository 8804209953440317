"""What `listen` costs: time from its start to capturing both sides, processor time in a call, memory.

    exec ─> devices listed ─> devices opened ─> first record of both sides   from a probe in its process
    a call of N s ─> processor time and PSS of each of its processes         compared with: parec twice

The probe is a thread that waits for our modules and wraps three of their functions; nothing else
differs from `python -m vad_agent.cli.main`. The sinks are kept awake, because on a desktop the
devices run too.
"""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from tempfile import mkdtemp

import psutil  # type: ignore[import-untyped]

from benchmarks.measure import Figure, Table, ratio
from tests.headset.audio_server import AudioServer
from tests.headset.listen_process import phrases_folder
from tests.headset.source_recording import end, until
from tests.headset.speech import Part, script_audio
from tests.web.panel_client import Following, PanelClient

START_S, CPU_SHARE, PSS_MB = 1, 5, 120
PANEL_SHARE, PANEL_MB = 6, 150
READY_S = 20.0
SETTLE_S = 2.0
BARE_IMPORTS = "import numpy, sounddevice"
BARE = "python with numpy and sounddevice"
PAREC = "parec twice"
KEPT = 20_000
"""Bytes of a terminal's output."""
LINK = re.compile(rb"panel +(http://127[^\s\x1b]+token=[\w-]+)")
POLL_S = 3.0
"""Seconds between two questions of a page for the callbacks."""
PROBE = """
import os, runpy, sys, threading, time
marks = os.open(os.environ.pop("PROBE"), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
told = set()
def tell(what):
    if what not in told:
        told.add(what)
        os.write(marks, f"{what} {time.perf_counter()}\\n".encode())
def before(owner, name, what):
    real = getattr(owner, name)
    def call(self, *given, **named):
        tell(what)
        return real(self, *given, **named)
    setattr(owner, name, call)
def heard(owner):
    real = owner.take
    def take(self, *given):
        events = real(self, *given)
        if all(side.converter is not None for side in self.sides):
            tell("opened")
        if all(side.state.value == "open" for side in self.sides):
            tell("heard")
            owner.take = real
        return events
    owner.take = take
def wrap():
    wanted = {
        "vad_agent.audio.duplex_capture": ("DuplexCapture", heard),
        "vad_agent.headset.composition": ("Composition", lambda owner: before(owner, "start", "devices")),
    }
    tell("python")
    while wanted:
        for module in tuple(wanted):
            name, wrapped = wanted[module]
            if (owner := getattr(sys.modules.get(module), name, None)) is not None:
                wrapped(owner)
                del wanted[module]
        time.sleep(0.002)
threading.Thread(target=wrap, daemon=True).start()
runpy.run_module("vad_agent.cli.main", run_name="__main__", alter_sys=True)
"""
"""Writes each event and its time (perf_counter: the same clock in all processes of Linux)."""

STEPS = {
    "python": "the interpreter runs",
    "devices": "imported, devices listed, parts made",
    "opened": "both devices opened",
    "heard": "listening: the first sound of both sides",
}


class Listen:
    """One `vad-agent listen`, as an operator starts it. `drawn`: on a terminal, else with --plain;
    `panel`: with the operator's page, which is drawn too.
    """

    def __init__(self, server: AudioServer, *, drawn: bool = False, panel: bool = False) -> None:
        self.folder = Path(mkdtemp(prefix="listen-", dir=server.directory))
        self.trace = self.folder / "trace.jsonl"
        self._socket = self.folder / "events.sock"
        self._marks = self.folder / "marks"
        self._log = self.folder / "listen.log"
        devices = ("client=client.monitor", "operator=mic.monitor", "prompt=virtmic")
        arguments = ["listen"]
        for device in devices:
            role, name = device.split("=")
            arguments.append(f"--{role}-device={name}")
        arguments += ["--calls=manual", f"--trace={self.trace}", f"--events={self._socket}"]
        if panel:
            arguments += ["--panel", "--panel-port=0"]
        env = {"XDG_CACHE_HOME": str(phrases_folder()), "PROBE": str(self._marks)}
        env |= {"PYTHONUTF8": "1", "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30"}
        command = [sys.executable, "-c", PROBE, *arguments]
        self._said = b""
        if drawn or panel:
            self._terminal, theirs = pty.openpty()
            self.began = time.perf_counter()
            self.process = server.popen(command, env, stdin=theirs, stdout=theirs, stderr=theirs)
            os.close(theirs)
            threading.Thread(target=self._drain, daemon=True).start()
        else:
            with self._log.open("wb") as log:
                self.began = time.perf_counter()
                self.process = server.popen([*command, "--plain"], env, stdout=log, stderr=log)

    def _drain(self) -> None:
        with contextlib.suppress(OSError):
            while said := os.read(self._terminal, 65_536):
                if len(self._said) < KEPT:
                    self._said += said

    def link(self) -> str:
        """The panel's, once it is printed."""
        until(lambda: LINK.search(self._said), READY_S, "the panel's link")
        found = LINK.search(self._said)
        assert found is not None
        return found[1].decode()

    def steps(self) -> dict[str, float]:
        """Seconds from the start to each step, when all are done."""

        def told() -> dict[str, float]:
            text = self._marks.read_text("ascii") if self._marks.exists() else ""
            return {what: float(at) for what, at in (line.split() for line in text.splitlines())}

        def over() -> bool:
            return self.process.poll() is not None or told().keys() >= STEPS.keys()

        until(over, READY_S, "the first sound of both sides")
        if self.process.poll() is not None:
            raise ChildProcessError(f"listen ended: {self._log.read_text('utf-8')[-800:]}")
        return {what: at - self.began for what, at in told().items()}

    def start_call(self) -> None:
        """Start a call through the socket, and wait for the answer."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as inlet:
            inlet.settimeout(5)
            inlet.connect(str(self._socket))
            inlet.sendall(b'{"command": "start_call"}\n')
            answer = inlet.recv(4096)
        if json.loads(answer) != {"ok": True}:
            raise ChildProcessError(f"start_call: {answer!r}")

    def count(self, kind: str, **fields: object) -> int:
        """Number of matching lines in the trace."""
        lines = [json.loads(line) for line in self.trace.read_bytes().split(b"\n")[:-1]]
        wanted = {"kind": kind, **fields}
        return sum(1 for line in lines if all(line.get(k) == v for k, v in wanted.items()))

    def close(self) -> None:
        """Ctrl-C."""
        if self.process.poll() is None:
            self.process.send_signal(2)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(10)
        end(self.process)


# -- resource use
# ------------------------------------------------------------------------------------


def _role(process: psutil.Process) -> str:
    words = process.cmdline()
    for module in ("capture_worker", "playback_worker"):
        if any(module in word for word in words):
            return f"{module.removesuffix('_worker')}, {json.loads(words[-1])['role']}"
    return "listen itself" if PROBE in words else " ".join(words[:4])


def tree(root: int) -> dict[str, psutil.Process]:
    """A process and all its children, by their purpose."""
    top = psutil.Process(root)
    return {_role(process): process for process in (top, *top.children(recursive=True))}


def seconds_used(processes: Mapping[str, psutil.Process]) -> dict[str, float]:
    """Processor time so far, including that of ended children; not of a process that has ended."""
    found = {}
    for role, process in processes.items():
        with contextlib.suppress(psutil.NoSuchProcess):  # what rendered or listed is done
            found[role] = sum(process.cpu_times()[:4])
    return found


def megabytes(pid: int) -> dict[str, float]:
    """Pss, Rss and the process's private memory, in MB."""
    found = {"Pss": 0.0, "Rss": 0.0, "Private": 0.0}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines()[1:]:
        name, value = line.split()[:2]
        key = "Private" if name.startswith("Private_") else name.rstrip(":")
        if key in found:
            found[key] += int(value) * 1024 / 1e6
    return found


# -- start ----------------------------------------------------------------------------------------


def _start(server: AudioServer, rounds: int) -> Table:
    steps: dict[str, list[float]] = {step: [] for step in STEPS}
    bare: list[float] = []
    for turn in range(-1, rounds):  # the first one compiles changed modules, and is not counted
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", BARE_IMPORTS], env=server.env, check=True)
        bare_s = time.perf_counter() - began
        listen = Listen(server)
        try:
            took = listen.steps()
        finally:
            listen.close()
        if turn < 0:
            continue
        bare.append(bare_s)
        for step in STEPS:
            steps[step].append(took[step])
    figures = [Figure(BARE, median(bare), "s")]
    for step, name in STEPS.items():
        at = median(steps[step])
        last = step == "heard"
        target, met = (f"≤ {START_S} s", at <= START_S) if last else ("", None)
        by = ratio(steps[step], bare) if last else None
        figures.append(Figure(name, at, "s", by, BARE if last else "", target, met))
    figures.append(Figure("listening, longest", max(steps["heard"]), "s"))
    notes = [f"{rounds} starts, from exec, median; phrases rendered before; devices that run"]
    return Table("Start of listen", figures, notes)


# -- a call ---------------------------------------------------------------------------------------


@contextmanager
def _sound(server: AudioServer, seconds: float) -> Iterator[None]:
    """Both parties speak in turns, with pauses."""
    clips: dict[str, list[Part]] = {
        "client": [("speech", "caller_fridge"), ("silence", 5.0)],
        "mic": [("silence", 2.5), ("speech", "man_delivery_time"), ("silence", 3.0)],
    }
    players = []
    for sink, turn in clips.items():
        path = server.directory / f"{sink}.call.wav"
        script_audio([*turn] * max(round(seconds / 5), 1), path, tail_s=0)
        players.append(server.play(path, sink))
    try:
        yield
    finally:
        for player in players:
            end(player)


@contextmanager
def _parecs(server: AudioServer) -> Iterator[list[psutil.Process]]:
    command = ["parec", "--latency-msec=20", "--rate=16000", "--channels=1", "--format=s16le"]
    sources = ("client.monitor", "mic.monitor")
    found = [
        server.popen([*command, f"--device={source}"], stdout=subprocess.DEVNULL)
        for source in sources
    ]
    try:
        yield [psutil.Process(process.pid) for process in found]
    finally:
        for process in found:
            end(process)


@contextmanager
def _page(link: str) -> Iterator[None]:
    """A page that is open: it follows the stream, and asks for the callbacks as a browser does."""
    closed = threading.Event()
    page = PanelClient(link)

    def poll() -> None:
        while not closed.wait(POLL_S):
            page.get("/panel/callbacks")

    polling = threading.Thread(target=poll, daemon=True)
    try:
        with Following(page):
            polling.start()
            yield
    finally:
        closed.set()
        polling.join(READY_S)
        page.client.close()


def _call(
    server: AudioServer, seconds: float, *, drawn: bool = False, panel: bool = False
) -> tuple[dict[str, float], float, float, dict[str, dict[str, float]], str]:
    """Shares of a core by process, of two parec, of the server; memory by process; a summary of events."""
    listen = Listen(server, drawn=drawn, panel=panel)
    try:
        listen.steps()
        time.sleep(SETTLE_S)
        with ExitStack() as stack:
            if panel:
                stack.enter_context(_page(listen.link()))
            parecs = stack.enter_context(_parecs(server))
            stack.enter_context(_sound(server, seconds + 10))
            listen.start_call()
            time.sleep(SETTLE_S)
            others = {f"parec {number}": process for number, process in enumerate(parecs)}
            others["server"] = psutil.Process(server.pid)
            ours = tree(listen.process.pid)
            began, before = time.perf_counter(), seconds_used(ours | others)
            time.sleep(seconds)
            used, took = seconds_used(ours | others), time.perf_counter() - began
            share = {role: (used[role] - before[role]) / took * 100 for role in used}
            memory = {role: megabytes(ours[role].pid) for role in used if role in ours}
        if listen.count("phase", phase="ended"):
            raise RuntimeError("the call ended within the measurement")
        happened = f"{listen.count('prompt')} prompts in the call"
    finally:
        listen.close()
    theirs = sum(share.pop(role) for role in list(share) if role.startswith("parec "))
    return share, theirs, share.pop("server"), memory, happened


def _bare_memory(server: AudioServer) -> dict[str, float]:
    code = f"{BARE_IMPORTS}; print(flush=True); input()"
    process = server.popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    with process.stdout:
        process.stdout.readline()
        found = megabytes(process.pid)
    end(process)
    return found


def _in_a_call(server: AudioServer, call_s: float) -> Sequence[Table]:
    share, parec, daemon, memory, happened = _call(server, call_s, drawn=False)
    drawn, _, _, drawn_memory, _ = _call(server, call_s, drawn=True)
    paged, _, _, paged_memory, _ = _call(server, call_s, panel=True)
    with_page = sum(paged.values())
    all_of_it = sum(share.values())
    unit = "% of a core"
    goal = f"≤ {CPU_SHARE} {unit}"
    cpu = [
        Figure("all processes", all_of_it, unit, all_of_it / parec, PAREC, goal,
               all_of_it <= CPU_SHARE),
        *(Figure(role, used, unit) for role, used in share.items()),
        Figure(f"{PAREC}, beside it", parec, unit),
        Figure("all processes, the screen drawn", sum(drawn.values()), unit,
               sum(drawn.values()) / all_of_it, "with --plain"),
        Figure("listen itself, the screen drawn", drawn["listen itself"], unit),
        Figure("all processes, the panel open in a browser, too", with_page, unit, None, "",
               f"≤ {PANEL_SHARE} {unit}", with_page <= PANEL_SHARE),
        Figure("the audio server, with all that plays and listens", daemon, unit),
    ]  # fmt: skip
    spoken = f"{call_s:g} s of a call, both parties speak part of the time; {happened}"
    bare = _bare_memory(server)

    def all_memory(kind: str, of: Mapping[str, Mapping[str, float]] = memory) -> float:
        return sum(process[kind] for process in of.values())

    pss, own = all_memory("Pss"), megabytes(os.getpid())
    shared = own["Pss"] - own["Private"]
    room = [
        Figure("all processes, PSS", pss, "MB", pss / bare["Pss"], BARE, f"≤ {PSS_MB} MB",
               pss <= PSS_MB),
        *(Figure(f"{role}, PSS", process["Pss"], "MB") for role, process in memory.items()),
        Figure("all processes, private alone", all_memory("Private"), "MB"),
        Figure("all processes, PSS, were this benchmark not there, at most", pss + shared, "MB"),
        Figure("all processes, RSS", all_memory("Rss"), "MB"),
        Figure("all processes, PSS, the screen drawn", all_memory("Pss", drawn_memory), "MB"),
        Figure("all processes, PSS, the panel open, too", all_memory("Pss", paged_memory), "MB",
               None, "", f"≤ {PANEL_MB} MB", all_memory("Pss", paged_memory) <= PANEL_MB),
        Figure(f"{BARE}, PSS", bare["Pss"], "MB"),
        Figure(f"{BARE}, RSS", bare["Rss"], "MB"),
    ]  # fmt: skip
    notes = [
        "at the end of that call. What processes share is divided among them, this benchmark's "
        "own included: it, too, has numpy"
    ]
    return [
        Table("Processors in a call", cpu, [spoken]),
        Table("Memory in a call", room, notes),
    ]


def measure(server: AudioServer, *, rounds: int = 10, call_s: float = 30) -> Sequence[Table]:
    """Measure start, processor time, memory."""
    phrases_folder()
    server.keep_awake("client", "mic", "virtmic")
    return [_start(server, rounds), *_in_a_call(server, call_s)]
