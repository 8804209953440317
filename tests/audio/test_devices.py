"""Which device is meant: lists of devices, names, roles."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from tests.headset.audio_server import AudioServer
from vad_agent.audio import device_list_worker
from vad_agent.audio import devices as devices_module
from vad_agent.audio.device_list_worker import no_portaudio, portaudio_devices
from vad_agent.audio.devices import (
    Device,
    DeviceRole,
    find_device,
    from_record,
    list_devices,
    no_client,
)
from vad_agent.audio.wasapi_loopback import as_devices
from vad_agent.errors import DeviceError, install_extra

CLIENT, OPERATOR, PROMPT, MONITOR = (
    DeviceRole.CLIENT,
    DeviceRole.OPERATOR,
    DeviceRole.PROMPT,
    DeviceRole.MONITOR,
)


def device(name: str, way: str, host: str = "PulseAudio", **fields: Any) -> Device:
    """`way`: in, out, both. `plays`: it is a loopback."""
    values: dict[str, Any] = {
        "backend": "pulse" if host == "PulseAudio" else "portaudio",
        "index": None,
        "inputs": int(way != "out"),
        "outputs": int(way != "in"),
        "rate": 48_000,
        "loopback": "plays" in fields,
        "default": False,
    }
    return Device(name=name, host=host, **(values | fields))


def sink(name: str, **fields: Any) -> list[Device]:
    """A sink of the sound server and its monitor."""
    about = fields.pop("description", "")
    monitor = f"Monitor of {about}" if about else ""
    return [
        device(f"{name}.monitor", "in", plays=name, description=monitor, **fields),
        device(name, "out", description=about, **fields),
    ]


JABRA = "alsa_output.usb-Jabra_Link_380.analog-stereo"
LINUX = [
    *sink(JABRA, default=True, description="Jabra Link 380"),
    device(
        "alsa_input.usb-Jabra_Link_380.mono", "in", default=True, description="Jabra Link 380 Mono"
    ),
    *sink("virtmic"),
    device("vmic", "in", plays="virtmic.monitor"),
    *sink("hdmi", description="Monitor on the desk"),
    device("Jabra Link 380: USB Audio (hw:1,0)", "both", "ALSA", index=4),
]
WINDOWS = [
    device("Headset (Jabra Link 380)", "in", "MME", index=1, default=True),
    device("Headset (Jabra Link 380)", "out", "MME", index=3, default=True),
    device("Headset (Jabra Link 380)", "in", "Windows WASAPI", index=9, default=True),
    device("Headset (Jabra Link 380)", "out", "Windows WASAPI", index=8, default=True),
    device("CABLE Output (VB-Audio Virtual Cable)", "in", "Windows WASAPI", index=10),
    device("CABLE Input (VB-Audio Virtual Cable)", "out", "Windows WASAPI", index=7),
]


def found(wanted: str | None, role: DeviceRole, devices: Sequence[Device]) -> str:
    return find_device(wanted, role, devices).label


def refusal(wanted: str | None, role: DeviceRole, devices: Sequence[Device]) -> str:
    with pytest.raises(DeviceError) as caught:
        find_device(wanted, role, devices)
    text = str(caught.value)
    assert "\n" not in text
    return text


# -- roles ------------------------------------------------------------------------------------------


def test_what_is_played_is_for_the_client_what_a_microphone_hears_for_the_operator() -> None:
    assert {one.name: set(one.roles) for one in LINUX} == {
        f"{JABRA}.monitor": {CLIENT},
        JABRA: {PROMPT, MONITOR},
        "alsa_input.usb-Jabra_Link_380.mono": {OPERATOR},
        "virtmic.monitor": {CLIENT},
        "virtmic": {PROMPT, MONITOR},
        "vmic": {CLIENT},
        "hdmi.monitor": {CLIENT},
        "hdmi": {PROMPT, MONITOR},
        "Jabra Link 380: USB Audio (hw:1,0)": {OPERATOR, PROMPT, MONITOR},
    }


@pytest.mark.parametrize("name", ["BlackHole 2ch", "CABLE Output (VB-Audio)", "Stereo Mix"])
def test_a_cable_is_no_microphone(name: str) -> None:
    assert device(name, "in", "Core Audio").roles == {CLIENT}


# -- by name ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "role", "name"),
    [
        ("virtmic", PROMPT, "virtmic"),
        ("virtmic.monitor", CLIENT, "virtmic.monitor"),
        ("VirtMic", PROMPT, "virtmic"),
        (" virtmic ", PROMPT, "virtmic"),
        ("virtmic, PulseAudio", PROMPT, "virtmic"),
        ("vmic", CLIENT, "vmic"),
        ("virtmic.monitor", OPERATOR, "virtmic.monitor"),  # named outright: as in a test set-up
    ],
)
def test_a_whole_name_is_taken(wanted: str, role: DeviceRole, name: str) -> None:
    assert find_device(wanted, role, LINUX).name == name


@pytest.mark.parametrize("wanted", ["virtmic", "VIRTMIC"])
def test_a_sink_means_its_monitor_for_the_clients_side(wanted: str) -> None:
    assert found(wanted, CLIENT, LINUX) == "virtmic.monitor, PulseAudio"


def test_a_sink_means_nothing_for_the_operators_side() -> None:
    text = refusal("virtmic", OPERATOR, LINUX)
    assert text.startswith(
        "--operator-device virtmic: virtmic is an output, and an input is needed"
    )


@pytest.mark.parametrize(
    ("role", "name"),
    [
        (CLIENT, f"{JABRA}.monitor"),
        (OPERATOR, "alsa_input.usb-Jabra_Link_380.mono"),
        (PROMPT, JABRA),
    ],
)
def test_a_part_of_the_name_is_enough_and_the_role_chooses(role: DeviceRole, name: str) -> None:
    assert find_device("jabra", role, LINUX).name == name


def test_a_part_of_the_description_is_enough() -> None:
    assert find_device("on the desk", PROMPT, LINUX).name == "hdmi"


def test_a_part_never_makes_a_monitor_the_microphone() -> None:
    text = refusal("irtmic", OPERATOR, LINUX)
    assert "virtmic.monitor gives what is played, no microphone" in text


def test_a_part_may_be_an_input_that_is_not_known_to_be_a_cable() -> None:
    line = device("Line in (USB)", "in", "Core Audio", index=2)
    assert find_device("line in", CLIENT, [line]) is line


def test_what_may_be_several_is_refused_and_they_are_named() -> None:
    text = refusal("monitor", CLIENT, [*sink("one", description="Card one"), *sink("two")])
    assert text == (
        "--client-device monitor: may be any of one.monitor (Monitor of Card one); two.monitor: "
        "write more of the name"
    )


def test_of_many_only_some_are_named() -> None:
    text = refusal("sink", PROMPT, [one for n in range(9) for one in sink(f"sink{n}")])
    assert "sink4 and 4 more:" in text
    assert "sink5" not in text


def test_an_unknown_name_is_answered_with_close_ones() -> None:
    text = refusal("virtmik", PROMPT, LINUX)
    assert text == (
        "--prompt-device virtmik: there is no such output: did you mean virtmic? "
        "see vad-agent devices"
    )


def test_no_name_at_all_is_refused() -> None:
    assert "expected the name of a device" in refusal(" ", CLIENT, LINUX)


def test_the_virtual_microphones_source_is_answered_with_its_sink() -> None:
    assert "did you mean virtmic, whose sound it gives?" in refusal("vmic", PROMPT, LINUX)
    assert "did you mean virtmic, whose" in refusal("virtmic.monitor", PROMPT, LINUX)


# -- by number, by host -----------------------------------------------------------------------------


def test_portaudios_number_is_taken() -> None:
    assert find_device("10", CLIENT, WINDOWS).index == 10


def test_a_number_of_the_wrong_direction_is_refused_with_its_name() -> None:
    text = refusal("7", OPERATOR, WINDOWS)
    assert "CABLE Input (VB-Audio Virtual Cable) is an output, and an input is needed" in text


def test_of_namesakes_in_several_hosts_the_best_hosts_is_taken() -> None:
    assert find_device("Headset (Jabra Link 380)", OPERATOR, WINDOWS).index == 9
    assert find_device("jabra", PROMPT, WINDOWS).index == 8


def test_another_host_can_be_named() -> None:
    assert find_device("Headset (Jabra Link 380), MME", OPERATOR, WINDOWS).index == 1


def test_a_name_that_two_devices_of_one_host_have_is_refused_with_their_numbers() -> None:
    twins = [device("Headset", "in", "Core Audio", index=index) for index in (2, 5)]
    assert "several of this name: 2; 5" in refusal("Headset", OPERATOR, twins)


# -- defaults ---------------------------------------------------------------------------------------


def test_the_defaults_are_the_servers() -> None:
    assert found(None, CLIENT, LINUX) == f"{JABRA}.monitor, PulseAudio"
    assert found(None, OPERATOR, LINUX) == "alsa_input.usb-Jabra_Link_380.mono, PulseAudio"
    assert found(None, PROMPT, LINUX) == f"{JABRA}, PulseAudio"


def test_the_default_is_the_best_hosts() -> None:
    assert find_device(None, OPERATOR, WINDOWS).index == 9


def test_a_monitor_that_is_the_default_source_is_no_microphone() -> None:
    text = refusal(None, OPERATOR, sink("client", default=True))
    assert text.startswith("no microphone is the default here: name one with --operator-device")


def test_a_cable_that_is_the_default_microphone_is_not_taken_for_the_client() -> None:
    cable = replace(WINDOWS[4], default=True)
    assert install_extra("loopback") in no_client("win32")
    refusal(None, CLIENT, [cable])


@pytest.mark.parametrize(
    ("platform", "what"),
    [
        ("linux", "pipewire-pulse"),
        ("win32", 'pip install ".[loopback]" in the checkout'),
        ("darwin", "BlackHole"),
    ],
)
def test_where_the_client_cannot_be_heard_it_is_said_what_to_do(platform: str, what: str) -> None:
    assert what in no_client(platform)
    assert "\n" not in no_client(platform)


# -- PortAudio's list -------------------------------------------------------------------------------

HOSTS = [
    {"name": "ALSA", "default_input_device": 1, "default_output_device": 1},
    {"name": "MME", "default_input_device": -1, "default_output_device": -1},
]


def told(*names: str, host: int = 0) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "hostapi": host,
            "max_input_channels": 2,
            "max_output_channels": 0,
            "default_samplerate": 44_100.0,
        }
        for name in names
    ]


def test_alsas_devices_without_a_clock_are_not_offered() -> None:
    names = told("null", "default", "file", "USB: - (hw:1,0)", "null:x", "samplerate", "pulse")
    alone = portaudio_devices(names, HOSTS, server=False)
    assert [(one.name, one.index, one.default) for one in alone] == [
        ("default", 1, True),
        ("USB: - (hw:1,0)", 3, False),
        ("pulse", 6, False),
    ]


def test_with_a_sound_server_its_own_devices_stand_for_alsas_ways_to_it() -> None:
    names = told("pulse", "default", "USB: - (hw:1,0)")
    assert [one.name for one in portaudio_devices(names, HOSTS, server=True)] == ["USB: - (hw:1,0)"]


def test_other_hosts_names_are_not_judged() -> None:
    assert len(portaudio_devices(told("file", "pulse", host=1), HOSTS, server=True)) == 2


@pytest.mark.parametrize(("platform", "what"), [("linux", "libportaudio2"), ("win32", "pip")])
def test_without_portaudio_it_is_said_what_to_install(platform: str, what: str) -> None:
    assert what in no_portaudio(platform)


# -- SoundCard's ------------------------------------------------------------------------------------


def test_of_soundcards_devices_the_loopbacks_are_taken_by_their_id() -> None:
    microphones = [
        SimpleNamespace(id="{0.0.0}.{a}", name="Headset (Jabra)", channels=2, isloopback=True),
        SimpleNamespace(id="{0.0.1}.{b}", name="Headset (Jabra)", channels=1, isloopback=False),
    ]
    (only,) = as_devices(microphones, "{0.0.0}.{a}")
    assert only.spec() == {
        "backend": "soundcard",
        "name": "Headset (Jabra)",
        "host": "WASAPI loopback",
        "channels": 2,
        "rate": 48_000,
        "index": None,
        "id": "{0.0.0}.{a}",
    }
    assert find_device(None, CLIENT, [*WINDOWS, only]) is only
    assert find_device("jabra", CLIENT, [*WINDOWS, only]) is only


# -- the list itself --------------------------------------------------------------------------------


def test_a_device_is_the_same_after_its_record() -> None:
    assert [from_record(one.record()) for one in LINUX + WINDOWS] == LINUX + WINDOWS


def answer(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    """Let this Python program be what lists the devices."""
    monkeypatch.setattr(devices_module, "COMMAND", [sys.executable, "-c", program])


def test_a_listing_that_fails_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, "raise RuntimeError('the driver\\nis mad')")
    with pytest.raises(DeviceError, match=r"^devices cannot be listed: is mad$"):
        list_devices()


def test_a_listing_that_crashes_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, "import os; os._exit(3)")
    with pytest.raises(DeviceError, match="status 3"):
        list_devices()


def test_a_listing_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, "import time; time.sleep(60)")
    monkeypatch.setattr(devices_module, "LISTING_S", 0.3)
    with pytest.raises(DeviceError, match=r"does not answer within 0\.3 s"):
        list_devices()


def test_a_missing_portaudio_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing() -> list[Device]:
        raise OSError("PortAudio library not found")

    monkeypatch.setattr(device_list_worker, "all_devices", missing)
    device_list_worker.main()
    answer(monkeypatch, f"print({capsys.readouterr().out!r})")
    with pytest.raises(DeviceError, match=r"^PortAudio is not installed: "):
        list_devices()


def test_the_servers_devices_are_listed(
    audio_server: AudioServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HOME", "XDG_RUNTIME_DIR", "PULSE_SERVER"):
        monkeypatch.setenv(name, audio_server.env[name])
    listed = list_devices()
    names = {one.name for one in listed if one.backend == "pulse"}
    assert {"client.monitor", "client", "virtmic", "vmic", "mic.monitor"} <= names
    assert not {"pulse", "default", "null"} & {one.name for one in listed}
    assert found(None, CLIENT, listed) == "client.monitor, PulseAudio"
    assert found("client", CLIENT, listed) == "client.monitor, PulseAudio"
    assert find_device("vmic", CLIENT, listed).plays == "virtmic.monitor"
    assert find_device("virtmic", PROMPT, listed).spec()["rate"] == 48_000
    with pytest.raises(DeviceError):  # the default source is a monitor
        find_device(None, OPERATOR, listed)
