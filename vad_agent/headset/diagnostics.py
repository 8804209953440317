"""`listen --check`: tests and measures each sound path, and reports what to fix.

client    ─capture─> does sound come? latency, level, exact zeros
operator  ─capture─┬> does sound come?
                   └> is it in the virtual microphone, too?
prompt    ─chirp──> player ─> device ─> virtual microphone ─capture─> is it heard there?
                                     └> client's side ──────capture─> and not in the own ears?
graph     ────────> `routing_check`: roles, virtual microphone, softphone
phrases   ────────> is each one rendered?
"""

from __future__ import annotations

import math
import queue
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from rich.console import Console
from rich.text import Text

from vad_agent.audio.device_recovery import Lost
from vad_agent.audio.devices import Device, DeviceRole, list_devices
from vad_agent.audio.sound_graph import SoundGraph, read_graph
from vad_agent.core.frames import Channel
from vad_agent.errors import VoiceError
from vad_agent.headset.device_selection import SelectedDevices, select_devices
from vad_agent.headset.options import Options
from vad_agent.headset.routing_check import (
    SETUP,
    Finding,
    check_roles,
    check_softphone,
    check_virtual_microphone,
)
from vad_agent.headset.sound_probe import OPEN_S, CaptureProbe, DeviceReport, chirp, delays, follows
from vad_agent.script.settings import Settings
from vad_agent.speech.mixer import Mark
from vad_agent.speech.player import PHRASE_HZ, Player
from vad_agent.speech.prompt_library import PromptLibrary

LISTEN_S = 2.0
CHIRPS = 5
CHIRP_EVERY_S = 0.4
FOLLOWS = 0.2
"""Share of the operator's sound from which it counts as present; by chance 0.01 is found in other noise."""


def check_all(options: Options, console: Console, *, shown: bool = False) -> bool:
    """Print the findings. True: no problems. `shown`: cue mode was asked for, no phrase is played.

    Raises:
        DeviceError: a device is missing or ambiguous; no sound server answers.
        SettingsError: the script is not valid.
    """
    settings = Settings() if options.script is None else Settings.load(options.script)
    graph = read_graph() if sys.platform == "linux" else None
    devices = list_devices()
    chosen = select_devices(options, devices)
    good = True
    for finding in findings(chosen, devices, graph, settings, shown=shown):
        good = good and finding.good is not False
        show(finding, console)
    return good


def show(finding: Finding, console: Console) -> None:
    """Print a finding in one line."""
    style = {True: "green", False: "bold red", None: "yellow"}[finding.good]
    fix = f": {finding.fix}" if finding.fix else ""
    line = f"{finding.mark} {finding.path}: {finding.text}{fix}"
    console.print(Text(line, style), soft_wrap=True)


def findings(
    chosen: SelectedDevices,
    devices: Sequence[Device],
    graph: SoundGraph | None,
    settings: Settings,
    *,
    shown: bool = False,
) -> Iterator[Finding]:
    """All tests, in order. `graph`: None if the system has no such sound server."""
    if graph is not None:
        yield Finding("sound server", True, graph.server)
        yield from check_roles(chosen, graph)
        if not shown:
            yield from check_virtual_microphone(chosen, graph)
    yield from _measured(chosen, devices, graph)
    if chosen.prompt is not None:
        if graph is not None:
            yield from check_softphone(chosen, graph)
        yield from check_phrases(settings)


def _measured(
    chosen: SelectedDevices, devices: Sequence[Device], graph: SoundGraph | None
) -> Iterator[Finding]:
    """Test the devices by capturing all of them at the same time."""
    end = _client_end(chosen.prompt, devices, graph) if chosen.prompt is not None else None
    with ExitStack() as stack:

        def probe(device: Device, role: str) -> CaptureProbe:
            opened = CaptureProbe(device, role)
            stack.callback(opened.close)
            return opened

        client = probe(chosen.client, "client")
        operator = probe(chosen.operator, "operator")
        far = probe(end, "check") if end is not None else None
        probes = [one for one in (client, operator, far) if one is not None]
        with ThreadPoolExecutor(len(probes)) as pool:
            list(pool.map(lambda one: one.listen(LISTEN_S), probes))
        yield from check_side(Channel.CLIENT, chosen.client, client)
        yield from check_side(Channel.OPERATOR, chosen.operator, operator)
        if chosen.prompt is not None:
            yield from check_prompt(chosen.prompt, end, far, client)
        if graph is not None and end is not None and far is not None:
            operator.listen(CHIRP_EVERY_S)  # what it captured meanwhile, too
            yield check_voice(end, operator, far)


def _client_end(
    prompt: Device, devices: Sequence[Device], graph: SoundGraph | None
) -> Device | None:
    """The device that carries what the client hears: the virtual microphone, else the output's monitor.

    None: there is none.
    """
    inputs = {device.name: device for device in devices if device.inputs}
    if graph is not None:
        for source in graph.microphones_of(prompt.name):
            if source.name in inputs:
                return inputs[source.name]
    return next((one for one in inputs.values() if one.plays == prompt.name), None)


def check_side(channel: Channel, device: Device, probe: CaptureProbe) -> Iterator[Finding]:
    """Test that this side's sound arrives."""
    path = f"{channel.value}: {device.title}"
    if probe.opened is None or not probe.frames or probe.first_s is None:
        yield Finding(path, False, probe.why, _no_sound(channel))
        return
    text = (
        f"{probe.opened.rate} Hz, first sound after {probe.first_s:.1f} s, "
        f"a frame comes {probe.lag_s * 1000:.0f} ms after its beginning"
    )
    yield Finding(path, True, text)
    yield _loudness(path, channel, probe.level_db())


def _no_sound(channel: Channel) -> str:
    if channel is Channel.CLIENT:
        return "name another device: vad-agent devices shows how to get the client's side"
    return "name another device: vad-agent devices lists the microphones"


def _loudness(path: str, channel: Channel, level: float) -> Finding:
    if level == -math.inf:
        if channel is Channel.CLIENT:
            return Finding(path, True, "exactly zero: nothing plays; right where no call is on")
        fix = "unmute it, on the headset too; allow this program the microphone"
        return Finding(path, False, "exactly zero: the microphone is muted, or not permitted", fix)
    return Finding(path, True, f"level {level:.0f} dBFS")


def check_voice(end: Device, operator: CaptureProbe, far: CaptureProbe) -> Finding:
    """Test that the operator's sound is in what the client hears."""
    path = f"your voice: {end.title}"
    if operator.level_db() == -math.inf:
        return Finding(path, None, "not measured: the microphone gives nothing")
    share, delay = follows(operator, far)
    if share >= FOLLOWS:
        return Finding(
            path, True, f"the client hears you, {delay * 1000:+.0f} ms after the capture"
        )
    text = "the client hears phrases, but not you"
    return Finding(path, False, text, f"put your voice in: {SETUP}")


def check_prompt(
    device: Device, end: Device | None, far: CaptureProbe | None, client: CaptureProbe
) -> Iterator[Finding]:
    """Test that prompts can be played, are heard at the client's end (`far` captures `end`), and not
    in the operator's own ears; measure the latency.
    """
    path = f"prompt: {device.title}"
    reports: queue.SimpleQueue[DeviceReport] = queue.SimpleQueue()
    player = Player(device, DeviceRole.PROMPT, reports.put)
    try:
        try:
            what = reports.get(timeout=OPEN_S)
        except queue.Empty:
            what = Lost("it does not open", first=True)
        if isinstance(what, Lost):
            fix = "name another device: vad-agent devices lists them"
            yield Finding(path, False, what.why, fix)
            return
        player.take(what)
        asked, left = [], []
        for _ in range(CHIRPS):
            asked.append(time.perf_counter())
            number = player.play(chirp(PHRASE_HZ))
            if number is None:
                yield Finding(path, False, "it was open and is gone", "plug it in, try again")
                return
            left.append(_started(player, reports, number))
            (far or client).listen(CHIRP_EVERY_S)
        client.listen(CHIRP_EVERY_S)  # what it captured meanwhile, too
        ways = sorted((at or math.inf) - when for at, when in zip(left, asked, strict=True))
        if math.isinf(ways[-1]):
            yield Finding(path, False, "a phrase did not begin", "name another device")
            return
        text = f"{ways[len(ways) // 2] * 1000:.0f} ms until a phrase's first sample leaves"
        yield Finding(path, True, text + f", at most {ways[-1] * 1000:.0f}")
        moments = [at for at in left if at is not None]
        if len(delays(client, moments)) > len(moments) // 2:
            text = "the phrases are heard in your own ears, on the client's side"
            yield Finding(path, False, text, f"play them into the virtual microphone: {SETUP}")
        if end is not None and far is not None:
            yield _round_trip(path, end, far, moments)
    finally:
        player.close()


def _started(player: Player, reports: queue.SimpleQueue[DeviceReport], number: int) -> float | None:
    until = time.perf_counter() + 1.0
    while (rest := until - time.perf_counter()) > 0:
        try:
            report = player.take(reports.get(timeout=rest))
        except queue.Empty:
            break
        if report is not None and report.phrase == number and report.mark is Mark.STARTED:
            return report.at
    return None


def _round_trip(path: str, end: Device, far: CaptureProbe, left: list[float]) -> Finding:
    """Test that the chirps were heard, and at the time that the driver reported."""
    where = f"«{end.title}»"
    if not far.frames:
        return Finding(path, False, f"{where} gives no sound: {far.why}", SETUP)
    offs = sorted(delays(far, left))
    if len(offs) < len(left) - 1:
        text = f"{len(offs)} of {len(left)} test sounds were heard at {where}"
        return Finding(path, False, text, "is it muted, or its volume at 0? is it really this one?")
    off = offs[len(offs) // 2]
    return Finding(path, True, f"heard at {where}, {off * 1000:+.0f} ms from the reported time")


def check_phrases(settings: Settings) -> Iterator[Finding]:
    """Test that each phrase is rendered; nothing is rendered here."""
    phrases = PromptLibrary(settings)
    try:
        wanted, absent, problem = 0, [], ""
        for prompt, text in phrases.texts():
            wanted += 1
            try:
                if phrases.stored(prompt, text) is None:
                    absent.append(prompt)
            except VoiceError as error:
                absent.append(prompt)
                problem = problem or f": {error}"
    finally:
        phrases.close()
    if not absent:
        yield Finding("phrases", True, f"{wanted} of {wanted} rendered")
        return
    text = f"{len(absent)} of {wanted} are not rendered{problem}"
    yield Finding("phrases", False, text, "vad-agent prompts render, or vad-agent setup")
