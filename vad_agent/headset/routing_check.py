"""What the sound server's graph says about a headset's routing: roles, virtual microphone, softphone.

Pure: it reads a `SoundGraph`. What arrives is measured in `diagnostics`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vad_agent.audio.devices import Device
from vad_agent.audio.sound_graph import Endpoint, SoundGraph, Stream
from vad_agent.headset.device_selection import SelectedDevices

SETUP = "vad-agent setup"


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one test."""

    path: str
    good: bool | None
    """None: it cannot be determined now."""
    text: str
    fix: str | None = None
    """What to do about it."""

    @property
    def mark(self) -> str:
        """For display."""
        return "?" if self.good is None else "✓" if self.good else "✗"


def check_roles(chosen: SelectedDevices, graph: SoundGraph) -> Iterator[Finding]:
    """Test that each device serves its role; one finding for each that does not."""
    prompt = chosen.prompt.name if chosen.prompt is not None else ""
    voices = graph.voices_into(prompt)
    heard = graph.played_by(chosen.client.name)
    if (why := _not_client(chosen, graph, prompt, voices, heard)) is not None:
        yield Finding(_path("client", chosen.client), False, why, f"name what you hear: {SETUP}")
    if (why := _not_operator(chosen.operator, graph, prompt, voices, heard)) is not None:
        yield Finding(_path("operator", chosen.operator), False, why, f"name it: {SETUP}")


def _not_client(
    chosen: SelectedDevices, graph: SoundGraph, prompt: str, voices: Sequence[str], heard: str
) -> str | None:
    client = chosen.client
    if graph.source(client.name) is None:
        return None  # a device that is not the sound server's
    if not heard:
        return "a microphone, not what the headset plays" + _swapped(chosen, graph)
    if client.name in voices:
        return "your own voice on its way to the client" + _swapped(chosen, graph)
    if heard == prompt and graph.microphones_of(prompt):
        return "what the client hears, not what you hear"
    return None


def _swapped(chosen: SelectedDevices, graph: SoundGraph) -> str:
    other = graph.played_by(chosen.operator.name)
    return ": it and the operator's device are swapped" if other else ""


def _not_operator(
    operator: Device, graph: SoundGraph, prompt: str, voices: Sequence[str], heard: str
) -> str | None:
    played = graph.played_by(operator.name)
    if not played:
        return None
    if played == prompt:
        return "the virtual microphone itself: phrases would be taken for your voice"
    if played == heard or operator.name not in voices:
        sink = graph.sink(played)
        return f"what {sink.description if sink else played} plays, no microphone"
    return None


def check_virtual_microphone(chosen: SelectedDevices, graph: SoundGraph) -> Iterator[Finding]:
    """Test that a softphone can record what is played to the prompt device, and the voice in it."""
    prompt = chosen.prompt
    if prompt is None:
        text = "there is none: phrases are only shown (cue mode)"
        yield Finding("prompt", False, text, f"make the virtual microphone: {SETUP}")
        return
    if graph.sink(prompt.name) is None:
        return
    path = _path("prompt", prompt)
    microphones = graph.microphones_of(prompt.name)
    if microphones:
        yield Finding(path, True, f"the softphone gets it as «{microphones[0].description}»")
        return
    worn = {chosen.client.plays, chosen.monitor.name if chosen.monitor else ""}
    if prompt.name in worn:
        text = "the phrases go into your own ears, the client hears none"
    else:
        text = "there is no virtual microphone: no softphone gets what is played here"
    yield Finding(path, False, text, f"make the virtual microphone: {SETUP}")


def check_softphone(chosen: SelectedDevices, graph: SoundGraph) -> Iterator[Finding]:
    """Test that the program that records is given the virtual microphone."""
    if chosen.prompt is None or graph.source(chosen.operator.name) is None:
        return
    microphones = graph.microphones_of(chosen.prompt.name)
    if not microphones:
        return
    title = microphones[0].description
    right = [stream for one in microphones for stream in graph.recorders(one.name)]
    wrong = list(wrong_recorders(graph, chosen.client.plays, microphones))
    if right:
        wrong = [stream for stream in wrong if graph.also_plays(stream)]
    for stream in wrong:
        source = graph.source(stream.device)
        text = f"it records «{source.description if source else stream.device}»"
        fix = f"choose «{title}» as its microphone, or in a call: {SETUP}"
        yield Finding(
            f"softphone: {stream.application}", False, f"{text}: no phrase reaches the client", fix
        )
    for stream in right:
        yield Finding(f"softphone: {stream.application}", True, f"it records «{title}»")
    if not right and not wrong:
        text = f"no program records now: check again in a call, with «{title}» as its microphone"
        if graph.default_source in {one.name for one in microphones}:
            text += ", which is the default"
        yield Finding("softphone", None, text)


def wrong_recorders(
    graph: SoundGraph, sink: str, microphones: Sequence[Endpoint]
) -> Iterator[Stream]:
    """Programs that record a real microphone, or play into the headset's sink and record elsewhere."""
    right = {one.name for one in microphones}
    telephones = {one.pid for one in graph.playing if one.device == sink and one.pid is not None}
    for source in graph.sources:
        if source.name in right:
            continue
        for stream in graph.recorders(source.name):
            if not graph.played_by(source.name) or stream.pid in telephones:
                yield stream


def _path(role: str, device: Device) -> str:
    return f"{role}: {device.title}"
