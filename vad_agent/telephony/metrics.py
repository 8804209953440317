"""Metrics of one `vad-agent pbx` for Prometheus, in the form of the desk's: read at the scrape.

GET http://127.0.0.1:PORT/metrics        in a thread of its own, on loopback only
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from vad_agent.errors import OutputError, extra

with extra("callbacks", "metrics"):
    from prometheus_client import CollectorRegistry, start_http_server
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
    from prometheus_client.registry import Collector

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class PbxCounts:
    """What the parts of the process count, at the moment of a scrape."""

    calls: int = 0
    """Calls with a stream, since the start."""
    refused: int = 0
    """Streams refused, since the start."""
    refused_by_load: int = 0
    """Of them: those for which the processor is too slow."""
    unknown_events: int = 0
    """Events of call control for calls without a stream, since the start."""
    streams: int = 0
    """Streams that are connected."""
    in_call: int = 0
    """Lines with a call."""
    lines: int = 0
    most_calls: int = 0
    load: float = 0.0
    """Share of one processor that the process uses, over the last seconds."""
    call_load: float = 0.0
    """Share of one processor that a call is taken to cost."""
    most_load: float = 0.0
    """Share of one processor up to which calls are taken."""
    frames_late: int = 0
    """Frames that the clock sent more than a frame late, since the start."""
    frames_missing: int = 0
    """Frames that did not come while others of the call did, since the start."""
    connections_failed: int = 0
    """Connections of streams closed by us, since the start."""
    connected: Mapping[str, bool] = field(default_factory=dict)
    """Of each call control, by name."""
    commands: Mapping[str, int] = field(default_factory=dict)
    """Commands to each call control that are not carried out yet."""
    posted: Mapping[str, int] = field(default_factory=dict)
    """Posted call events, by what became of them, since the start."""
    sessions: Mapping[str, int] = field(default_factory=dict)
    """Of SIPREC, by what became of them, since the start."""
    packets: Mapping[str, int] = field(default_factory=dict)
    """Of SIPREC's RTP, by what became of them, since the start."""


COUNTERS = {
    "calls": "Calls with a stream",
    "refused": "Streams refused: too many calls",
    "refused_by_load": "Of them: those for which the processor is too slow",
    "unknown_events": "Events of call control for calls without a stream",
    "frames_late": "Frames sent more than a frame late",
    "frames_missing": "Frames that did not come while others of the call did",
    "connections_failed": "Connections of streams that were closed here",
}
LABELLED = {
    "posted_events": ("posted", "Posted call events, by what became of them"),
    "siprec_sessions": ("sessions", "Recording sessions and their SIP, by what became of them"),
    "rtp_packets": ("packets", "Packets of recorded calls, by what became of them"),
}
"""Name → the field of `PbxCounts`, and what it is."""
GAUGES = {
    "streams": "Streams that are connected",
    "in_call": "Operators with a call",
    "lines": "Operators' lines",
    "most_calls": "Calls that are taken at most",
    "load": "Share of one processor that the process uses",
    "call_load": "Share of one processor that a call is taken to cost",
    "most_load": "Share of one processor up to which calls are taken",
}


class PbxMetrics(Collector):
    """`counts`: called at each scrape, in another thread."""

    def __init__(self, counts: Callable[[], PbxCounts]) -> None:
        self._counts = counts

    def collect(self) -> Iterable[Metric]:
        """Read the counts."""
        counts = self._counts()
        for name, what in COUNTERS.items():
            value = getattr(counts, name)
            yield CounterMetricFamily(f"vad_agent_pbx_{name}", what, value=value)
        for name, what in GAUGES.items():
            yield GaugeMetricFamily(f"vad_agent_pbx_{name}", what, value=getattr(counts, name))
        connected = GaugeMetricFamily(
            "vad_agent_pbx_control_connected",
            "1: events of this call control come",
            labels=["control"],
        )
        commands = GaugeMetricFamily(
            "vad_agent_pbx_control_commands",
            "Commands that are not carried out yet",
            labels=["control"],
        )
        for control, is_connected in counts.connected.items():
            connected.add_metric([control], float(is_connected))
            commands.add_metric([control], counts.commands.get(control, 0))
        yield connected
        yield commands
        for name, (counted, what_it_is) in LABELLED.items():
            family = CounterMetricFamily(f"vad_agent_pbx_{name}", what_it_is, labels=["what"])
            for what, count in getattr(counts, counted).items():
                family.add_metric([what], count)
            yield family


def serve_metrics(port: int, counts: Callable[[], PbxCounts]) -> tuple[int, Callable[[], None]]:
    """Serve them on loopback. Return the port, and what ends it.

    Raises:
        OutputError: the port cannot be taken.
    """
    registry = CollectorRegistry()
    registry.register(PbxMetrics(counts))
    try:
        server, thread = start_http_server(port, HOST, registry)
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise OutputError(f"{HOST}:{port}: cannot show metrics there: {why}") from error

    def close() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return server.server_port, close
