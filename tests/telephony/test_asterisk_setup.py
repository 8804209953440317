"""What `pbx setup asterisk` prints and `pbx check` finds, on a real Asterisk."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from socket import SOCK_STREAM
from typing import Any

import pytest

from tests.headset.audio_server import AudioServer
from tests.headset.listen_process import settle
from tests.headset.softphone import PhoneCall, free_port
from tests.headset.speech import script_audio
from tests.telephony.asterisk import Asterisk
from vad_agent.telephony.asterisk_setup import faults, parse_version


def vad_agent(*arguments: str, password: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "vad_agent.cli.main", "pbx", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ
        | {"VAD_AGENT_ASTERISK_PASSWORD": password, "VAD_AGENT_AMI_SECRET": password}
        | {"COLUMNS": "200"},
    )


def check(
    asterisk: Asterisk,
    password: str | None = None,
    *,
    phone: str = "",
    ami: bool = False,
    port: int | None = None,
    processes: int = 1,
) -> tuple[int, list[str]]:
    told = asterisk.password if password is None else password
    user = (f"--ari={asterisk.url}", "--ari-user=desk")
    if ami:
        user = (f"--ami=127.0.0.1:{asterisk.ami_port}", "--ami-user=desk")
    listen = f"--listen=127.0.0.1:{port or asterisk.media_port}"
    more = listen, f"--processes={processes}", f"--phone={phone}"
    done = vad_agent("check", *user, *more, password=told)
    assert done.stderr == ""
    return done.returncode, done.stdout.splitlines()


@pytest.mark.parametrize("ami", [False, True], ids=["ari", "ami"])
def test_the_printed_dialplan_passes_the_check(asterisk: Asterisk, ami: bool) -> None:
    status, lines = check(asterisk, ami=ami)
    marks = {line.partition(": ")[0]: line for line in lines}
    assert status == 0, lines
    for path in ("test call", "call control", "hang-up", "hang-up told", "[vad-tap]"):
        assert f"✓ {path}" in marks, lines
    assert ("? modules" if ami else "✓ modules") in marks
    for path in ("the client is heard", "the operator is heard", "the client hears a phrase"):
        told = marks[f"✓ {path}"]
        assert abs(float(told.split()[-2])) < 1.0, told  # dB: no level is halved
    assert marks["? hold"] == "? hold: not tested: with a telephone at hand: --phone PJSIP/101"
    assert not any(line.startswith("✗") for line in lines)
    assert asterisk.command("core show channels count").startswith("0 active channels")


@pytest.mark.parametrize("ami", [False, True], ids=["ari", "ami"])
def test_a_telephone_that_is_put_on_hold_proves_that_hold_is_told(
    centre_server: AudioServer, tmp_path: Path, ami: bool
) -> None:
    wav = script_audio([("silence", 60.0)], tmp_path / "client.wav")
    with PhoneCall(centre_server, wav) as phones:
        phone = phones.operator

        def hold() -> None:
            phone.wait("CALL_ESTABLISHED", limit_s=30)
            for command in ("hold", "resume"):
                settle(1.0)
                phone.command(command)

        person = threading.Thread(target=hold)
        person.start()
        with Asterisk({"operator": phone.sip_port}, 9092) as running:
            status, lines = check(running, phone="PJSIP/operator", ami=ami)
        person.join()
    assert status == 0, lines
    assert lines[-1] == "✓ hold: its beginning and its end are told"


def test_a_telephone_that_nobody_answers_is_named(asterisk: Asterisk) -> None:
    status, lines = check(asterisk, phone="PJSIP/nobody")
    assert status == 1
    assert lines[-1].startswith("✗ hold: answered is not told: does PJSIP/nobody ring?")


def test_what_is_missing_in_the_dialplan_is_named(asterisk: Asterisk) -> None:
    for command, said in (
        ("dialplan remove context vad", "✗ test call: the tap does not connect"),
        ("dialplan remove context vad-check", "✗ test call: the operator's leg does not connect"),
    ):
        asterisk.command(command)
        status, lines = check(asterisk)
        assert status == 1
        assert any(line.startswith(said) for line in lines), lines
        assert "vad-agent pbx setup asterisk" in lines[-1]
    asterisk.command("dialplan reload")


@pytest.mark.parametrize("ami", [False, True], ids=["ari", "ami"])
def test_a_tap_that_is_missing_or_leads_elsewhere_is_named(asterisk: Asterisk, ami: bool) -> None:
    elsewhere = free_port(SOCK_STREAM)
    status, lines = check(asterisk, ami=ami, port=elsewhere)
    assert status == 1
    (line,) = [line for line in lines if line.startswith("✗")]
    assert line.startswith(f"✗ [vad-tap]: its stream does not come to 127.0.0.1:{elsewhere}")
    asterisk.command("dialplan remove context vad-tap")
    try:
        status, lines = check(asterisk, ami=ami)
    finally:
        asterisk.command("dialplan reload")
    assert status == 1
    (line,) = [line for line in lines if line.startswith("✗")]
    assert line.startswith("✗ [vad-tap]: it is missing: no call is tapped: vad-agent pbx setup")


@pytest.mark.parametrize(("processes", "websocket"), [(3, False), (1, True)])
def test_the_tap_of_several_processes_and_by_websocket_is_followed(
    asterisk: Asterisk, processes: int, websocket: bool
) -> None:
    media, socket = (free_port(SOCK_STREAM) for _ in range(2))
    options: dict[str, Any] = {"websocket_port": socket} if websocket else {"processes": processes}
    with Asterisk({}, media, **options) as running:
        port = socket if websocket else media
        status, lines = check(running, port=port, processes=processes)
    assert status == 0, lines
    assert f"✓ [vad-tap]: its stream comes to 127.0.0.1:{port}" in lines


def test_a_module_that_is_not_loaded_is_named(asterisk: Asterisk) -> None:
    asterisk.command("module unload app_chanspy.so")
    try:
        status, lines = check(asterisk)
        assert status == 1
        assert any("app_chanspy is not loaded: it hears both sides" in line for line in lines)
    finally:
        asterisk.command("module load app_chanspy.so")


@pytest.mark.parametrize(
    ("ami", "said"),
    [
        (False, "HTTP 401: the user or the password of ARI is wrong (ari.conf)"),
        (True, "Authentication failed"),
    ],
    ids=["ari", "ami"],
)
def test_a_wrong_password_is_one_line(asterisk: Asterisk, ami: bool, said: str) -> None:
    status, lines = check(asterisk, "wrong", ami=ami)
    assert status == 1
    assert len(lines) == 1
    assert said in lines[0]
    assert "vad-agent pbx setup asterisk" in lines[0]


def test_a_closed_port_and_an_ari_that_is_off_name_the_second_general_section(
    asterisk: Asterisk,
) -> None:
    closed = vad_agent("check", f"--ari=http://127.0.0.1:{free_port(SOCK_STREAM)}", password="x")
    (line,) = closed.stdout.splitlines()
    assert "nothing answers there" in line
    assert "no second [general]" in line
    off = vad_agent("check", f"--ari={asterisk.url}/nothing", password="x")
    (line,) = off.stdout.splitlines()
    assert "HTTP 404: ARI is off, or its configuration is not loaded (a second [general]" in line


def test_the_check_needs_one_way_to_asterisk() -> None:
    done = vad_agent("check")
    assert done.returncode == 2
    assert "expected --ari, or --ami where ARI is off" in done.stderr


def test_set_up_asks_the_version_and_prints_what_belongs_to_it(asterisk: Asterisk) -> None:
    done = vad_agent(
        "setup", "asterisk", f"--ari={asterisk.url}", "--ari-user=desk", password=asterisk.password
    )
    assert done.returncode == 0, done.stderr
    assert "exten => _spy.,1,Answer()" in done.stdout
    assert asterisk.password not in done.stdout
    assert "module app_chanspy.so loaded" in done.stdout


def test_each_block_names_its_file_and_the_secrets_are_those_of_the_environment() -> None:
    done = vad_agent("setup", "asterisk", "--websocket=127.0.0.1:9093", password="tree;house")
    blocks = done.stdout.split("\n\n")
    files = [block.splitlines()[0].split()[1].rstrip(";.:") for block in blocks if block[0] == ";"]
    assert files == [
        "extensions.conf",
        "websocket_client.conf",
        "ari.conf",
        "http.conf",
        "manager.conf",
    ]
    ari, ami = (
        next(block for block in blocks if block.startswith(f"; {file}"))
        for file in ("ari.conf", "manager.conf")
    )
    assert "password = tree\\;house\n" in ari
    assert ari.endswith("VAD_AGENT_ASTERISK_PASSWORD=tree;house")
    assert "secret = tree\\;house\n" in ami
    assert ami.endswith("VAD_AGENT_AMI_SECRET=tree;house")
    for block in (ari, ami):
        assert "[general](+)\n" in block
    made = vad_agent("setup", "asterisk", "--processes=2").stdout
    assert "password = \n" not in made
    assert "module func_rand.so loaded" in made
    assert "module chan_audiosocket.so loaded" in made


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("Asterisk 18.20.1", 4),
        ("20.9.0", 3),
        ("22.10.1+dfsg", 1),
        ("22.11", 0),
        ("23.5", 0),
        ("24.0", 0),
    ],
)
def test_each_version_has_its_faults(text: str, count: int) -> None:
    version = parse_version(text)
    assert version is not None
    assert len(faults(version)) == count


@pytest.mark.parametrize("argument", ["--version=soon", "--listen=9092", "--listen=host:99999"])
def test_wrong_arguments_are_one_line(argument: str) -> None:
    done = vad_agent("setup", "asterisk", argument)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "expected" in done.stderr


def test_the_tap_by_websocket_is_printed_with_its_connection_its_modules_and_faults() -> None:
    done = vad_agent("setup", "asterisk", "--websocket=127.0.0.1:9093", "--version=22.7")
    assert done.returncode == 0, done.stderr
    for said in (
        'app,Dial,"WebSocket/vad/c(slin)f(json)v(call=${VAD},leg=both)"',
        "exten => s,1,Dial(WebSocket/vad/c(slin)f(json)v(call=${VAD_CALL},leg=both))",
        "uri = ws://127.0.0.1:9093/",
        "module chan_websocket.so loaded",
        "! Asterisk 22.7: chan_websocket has no JSON control messages and no marks",
    ):
        assert said in done.stdout
    again = vad_agent("setup", "asterisk", "--websocket=127.0.0.1:9093", "--processes=2")
    assert "WebSocket/vad${VAD_PROCESS}/" in again.stdout
    assert "Dial(WebSocket/vad${VAD_CALL:-1}/" in again.stdout
    assert "[vad1]\ntype = websocket_client\nuri = ws://127.0.0.1:9094/" in again.stdout
    refused = vad_agent("--websocket=nowhere")
    assert refused.returncode == 2
    assert "--websocket: expected HOST:PORT, got 'nowhere'" in refused.stderr
