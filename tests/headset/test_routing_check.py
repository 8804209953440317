"""What the check says of a headset's routing, from the sound server's graph."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.audio.test_sound_graph import graph
from vad_agent.audio.devices import Device
from vad_agent.audio.sound_graph import SoundGraph, Stream
from vad_agent.headset.device_selection import SelectedDevices
from vad_agent.headset.routing_check import (
    Finding,
    check_roles,
    check_softphone,
    check_virtual_microphone,
)


def device(name: str, plays: str = "", *, output: bool = False) -> Device:
    inputs, outputs = (0, 1) if output else (1, 0)
    return Device(
        name, "pulse", "PulseAudio", None, inputs, outputs, 48_000, bool(plays), False, name, plays
    )


HEADSET = device("jabra.monitor", "jabra")
MIC = device("jabra_mic")
PHRASES = device("virtmic", output=True)
RIGHT = SelectedDevices(operator=MIC, client=HEADSET, prompt=PHRASES, monitor=None)


def roles(chosen: SelectedDevices, whole: SoundGraph | None = None) -> list[str]:
    found = list(check_roles(chosen, whole or graph()))
    assert all(one.good is False and one.fix for one in found)
    return [f"{one.path}: {one.text}" for one in found]


def only(findings: list[Finding]) -> Finding:
    (found,) = findings
    return found


def test_right_roles_are_not_spoken_of() -> None:
    assert roles(RIGHT) == []


def test_swapped_roles_are_told_as_such() -> None:
    swapped = replace(RIGHT, client=MIC, operator=HEADSET)
    assert roles(swapped) == [
        "client: jabra_mic: a microphone, not what the headset plays: it and the operator's device "
        "are swapped",
        "operator: jabra.monitor: what Jabra EVOLVE 20 plays, no microphone",
    ]


def test_what_the_client_hears_is_not_the_client_nor_the_operator() -> None:
    end = device("vmic", "virtmic.monitor")
    assert "what the client hears" in roles(replace(RIGHT, client=end))[0]
    assert "the virtual microphone itself" in roles(replace(RIGHT, operator=end))[0]


def test_the_monitor_that_is_looped_into_the_call_is_a_microphone() -> None:
    """A virtual cable in place of a microphone."""
    voice = Stream(2, "speakers.monitor", "a loopback", None, 22)
    chosen = replace(RIGHT, operator=device("speakers.monitor", "speakers"))
    assert roles(chosen, graph(recording=(voice,))) == []
    assert roles(chosen) != []


def test_devices_that_are_not_the_servers_are_not_judged() -> None:
    assert roles(replace(RIGHT, client=device("CABLE Output"))) == []


@pytest.mark.parametrize(
    ("prompt", "good", "text"),
    [
        (PHRASES, True, "the softphone gets it as «vad-agent microphone»"),
        (device("jabra", output=True), False, "your own ears, the client hears none"),
        (device("speakers", output=True), False, "there is no virtual microphone"),
        (None, False, "there is none: phrases are only shown"),
    ],
)
def test_the_prompt_device_is_one_that_a_softphone_can_record(
    prompt: Device | None, good: bool, text: str
) -> None:
    found = only(list(check_virtual_microphone(replace(RIGHT, prompt=prompt), graph())))
    assert found.good is good
    assert text in found.text
    assert (found.fix or "").endswith("vad-agent setup") is not good


def softphone(*streams: Stream, **more: object) -> list[Finding]:
    return list(check_softphone(RIGHT, graph(recording=streams, **more)))


def test_a_program_that_records_the_real_microphone_is_named_with_the_remedy() -> None:
    found = only(softphone(Stream(3, "mic", "Zoiper", 77, 6)))
    assert (found.path, found.good) == ("softphone: Zoiper", False)
    assert "it records «Built-in Microphone»" in found.text
    assert "choose «vad-agent microphone»" in (found.fix or "")


def test_a_program_that_plays_into_the_headset_and_records_a_monitor_is_named() -> None:
    phone = Stream(3, "speakers.monitor", "Zoiper", 77, 6)
    playing = (Stream(4, "jabra", "Zoiper", 77, 6),)
    assert only(softphone(phone, playing=playing)).good is False
    assert only(softphone(phone)).good is None  # it may record anything


def test_beside_the_right_softphone_a_mere_recorder_does_not_matter() -> None:
    right, recorder = Stream(3, "vmic", "Zoiper", 77, 6), Stream(4, "mic", "OBS", 78, 6)
    found = only(softphone(right, recorder))
    assert (found.path, found.good) == ("softphone: Zoiper", True)


def test_where_nobody_records_nothing_is_claimed() -> None:
    found = only(softphone())
    assert (found.good, found.mark) == (None, "?")
    assert "check again in a call" in found.text
    assert "which is the default" in only(softphone(default_source="vmic")).text
