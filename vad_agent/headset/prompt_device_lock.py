"""One `listen` for each prompt device: two of them on one output would speak over each other.

The lock is a file in the user's state folder, one for each sound server and device. It is released
when its process ends, however it ends.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path

from vad_agent.audio.devices import Device
from vad_agent.common.private_files import FileLock, open_private, private_folder, state_folder
from vad_agent.errors import DeviceError, OutputError

FOLDER = "prompt-devices"
SERVER = ("PULSE_SERVER", "XDG_RUNTIME_DIR")
"""Environment variables that distinguish sound servers."""


class PromptDeviceLock:
    """Held until it is closed. If no lock file can be written, every process gets it.

    Raises:
        DeviceError: another process speaks into this device.
    """

    def __init__(self, device: Device, folder: Path | None = None) -> None:
        folder = folder or state_folder() / FOLDER
        server = [os.environ.get(name) for name in SERVER] if device.backend == "pulse" else []
        key = json.dumps([device.backend, device.host, device.name, *server])
        path = folder / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.lock"
        # Beside the lock, because Windows does not let others read a locked file.
        holder = path.with_suffix(".pid")
        self._lock: FileLock | None = None
        try:
            private_folder(folder)
            self._lock = FileLock(path)
        except BlockingIOError:
            raise DeviceError(
                f"--prompt-device {device.name}: another vad-agent listen{_named(holder)} speaks into "
                "it: end that one, or name another output"
            ) from None
        except (OSError, OutputError):
            return
        with suppress(OSError), open_private(holder, "wb") as file:
            file.write(str(os.getpid()).encode())

    def close(self) -> None:
        """Release the device."""
        if self._lock is not None:
            self._lock.close()


def _named(holder: Path) -> str:
    try:
        return f" (process {int(holder.read_text('ascii'))})"
    except (OSError, ValueError):
        return ""
