"""The callbacks' dialer against a real Asterisk and real telephones: each outcome, a killed Asterisk."""

from __future__ import annotations

import queue
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tests.headset.audio_server import AudioServer
from tests.headset.softphone import EAR, Softphone
from tests.headset.source_recording import until
from tests.headset.speech import Part, script_audio
from tests.telephony.asterisk import Asterisk
from vad_agent.callbacks.dialers.asterisk import AsteriskConfig, AsteriskDialer
from vad_agent.callbacks.dialers.base import DialRequest, Ended, OutcomeReport, Ringing
from vad_agent.callbacks.model import Outcome

KEY = "3f-a.1.1"
LIMIT_S = 20.0


@dataclass
class Rig:
    """The dialer, and both telephones, which answer by hand."""

    asterisk: Asterisk
    dialer: AsteriskDialer
    operator: Softphone
    client: Softphone
    told: queue.Queue[OutcomeReport]

    def dial(self, key: str = KEY, operator: str | None = "operator") -> Ringing | Ended:
        due = datetime(2026, 2, 3, 4, 5, tzinfo=UTC)
        return self.dialer.dial(DialRequest(key, "+79161234567", due, operator=operator))

    def outcome(self) -> tuple[str, Outcome]:
        report = self.told.get(timeout=LIMIT_S)
        return report.key, report.outcome

    def answer(self, phone: Softphone) -> None:
        phone.wait("CALL_INCOMING", limit_s=LIMIT_S)
        phone.command("accept")
        phone.wait("CALL_ESTABLISHED", limit_s=LIMIT_S)

    def quiet(self) -> bool:
        return self.asterisk.ari("GET", "/channels").json() == []


@contextmanager
def rig(
    server: AudioServer,
    folder: Path,
    *,
    ring_client_s: int = 30,
    says: Sequence[Part] = (("silence", 30.0),),
    machine_context: str = "",
) -> Iterator[Rig]:
    wav = script_audio(says, folder / "client.wav")
    if EAR not in server.names("sinks"):
        server.add_sink(EAR)
    server.keep_awake(EAR, "virtmic")
    with (
        Softphone(server, "operator", hears="client", speaks="vmic", auto_answer=False) as operator,
        Softphone(server, "client", hears=EAR, speaks=wav, auto_answer=False) as client,
    ):
        phones = {"client": client.sip_port, "operator": operator.sip_port}
        with Asterisk(phones, 9092) as asterisk:
            config = AsteriskConfig(
                url=asterisk.url,
                user="desk",
                password=asterisk.password,
                client_endpoint="PJSIP/client",
                ring_operator_s=5,
                ring_client_s=ring_client_s,
                machine_context=machine_context,
                talk_s=1.0,
            )
            dialer = AsteriskDialer(config, pauses_s=(0.2,), tick_s=0.1)
            told: queue.Queue[OutcomeReport] = queue.Queue()
            dialer.open(told.put)
            try:
                yield Rig(asterisk, dialer, operator, client, told)
            finally:
                dialer.close()


def test_both_answer_and_the_client_is_reached(centre_server: AudioServer, tmp_path: Path) -> None:
    with rig(centre_server, tmp_path) as centre:
        assert isinstance(centre.dial(), Ringing)
        centre.answer(centre.operator)
        assert isinstance(centre.dial(), Ringing)  # the same key rings nobody twice
        centre.answer(centre.client)
        assert centre.outcome() == (KEY, Outcome.REACHED)
        assert len(centre.asterisk.ari("GET", "/bridges").json()) == 1
        centre.client.command("hangup")
        until(centre.quiet, LIMIT_S, "no channels")
        assert centre.asterisk.ari("GET", "/bridges").json() == []


def test_the_client_is_busy(centre_server: AudioServer, tmp_path: Path) -> None:
    with rig(centre_server, tmp_path) as centre:
        centre.dial()
        centre.answer(centre.operator)
        centre.client.wait("CALL_INCOMING", limit_s=LIMIT_S)
        centre.client.command("hangup", "scode=486 reason=Busy Here")
        assert centre.outcome() == (KEY, Outcome.BUSY)
        until(centre.quiet, LIMIT_S, "no channels")


def test_the_client_does_not_answer(centre_server: AudioServer, tmp_path: Path) -> None:
    with rig(centre_server, tmp_path, ring_client_s=2) as centre:
        centre.dial()
        centre.answer(centre.operator)
        assert centre.outcome() == (KEY, Outcome.NO_ANSWER)
        until(centre.quiet, LIMIT_S, "no channels")


def test_the_operator_does_not_answer_and_the_client_is_not_rung(
    centre_server: AudioServer, tmp_path: Path
) -> None:
    with rig(centre_server, tmp_path) as centre:
        centre.dial()
        assert centre.outcome() == (KEY, Outcome.OPERATOR_UNAVAILABLE)
        assert centre.client.seen("CALL_INCOMING") is None


def test_a_telephone_that_does_not_exist(centre_server: AudioServer, tmp_path: Path) -> None:
    with rig(centre_server, tmp_path) as centre:
        told = centre.dial(operator="nobody")
        assert isinstance(told, Ended)
        assert told.outcome is Outcome.OPERATOR_UNAVAILABLE


def test_a_machine_answers_and_a_person_does(centre_server: AudioServer, tmp_path: Path) -> None:
    """AMD() listens to the client's leg, in the printed dialplan's context."""
    machine = [("silence", 0.4), *[("speech", "Вы позвонили по номеру, которого нет дома")] * 3]
    person = [("silence", 0.6), ("speech", "caller_alo"), ("silence", 20.0)]
    for parts, outcome in ((machine, Outcome.MACHINE), (person, Outcome.REACHED)):
        with rig(centre_server, tmp_path, says=parts, machine_context="vad-machine") as centre:
            centre.dial()
            centre.answer(centre.operator)
            centre.answer(centre.client)
            assert centre.outcome() == (KEY, outcome)


def test_asterisk_dies_in_the_talk_and_the_next_attempt_goes_through(
    centre_server: AudioServer, tmp_path: Path
) -> None:
    with rig(centre_server, tmp_path) as centre:
        centre.dial()
        centre.answer(centre.operator)
        centre.client.wait("CALL_INCOMING", limit_s=LIMIT_S)
        centre.asterisk.kill()
        centre.asterisk.start()
        key, outcome = centre.outcome()
        assert key == KEY
        assert outcome in (Outcome.LOST, Outcome.NO_ANSWER)
        for phone in (centre.operator, centre.client):
            phone.command("hangup")
            phone.events.clear()
        assert isinstance(centre.dial("3f-a.1.2"), Ringing)
        centre.answer(centre.operator)
        centre.answer(centre.client)
        assert centre.outcome() == ("3f-a.1.2", Outcome.REACHED)
