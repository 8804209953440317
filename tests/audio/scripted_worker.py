"""A child of `AudioWorker` without a device: it does what its spec says.

    python -m tests.audio.scripted_worker '{"role": "prompt", "opens": true, "lives": true, "takes": true}'

`opens`: it tells that it is open; `lives`: it gives signs of life; `takes`: it reads its commands, and tells
of each how long it was.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time

from vad_agent.audio.ipc_framing import Flag, write_json, write_record
from vad_agent.audio.worker_runtime import OUT, parent_stdin, tell_open


def main() -> None:
    spec = json.loads(sys.argv[1])

    def command() -> bool:
        line = sys.stdin.buffer.readline()
        if line:
            write_json(OUT, time.perf_counter(), Flag.REPORT, {"bytes": len(line)})
        return bool(line)

    if spec.get("takes"):
        parent_stdin(command)
    if spec.get("opens"):
        tell_open(16_000, 1, 0.01)
    while spec.get("lives"):
        write_record(OUT, time.perf_counter(), Flag.ALIVE, b"")
        time.sleep(0.02)
    threading.Event().wait(60.0)
    os._exit(0)


if __name__ == "__main__":
    main()
