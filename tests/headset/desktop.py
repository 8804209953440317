"""An operator's desktop with a headset plugged in, on a PulseAudio or on a PipeWire of the test's own.

    sink HEADSET    «Jabra EVOLVE 20»: what the operator hears
    source MIC      «Jabra EVOLVE 20 Mono»: a real source, no monitor; it gives what is played into MOUTH
    sink MOUTH      what is played here, the operator says

Unlike `audio_server`, the server starts as a distribution starts it, with the configuration files of its
(private) user: what is written there is loaded at the next start. There is no virtual microphone yet.
"""

from __future__ import annotations

import os
import subprocess
from abc import abstractmethod
from collections.abc import Sequence

from tests.headset.audio_server import PROGRAMS, READY_S, AudioServer
from tests.headset.source_recording import end, until

HEADSET = "alsa_output.usb-GN_Jabra_EVOLVE_20.analog-stereo"
MIC = "alsa_input.usb-GN_Jabra_EVOLVE_20.mono-fallback"
MOUTH = "mouth"
HEADSET_TITLE = "Jabra EVOLVE 20"
MIC_TITLE = "Jabra EVOLVE 20 Mono"
PULSE = (*PROGRAMS, "espeak-ng")
PIPEWIRE = ("pipewire", "pipewire-pulse", "wireplumber", "dbus-daemon", *PROGRAMS[1:], "espeak-ng")


class Desktop(AudioServer):
    """A server with the headset on it."""

    programs: Sequence[str]

    def __init__(self) -> None:
        super().__init__(sinks=())
        self.socket = self.directory / "run" / "pulse" / "native"
        self.env |= {"PULSE_SERVER": f"unix:{self.socket}"}
        self.config = self.directory / ".config"
        self._daemons: list[subprocess.Popen[bytes]] = []
        self.plug_in()

    @abstractmethod
    def plug_in(self) -> None:
        """Write the hardware into the server's configuration."""

    @abstractmethod
    def commands(self) -> Sequence[Sequence[str]]:
        """The daemons, in the order of their start; the last one is the pulse server."""

    def start(self) -> None:
        """Start the daemons and wait until the headset is there."""
        assert self._daemon is None, "already started"
        self._awake.clear()
        for command in self.commands():
            with self.log.open("ab") as log:
                self._daemons.append(
                    subprocess.Popen(
                        command, env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log
                    )
                )
            self._started(command[0])
        self._daemon = self._daemons[-1]
        until(self._plugged, READY_S, f"the headset: {self.log.read_text()[-800:]}")

    def _started(self, program: str) -> None:
        """Wait until the next daemon can start."""

    def _plugged(self) -> bool:
        if not self._answers():
            return False
        return {MOUTH, HEADSET} <= set(self.names("sinks")) and MIC in self.names("sources")

    def stop(self) -> None:
        """End the daemons in order."""
        while self._daemons:
            end(self._daemons.pop())
        self._daemon = None

    def default(self, what: str) -> str:
        """The name of the default `sink` or `source`."""
        return self.pactl(f"get-default-{what}")


class PulseDesktop(Desktop):
    """PulseAudio, started by the system's default.pa, or the user's."""

    programs = PULSE

    def plug_in(self) -> None:
        """A pipe is a source without a monitor's name; a feeder gives it what the mouth says."""
        self._fifo = self.directory / "microphone"
        path = self.config / "pulse" / "default.pa"
        path.write_text(
            "\n".join([".include /etc/pulse/default.pa", *self.hardware(), ""]), "utf-8"
        )

    def hardware(self) -> list[str]:
        """The commands that make the headset."""
        about = "device.form_factor='headset' device.bus='usb' device.serial='GN_0815'"
        how = "rate=48000 channels=1 format=s16le"
        headset = f"\"device.description='{HEADSET_TITLE}' {about}\""
        mic = f"\"device.description='{MIC_TITLE}' {about}\""
        return [
            f"load-module module-null-sink sink_name={HEADSET} {how} sink_properties={headset}",
            f"load-module module-null-sink sink_name={MOUTH} {how}",
            f"load-module module-pipe-source source_name={MIC} file={self._fifo} {how} "
            f"source_properties={mic}",
            f"set-default-sink {HEADSET}",
            f"set-default-source {MIC}",
        ]

    def commands(self) -> Sequence[Sequence[str]]:
        """One daemon."""
        how = ["--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no", "--log-level=notice"]
        return [["pulseaudio", *how]]

    def start(self) -> None:
        """Start, and feed the microphone."""
        super().start()
        command = ["parec", f"--device={MOUTH}.monitor", "--latency-msec=20", "--raw"]
        command += ["--format=s16le", "--channels=1", "--rate=48000"]
        with open(os.open(self._fifo, os.O_RDWR), "wb") as fifo:
            self.popen(command, stdout=fifo)


class PipeWireDesktop(Desktop):
    """PipeWire with its pulse server and WirePlumber, on a bus of its own."""

    programs = PIPEWIRE

    def plug_in(self) -> None:
        """Nodes of PipeWire itself: they are there whatever its pulse server loads."""
        about = 'device.form-factor = "headset" device.bus = "usb" device.serial = "GN_0815"'
        path = self.config / "pipewire" / "pipewire.conf.d" / "hardware.conf"
        path.parent.mkdir(parents=True)
        path.write_text(
            f"""context.objects = [
  {{ factory = adapter args = {{ factory.name = support.null-audio-sink media.class = Audio/Sink
     node.name = "{HEADSET}" node.description = "{HEADSET_TITLE}" {about} audio.position = MONO
     priority.session = 1100 priority.driver = 1100 object.linger = true }} }}
]
context.modules = [
  {{ name = libpipewire-module-loopback args = {{ audio.position = [ MONO ]
     capture.props = {{ media.class = Audio/Sink node.name = "{MOUTH}" priority.session = 100 }}
     playback.props = {{ media.class = Audio/Source node.name = "{MIC}" {about}
                        node.description = "{MIC_TITLE}" priority.session = 2100 }} }} }}
]
""",
            "utf-8",
        )
        self.bus = self.directory / "bus"
        self.env["DBUS_SESSION_BUS_ADDRESS"] = f"unix:path={self.bus}"

    def commands(self) -> Sequence[Sequence[str]]:
        """The bus, the graph, what links it, the pulse server."""
        bus = ["dbus-daemon", "--session", "--nofork", f"--address=unix:path={self.bus}"]
        return [bus, ["pipewire"], ["wireplumber"], ["pipewire-pulse"]]

    def _started(self, program: str) -> None:
        made = {"dbus-daemon": self.bus, "pipewire": self.directory / "run" / "pipewire-0"}
        if program in made:
            until(made[program].exists, READY_S, program)

    def stop(self) -> None:
        """End the daemons; their sockets do not stay."""
        super().stop()
        for path in (self.bus, self.directory / "run" / "pipewire-0"):
            path.unlink(missing_ok=True)
