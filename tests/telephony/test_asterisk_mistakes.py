"""What an engineer does by mistake at a real Asterisk, and what they are told."""

from __future__ import annotations

import logging
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.headset.softphone import free_port
from tests.headset.source_recording import until
from tests.telephony.asterisk import Asterisk
from tests.telephony.centre import Pbx
from tests.telephony.test_asterisk_setup import check, vad_agent
from vad_agent.callbacks.dialers.ari_events import AriEvents
from vad_agent.callbacks.outbox import Outbox
from vad_agent.telephony.asterisk_control import AsteriskControl


def pbx_of(asterisk: Asterisk, folder: Path, *, ami: bool = False) -> Pbx:
    """In cue mode, which needs no phrases."""
    port = free_port(socket.SOCK_STREAM)
    control = [f"--ari={asterisk.url}", "--ari-user=desk"]
    if ami:
        control = [f"--ami=127.0.0.1:{asterisk.ami_port}", "--ami-user=desk"]
    pbx = Pbx(folder, port, *control, "--mode=cue")
    pbx.ready = "call control is connected"
    return pbx


def make_event(asterisk: Asterisk, *, end: bool = True) -> None:
    """A channel that begins and, if asked for, ends."""
    made = asterisk.ari(
        *("POST", "/channels"), endpoint="Local/s@echo", context="echo", extension="s", priority="1"
    )
    assert made.is_success, made.text
    if end:
        asterisk.command("channel request hangup all")


def leave_devices(asterisk: Asterisk) -> None:
    """As `AsteriskControl` does: else Asterisk may deadlock when the connection closes."""
    path = "/applications/vad-agent-media/subscription"
    assert asterisk.ari("DELETE", path, eventSource="deviceState:").is_success


def went_on(asterisk: Asterisk) -> str:
    """What a client's channel of [tapped] did after the line that begins the tap."""
    asterisk.command("dialplan set global WENT_ON no")
    made = asterisk.ari(
        *("POST", "/channels"),
        endpoint="Local/s@echo",
        context="tapped",
        extension="s",
        priority="1",
    )
    assert made.is_success, made.text

    def told() -> str:
        value = asterisk.ari("GET", "/asterisk/variable", variable="WENT_ON").json()["value"]
        return "" if value == "no" else str(value)

    until(told, 5, "the channel")
    asterisk.command("channel request hangup all")
    return told()


def test_a_second_process_that_cannot_listen_leaves_the_first_one_its_events(
    asterisk: Asterisk, tmp_path: Path
) -> None:
    pbx = pbx_of(asterisk, tmp_path)
    try:
        pbx.start(VAD_AGENT_ASTERISK_PASSWORD=asterisk.password)
        second = vad_agent(
            f"--listen=127.0.0.1:{pbx.port}",
            f"--ari={asterisk.url}",
            *("--ari-user=desk", "--mode=cue", f"--outbox={tmp_path / 'second'}"),
            password=asterisk.password,
        )
        assert second.returncode == 1
        assert "cannot listen there" in second.stderr
        assert "call control is connected" not in second.stderr
        assert "another program" not in pbx.log
    finally:
        pbx.stop()


def test_whose_ari_application_is_taken_says_so_and_comes_back(
    asterisk: Asterisk, caplog: pytest.LogCaptureFixture
) -> None:
    def events(found: list[Mapping[str, Any]], pauses_s: tuple[float, ...]) -> AriEvents:
        auth = "desk", asterisk.password
        return AriEvents(
            f"{asterisk.url}/ari",
            "vad-agent-media",
            auth,
            opened=lambda: leave_devices(asterisk),
            event=found.append,
            tick=lambda: None,
            pauses_s=pauses_s,
            all_channels=True,
        )

    told: list[Mapping[str, Any]] = []
    told_other: list[Mapping[str, Any]] = []
    one, other = events(told, (0.1, 3.0)), events(told_other, (60.0,))
    try:
        one.start()
        assert one.wait(5)
        other.start()
        assert other.wait(5)
        until(lambda: not one.connected, 5, "the loss of the application")
        (line,) = [record for record in caplog.records if record.levelno == logging.ERROR]
        assert line.message.startswith("another program gets the events of this ARI application")
        assert vars(line)["app"] == "vad-agent-media"
        told.clear()
        make_event(asterisk)
        until(lambda: told_other != [], 5, "an event for the other program")
        assert told == []
        other.close()
        assert one.wait(10)
        make_event(asterisk)
        until(lambda: told != [], 5, "an event")
    finally:
        one.close()
        other.close()


@pytest.mark.parametrize("ami", [False, True], ids=["ari", "ami"])
def test_the_check_beside_a_running_process_makes_no_call_there(
    asterisk: Asterisk, tmp_path: Path, ami: bool
) -> None:
    pbx = pbx_of(asterisk, tmp_path, ami=ami)
    password = asterisk.password
    try:
        pbx.start(VAD_AGENT_ASTERISK_PASSWORD=password, VAD_AGENT_AMI_SECRET=password)
        status, lines = check(asterisk, ami=ami, port=pbx.port)
        assert status == 0, lines
        assert any(line.startswith("✓ [vad-tap]: it is there; a program") for line in lines)
    finally:
        pbx.stop()  # a call would end with it, with its callback
    assert pbx.trace() == []
    assert Outbox(tmp_path / "outbox").waiting() == []


def test_calls_go_on_where_the_tap_or_the_function_that_finds_it_is_missing(
    asterisk: Asterisk,
) -> None:
    assert UUID(went_on(asterisk).removeprefix("with "))
    asterisk.command("dialplan remove context vad-tap")
    assert went_on(asterisk) == "with "
    asterisk.command("dialplan reload")
    asterisk.command("module unload func_dialplan.so")
    try:
        assert went_on(asterisk) == "with "
    finally:
        asterisk.command("module load func_dialplan.so")
    assert UUID(went_on(asterisk).removeprefix("with "))


@pytest.mark.parametrize(
    ("path", "password", "why"),
    [
        ("", "another-one", "HTTP 401: the user or the password of ARI is wrong (ari.conf)"),
        ("/nothing", "", "HTTP 404: ARI is off, or its configuration is not loaded"),
        (":1", "", "nothing answers there: is HTTP on"),
    ],
    ids=["password", "off", "closed"],
)
def test_why_ari_gives_no_events_is_said_with_its_address_and_without_a_secret(
    asterisk: Asterisk, caplog: pytest.LogCaptureFixture, path: str, password: str, why: str
) -> None:
    url = "http://127.0.0.1:1/ari" if path == ":1" else f"{asterisk.url}{path}/ari"
    ignored = {"opened": lambda: None, "event": lambda event: None, "tick": lambda: None}
    events = AriEvents(url, "app", ("desk", password or asterisk.password), **ignored)
    events.start()
    try:
        until(lambda: caplog.records, 5, "the line")
    finally:
        events.close()
    (line, *_) = caplog.records
    assert line.message == "no connection for Asterisk's events, trying again"
    assert vars(line)["url"] == url
    assert vars(line)["why"].startswith(why)
    assert (password or asterisk.password) not in str(vars(line))


def test_a_connection_that_closes_while_much_happens_keeps_nobody_from_connecting(
    asterisk: Asterisk,
) -> None:
    """Asterisk's issue 2170: it took one to ten rounds, beside another connection, in most runs."""

    def connect(app: str) -> AsteriskControl:
        auth = "desk", asterisk.password
        control = AsteriskControl(asterisk.url, auth, lambda found: None, app=app)
        control.start()
        assert control.wait(8), "no connection for events"
        return control

    other = connect("vad-agent-other")
    try:
        for _ in range(10):
            control = connect("vad-agent-rounds")
            for _ in range(3):
                make_event(asterisk, end=False)
            control.close()
            asterisk.command("channel request hangup all")
    finally:
        other.close()
