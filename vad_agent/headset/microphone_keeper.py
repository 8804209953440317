"""Restores the virtual microphone of `setup` while `listen` runs.

A restart of the sound server removes it, and unplugging the headset removes the operator's voice from
it, so that the client would hear only phrases. The operator is notified once of each program that
records the headset's microphone instead.
"""

from __future__ import annotations

from collections.abc import Callable

from vad_agent.audio.pulse_watch import PulseWatch
from vad_agent.audio.virtual_microphone import SINK, SOURCE_TITLE, ensure, missing
from vad_agent.errors import DeviceError
from vad_agent.headset.routing_check import wrong_recorders

MADE = "виртуальный микрофон восстановлен"
REFUSED = "виртуальный микрофон не восстановить, клиент не услышит фраз: vad-agent setup"
PAST = (
    f"{{}} пишет с настоящего микрофона, клиент не услышит фраз: выберите «{SOURCE_TITLE}», "
    "или vad-agent setup"
)


class MicrophoneKeeper:
    """Checks each change of the sound server, in a thread. `microphone`: the operator's source;
    `sink`: what the headset plays; `report`: called in that thread with messages for the operator.
    """

    def __init__(self, microphone: str, sink: str, report: Callable[[str], None]) -> None:
        self._microphone = microphone
        self._sink = sink
        self._report = report
        self._refused = False
        self._reported: set[str] = set()
        self._watch = PulseWatch(self._look)

    def start(self) -> None:
        """Start."""
        self._watch.start()

    def close(self) -> None:
        """Stop; the virtual microphone stays."""
        self._watch.close()

    def _look(self) -> None:
        graph = self._watch.graph
        if graph is None or graph.source(self._microphone) is None:
            return
        try:
            if missing(graph, self._microphone) and ensure(self._microphone):
                self._refused = False
                self._report(MADE)
        except DeviceError:
            if self._watch.connected and not self._refused:
                self._refused = True
                self._report(REFUSED)
            return
        for stream in wrong_recorders(graph, self._sink, graph.microphones_of(SINK)):
            if graph.also_plays(stream) and stream.application not in self._reported:
                self._reported.add(stream.application)
                self._report(PAST.format(stream.application))
