"""One stream of a sound server (PulseAudio, or PipeWire's pulse server), through libpulse.

    samples ─> the server's socket ─> `run_recording`: libpulse's own loop ─> on_samples(size)
    room    ─> the server's socket ─> `turn`: one turn of that loop        ─> on_room()

PortAudio reaches such a server through ALSA's plugin, with two threads and four wakeups for each
block; here it is one of each. Everything runs in the thread that calls `run_recording` or `turn`; only
`wake` may be called in another one.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from ctypes import POINTER, byref, c_char_p, c_int, c_size_t, c_uint8, c_uint32, c_uint64, c_void_p
from typing import Any, Final

from vad_agent.audio.worker_runtime import NoDevice
from vad_agent.core.frames import SAMPLE_BYTES

LIBRARY: Final = "libpulse.so.0"
CONNECT_S: Final = 5.0
"""Seconds for the server to accept a connection, and again a stream."""
S16LE: Final = 3
NO_AUTOSPAWN: Final = 1
CONTEXT_READY: Final = 4
STREAM_READY: Final = 2
START_CORKED, INTERPOLATE_TIMING, AUTO_TIMING_UPDATE = 0x1, 0x2, 0x8
DONT_MOVE, EARLY_REQUESTS = 0x200, 0x4000
ANY: Final = 0xFFFF_FFFF
"""A buffer's size is the server's choice."""
NOT_KNOWN: Final = -1.0
RELATIVE: Final = 0
"""Samples are added after those written so far."""


class SampleSpec(ctypes.Structure):
    """pa_sample_spec."""

    _fields_ = (("format", c_int), ("rate", c_uint32), ("channels", c_uint8))


class BufferAttributes(ctypes.Structure):
    """pa_buffer_attr, in bytes."""

    _fields_ = tuple((name, c_uint32) for name in ("max", "target", "prebuf", "least", "fragment"))


NOTIFY = ctypes.CFUNCTYPE(None, c_void_p, c_void_p)
REQUEST = ctypes.CFUNCTYPE(None, c_void_p, c_size_t, c_void_p)
FUNCTIONS: Final[dict[str, tuple[Any, tuple[Any, ...]]]] = {
    "mainloop_new": (c_void_p, ()),
    "mainloop_get_api": (c_void_p, (c_void_p,)),
    "mainloop_run": (c_int, (c_void_p, c_void_p)),
    "mainloop_quit": (None, (c_void_p, c_int)),
    "mainloop_prepare": (c_int, (c_void_p, c_int)),
    "mainloop_poll": (c_int, (c_void_p,)),
    "mainloop_dispatch": (c_int, (c_void_p,)),
    "mainloop_wakeup": (None, (c_void_p,)),
    "context_new": (c_void_p, (c_void_p, c_char_p)),
    "context_connect": (c_int, (c_void_p, c_char_p, c_int, c_void_p)),
    "context_get_state": (c_int, (c_void_p,)),
    "context_set_state_callback": (None, (c_void_p, NOTIFY, c_void_p)),
    "context_errno": (c_int, (c_void_p,)),
    "strerror": (c_char_p, (c_int,)),
    "operation_unref": (None, (c_void_p,)),
    "stream_new": (c_void_p, (c_void_p, c_char_p, POINTER(SampleSpec), c_void_p)),
    "stream_get_state": (c_int, (c_void_p,)),
    "stream_connect_record": (c_int, (c_void_p, c_char_p, POINTER(BufferAttributes), c_int)),
    "stream_connect_playback": (
        c_int, (c_void_p, c_char_p, POINTER(BufferAttributes), c_int, c_void_p, c_void_p)
    ),
    "stream_set_state_callback": (None, (c_void_p, NOTIFY, c_void_p)),
    "stream_set_read_callback": (None, (c_void_p, REQUEST, c_void_p)),
    "stream_set_write_callback": (None, (c_void_p, REQUEST, c_void_p)),
    "stream_set_overflow_callback": (None, (c_void_p, NOTIFY, c_void_p)),
    "stream_set_latency_update_callback": (None, (c_void_p, NOTIFY, c_void_p)),
    "stream_peek": (c_int, (c_void_p, POINTER(c_void_p), POINTER(c_size_t))),
    "stream_drop": (c_int, (c_void_p,)),
    "stream_write": (c_int, (c_void_p, c_char_p, c_size_t, c_void_p, ctypes.c_int64, c_int)),
    "stream_writable_size": (c_size_t, (c_void_p,)),
    "stream_cork": (c_void_p, (c_void_p, c_int, c_void_p, c_void_p)),
    "stream_update_timing_info": (c_void_p, (c_void_p, c_void_p, c_void_p)),
    "stream_get_latency": (c_int, (c_void_p, POINTER(c_uint64), POINTER(c_int))),
    "stream_get_time": (c_int, (c_void_p, POINTER(c_uint64))),
}  # fmt: skip
"""libpulse's functions without `pa_`: result and arguments."""


class _LibPulse:
    """libpulse's functions, by their names without `pa_`."""

    def __init__(self) -> None:
        library = ctypes.CDLL(LIBRARY)
        for name, (result, arguments) in FUNCTIONS.items():
            function = getattr(library, f"pa_{name}")
            function.restype, function.argtypes = result, arguments
            setattr(self, name, function)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


class PulseStream:
    """A stream of int16 mono at `rate` Hz, to or from a device of this user's sound server.

    Raises:
        NoDevice: no server answers, or it has no such device.
    """

    def __init__(self, application: str, rate: int) -> None:
        try:
            pulse = self._pulse = _LibPulse()
        except OSError as error:
            raise NoDevice(f"libpulse is not installed ({error})") from None
        self.rate = rate
        self._loop = pulse.mainloop_new()
        self._context = pulse.context_new(
            pulse.mainloop_get_api(self._loop), application.encode("utf-8")
        )
        self._connected(pulse.context_connect(self._context, None, NO_AUTOSPAWN, None))
        self._until(lambda: pulse.context_get_state(self._context), CONTEXT_READY)
        spec = SampleSpec(S16LE, rate, 1)
        self._stream = pulse.stream_new(
            self._context, application.encode("utf-8"), byref(spec), None
        )
        self._callbacks: list[Any] = []  # ctypes does not keep them
        # What libpulse writes into, for each block anew.
        self._samples, self._size = c_void_p(), c_size_t()
        self._peeked = byref(self._samples), byref(self._size)
        self._latency, self._negative = c_uint64(), c_int()
        self._aged = byref(self._latency), byref(self._negative)

    # -- opening ----------------------------------------------------------------------------------

    def record(
        self,
        device: str,
        block: int,
        on_samples: Callable[[int], None],
        on_loss: Callable[[], None],
    ) -> None:
        """Record from a source. `block`: bytes that the server sends at once.

        `on_samples`: so many bytes can be read. `on_loss`: the server dropped some before the next ones.
        """
        pulse, buffers = self._pulse, BufferAttributes(ANY, ANY, ANY, ANY, block)
        self._on("read", REQUEST, lambda stream, size, data: on_samples(size))
        self._on("overflow", NOTIFY, lambda stream, data: on_loss())
        how = INTERPOLATE_TIMING | AUTO_TIMING_UPDATE | EARLY_REQUESTS | DONT_MOVE
        name = device.encode("utf-8")
        self._connected(pulse.stream_connect_record(self._stream, name, byref(buffers), how))
        self._until(lambda: pulse.stream_get_state(self._stream), STREAM_READY)
        self._watch_end()

    def play(
        self,
        device: str,
        block: int,
        blocks: int,
        on_room: Callable[[], None],
        on_time: Callable[[], None],
    ) -> None:
        """Play to a sink, corked. `block`: bytes that the server asks for; `blocks`: that it holds.

        `on_room`: samples can be written. `on_time`: `played_s` is exact now.
        """
        pulse, buffers = self._pulse, BufferAttributes(ANY, block * blocks, block, block, ANY)
        self._on("write", REQUEST, lambda stream, size, data: on_room())
        self._on("latency_update", NOTIFY, lambda stream, data: on_time())
        how = START_CORKED | AUTO_TIMING_UPDATE | EARLY_REQUESTS | DONT_MOVE
        name = device.encode("utf-8")
        self._connected(
            pulse.stream_connect_playback(self._stream, name, byref(buffers), how, None, None)
        )
        self._until(lambda: pulse.stream_get_state(self._stream), STREAM_READY)

    def _on(self, what: str, kind: Any, call: Callable[..., None]) -> None:
        self._callbacks.append(kind(call))
        getattr(self._pulse, f"stream_set_{what}_callback")(self._stream, self._callbacks[-1], None)

    def _connected(self, result: int) -> None:
        if result < 0:
            raise NoDevice(f"cannot be opened: {self._error()}")

    def _until(self, state: Callable[[], int], wanted: int) -> None:
        until = time.perf_counter() + CONNECT_S
        while (now := state()) != wanted:
            if now > wanted:
                raise NoDevice(f"cannot be opened: {self._error()}")
            if time.perf_counter() > until or not self._turn(CONNECT_S):
                raise NoDevice("cannot be opened: the sound server does not answer")

    def _error(self) -> str:
        said: bytes = self._pulse.strerror(self._pulse.context_errno(self._context))
        return said.decode("utf-8", "replace")

    # -- running ----------------------------------------------------------------------------------

    def run_recording(self) -> None:
        """Handle everything, until the server or the device is gone. Python runs once for each block."""
        self._pulse.mainloop_run(self._loop, None)

    def turn(self, limit_s: float) -> bool:
        """Sleep until something has happened, at most `limit_s` seconds, and handle it.

        False: the server or the device is gone.
        """
        return self._turn(limit_s) and self._open

    def _turn(self, limit_s: float) -> bool:
        pulse, loop = self._pulse, self._loop
        return bool(
            pulse.mainloop_prepare(loop, round(limit_s * 1e6)) >= 0
            and pulse.mainloop_poll(loop) >= 0
            and pulse.mainloop_dispatch(loop) >= 0
        )

    @property
    def _open(self) -> bool:
        pulse = self._pulse
        return bool(
            pulse.context_get_state(self._context) == CONTEXT_READY
            and pulse.stream_get_state(self._stream) == STREAM_READY
        )

    def _watch_end(self) -> None:
        def changed(*_: object) -> None:
            if not self._open:
                self._pulse.mainloop_quit(self._loop, 0)

        self._on("state", NOTIFY, changed)
        self._pulse.context_set_state_callback(self._context, self._callbacks[-1], None)

    def wake(self) -> None:
        """End the sleep of `run`. Any thread may call this."""
        self._pulse.mainloop_wakeup(self._loop)

    # -- samples ----------------------------------------------------------------------------------

    def read(self) -> bytes | None:
        """The oldest samples that are recorded; empty: none. None: a gap in the recording was left out."""
        samples, size = self._samples, self._size
        if self._pulse.stream_peek(self._stream, *self._peeked) < 0 or not size.value:
            return b""
        pcm = ctypes.string_at(samples.value, size.value) if samples.value else None
        self._pulse.stream_drop(self._stream)
        return pcm

    def write(self, pcm: bytes) -> None:
        """Add samples after those written so far."""
        self._pulse.stream_write(self._stream, pcm, len(pcm), None, 0, RELATIVE)

    @property
    def room(self) -> int:
        """Bytes that the server wants to have now."""
        size: int = self._pulse.stream_writable_size(self._stream)
        return 0 if size == c_size_t(-1).value else size

    def cork(self, yes: bool) -> None:
        """Pause the stream, or let it play."""
        self._done(self._pulse.stream_cork(self._stream, yes, None, None))

    def ask_time(self) -> None:
        """Have the server tell the stream's time; an answer calls `on_time`."""
        self._done(self._pulse.stream_update_timing_info(self._stream, None, None))

    def _done(self, operation: int | None) -> None:
        if operation is not None:
            self._pulse.operation_unref(operation)

    @property
    def latency_s(self) -> float:
        """Age of the next sample to read, or NOT_KNOWN."""
        if self._pulse.stream_get_latency(self._stream, *self._aged) < 0 or self._negative.value:
            return NOT_KNOWN
        return self._latency.value / 1e6

    @property
    def played_s(self) -> float | None:
        """Seconds of the written samples that have left the device. None: not known yet."""
        played = c_uint64()
        if self._pulse.stream_get_time(self._stream, byref(played)) < 0:
            return None
        return played.value / 1e6

    def seconds(self, size: int) -> float:
        """Duration of so many bytes."""
        return size / SAMPLE_BYTES / self.rate
