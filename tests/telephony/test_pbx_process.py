"""`vad-agent pbx` as a process: posted events rule its calls, and its metrics count them."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from tests.headset.listen_process import kind
from tests.headset.softphone import free_port
from tests.headset.source_recording import until
from tests.telephony.centre import Pbx
from tests.telephony.test_asterisk_setup import vad_agent
from vad_agent.callbacks.dialers import message_signing
from vad_agent.callbacks.outbox import Outbox
from vad_agent.callbacks.outbox_message import REQUESTED
from vad_agent.telephony.audiosocket import audio_message, identity_message

ROOT = Path(__file__).parents[2]
SECRET = "correct-horse-battery"
TAP = uuid4()


class PostedPbx(Pbx):
    """In cue mode, which needs no phrases. `post`: an event of its call."""

    ready = "metrics "

    def __init__(self, folder: Path) -> None:
        self.events, self.metrics = (free_port(socket.SOCK_STREAM) for _ in range(2))
        more = (f"--events=127.0.0.1:{self.events}", f"--metrics={self.metrics}", "--mode=cue")
        super().__init__(folder, free_port(socket.SOCK_STREAM), *more)

    def post(self, **event: object) -> httpx.Response:
        body = json.dumps({"call_id": "17", "tap": str(TAP), **event}).encode()
        return httpx.post(
            f"http://127.0.0.1:{self.events}/events",
            content=body,
            headers=message_signing.signed(SECRET, body, time.time()),
            trust_env=False,
        )

    def post_as_documented(self, event: str) -> str:
        """By the script of docs/pbx.md."""
        page = (ROOT / "docs" / "pbx.md").read_text(encoding="utf-8")
        script = page[page.index("    #!/bin/sh") : page.index("Commands come to")]
        done = subprocess.run(
            ["sh", "-c", script.replace("9093", str(self.events)), "post.sh", event],
            env={"PATH": "/usr/bin:/bin", "VAD_AGENT_EVENTS_SECRET": SECRET},
            capture_output=True,
            text=True,
            timeout=20,
        )
        return done.stdout + done.stderr

    def scrape(self) -> dict[str, float]:
        text = httpx.get(f"http://127.0.0.1:{self.metrics}/metrics", trust_env=False).text
        rows = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
        return {name.removeprefix("vad_agent_pbx_"): float(value) for name, value in rows}


@pytest.fixture
def pbx(tmp_path: Path) -> Iterator[PostedPbx]:
    one = PostedPbx(tmp_path)
    try:
        one.start(VAD_AGENT_EVENTS_SECRET=SECRET)
        yield one
    finally:
        one.stop()


async def stream(port: int, ended: asyncio.Event) -> None:
    """A tap's connection: near silence on both sides, in real time."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(identity_message(TAP))
    frame = audio_message(b"\x03\x00\xfd\xff" * 160)
    while not ended.is_set():
        writer.write(frame)
        await asyncio.sleep(0.02)
    writer.close()


def test_posted_events_rule_a_call_and_are_counted(pbx: PostedPbx) -> None:
    async def main() -> None:
        ringing = {"kind": "ringing", "phone": "+79161234567"}
        assert pbx.post(seq=1, **ringing).json() == {"taken": True}  # so that somebody posts
        ended = asyncio.Event()
        streaming = asyncio.create_task(stream(pbx.port, ended))
        await asyncio.to_thread(follow)
        ended.set()
        await streaming

    def follow() -> None:
        until(lambda: pbx.scrape()["streams"] == 1, 10, "the stream")
        assert pbx.scrape()["in_call"] == 0
        pbx.post(seq=2, kind="answered", operator="101")
        assert pbx.post(seq=2, kind="answered", operator="101").json() == {"taken": False}
        begun = pbx.wait(kind("call"), 10)
        assert begun["operator"] == "101"
        pbx.post(seq=3, kind="hold", party="client")
        pbx.wait(kind("phase", phase="on_hold"), 10)
        assert pbx.post(seq="x", kind="hold").status_code == 422
        found = pbx.scrape()
        assert found["in_call"] == found["lines"] == found["calls_total"] == 1
        assert found['control_connected{control="events"}'] == 1
        assert found['control_commands{control="events"}'] == 0
        assert found['posted_events_total{what="taken"}'] == 3
        assert found['posted_events_total{what="repeated"}'] == 1
        assert found['posted_events_total{what="invalid"}'] == 1
        assert found["refused_total"] == found["refused_by_load_total"] == 0
        assert found["most_load"] == 0.75
        assert 0 <= found["load"] < 2
        assert 0 < found["call_load"] < 1
        assert {"frames_late_total", "frames_missing_total", "unknown_events_total"} <= set(found)
        pbx.post(seq=4, kind="hangup", party="client", cause="16")
        pbx.wait(kind("phase", phase="ended"), 10)

    asyncio.run(main())
    assert len(pbx.find(kind("callback"))) == 1
    outbox = Outbox(pbx.folder / "outbox")

    def phones() -> list[str | None]:
        messages = [outbox.read(path) for path in outbox.waiting()]
        return [one.phone for one in messages if one.kind == REQUESTED]

    until(lambda: phones() == ["+79161234567"], 10, "the callback")


@pytest.mark.skipif(
    not all(map(shutil.which, ("curl", "openssl"))), reason="no curl, or no openssl"
)
def test_the_script_of_the_page_posts_an_event(pbx: PostedPbx) -> None:
    event = '{"call_id": "17", "seq": 1, "kind": "ringing"}'
    assert pbx.post_as_documented(event) == '{"taken":true}'
    assert pbx.post_as_documented(event) == '{"taken":false}'


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--events=127.0.0.1:9093"], "--events: no secret: set VAD_AGENT_EVENTS_SECRET"),
        (["--ami=127.0.0.1"], "--ami: expected HOST:PORT"),
        (["--ami=127.0.0.1:5038"], "--ami: no secret: set VAD_AGENT_AMI_SECRET"),
        (["--media-address=pbx"], "--media-address: expected HOST:PORT"),
        (["--load=0"], "--load': Input should be greater than or equal to 0.1"),
        (["--metrics=99999"], "--metrics': Input should be less than or equal to 65535"),
    ],
)
def test_wrong_arguments_are_one_line(arguments: list[str], said: str) -> None:
    done = vad_agent(*arguments)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert said in line


def test_a_secret_that_can_be_guessed_is_one_line(tmp_path: Path) -> None:
    one = PostedPbx(tmp_path)
    with pytest.raises(AssertionError, match="secret: expected 16 characters at least"):
        one.start(VAD_AGENT_EVENTS_SECRET="short")
    assert one.stop() == 2
    assert len(one.log.splitlines()) == 1
