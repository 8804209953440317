"""Builds the report of one call: a page for the supervisor, from the frames and the trace of a replay.

frames ──> envelopes ─┐
                      ├─> timeline ──> rows ──> pictures ──> page ──> one HTML file
trace ──> records ────┘
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from vad_agent.common.private_files import replacing, why
from vad_agent.core.frames import FrameInput, seconds
from vad_agent.errors import MissingExtra, OutputError
from vad_agent.trace.labels_ru import CHANNELS, NameMask
from vad_agent.trace.report.call_timeline import TraceRecord, timeline
from vad_agent.trace.report.drawing import pictures
from vad_agent.trace.report.envelope import Envelope
from vad_agent.trace.report.legend import legend
from vad_agent.trace.report.page import page
from vad_agent.trace.report.rows import rows


class ReportBuilder:
    """Collects a call while it is replayed, and writes its page at the end.

    It stores four bytes per frame of a channel (ten hours of both: 14 MB), and the records.

    Raises:
        MissingExtra: matplotlib is not installed; raised before the replay, not after it.
    """

    def __init__(self) -> None:
        if find_spec("matplotlib") is None:
            raise MissingExtra("matplotlib", "report", "--report")
        self._envelopes = {channel: Envelope() for channel in CHANNELS}
        self._operator = self._envelopes["operator"]
        self._client = self._envelopes["client"]
        self._records: list[TraceRecord] = []

    def add_frames(self, operator: FrameInput, client: FrameInput) -> None:
        """Add one 20 ms frame of each side (int16 little-endian mono). None: it did not arrive."""
        self._operator.add(operator)
        self._client.add(client)

    def add(self, record: Mapping[str, Any]) -> None:
        """Add one object of the trace, or an input event as {"t", "kind": "event", "event", …}."""
        self._records.append(record)

    def html(
        self, *, title: str, details: Mapping[str, str], mask_names: Sequence[str] = ()
    ) -> str:
        """The page. `mask_names`, and names in events, become *** in every text of it."""
        learned = [record["name"] for record in self._records if record.get("name")]
        mask = NameMask([*mask_names, *learned])
        call = timeline(self._records, seconds(len(self._operator)))
        drawn = rows(call)
        return page(
            call,
            drawn,
            pictures(call, drawn, self._envelopes),
            legend(call),
            title=title,
            details=details,
            mask=mask,
        )

    def write(
        self,
        path: str | Path,
        *,
        title: str,
        details: Mapping[str, str],
        mask_names: Sequence[str] = (),
    ) -> None:
        """Write the page atomically: an older report stays until the new one is complete.

        Raises:
            OutputError: the file cannot be written (no such folder, no permission, no space).
            MissingExtra: matplotlib cannot be loaded.
        """
        text = self.html(title=title, details=details, mask_names=mask_names)
        try:  # not private: whoever may read the folder may read the report
            with replacing(Path(path), mode=0o666, durable=True) as file:
                file.write(text.encode())
        except OSError as error:
            raise OutputError(f"{path}: cannot write the report: {why(error)}") from error
