"""A real Asterisk on free ports of 127.0.0.1, from Debian's sid in a chroot (`scripts/asterisk-chroot`).

    client's phone ──SIP──> [from-client] 100 ──Dial──> operator's phone
                                 └─ Originate(Local/spy…) ─ ChanSpy ─ AudioSocket ──TCP──> the product

Its configuration, database and logs are in a folder of its own inside the chroot, and go with it.
"""

from __future__ import annotations

import secrets
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import httpx

from tests.headset.softphone import free_port
from tests.headset.source_recording import end, until
from vad_agent.telephony.asterisk_setup import (
    TAP,
    ari_conf,
    dialplan,
    http_conf,
    manager_conf,
    websocket_client,
)

ROOT = Path(__file__).parents[2] / ".asterisk"
READY_S = 20.0
MODULES = [
    "pbx_config",
    "app_dial",
    "app_originate",
    "app_chanspy",
    "app_audiosocket",
    "res_audiosocket",
    "chan_audiosocket",
    "res_http_websocket",
    "res_websocket_client",
    "chan_websocket",
    "app_echo",
    "app_verbose",
    "app_playback",
    "app_queue",
    "app_exec",
    "app_stack",
    "chan_bridge_media",
    "bridge_simple",
    "bridge_softmix",
    "bridge_holding",
    "bridge_native_rtp",
    "bridge_builtin_features",
    "codec_alaw",
    "codec_ulaw",
    "codec_resample",
    "format_wav",
    "format_pcm",
    "func_uuid",
    "func_dialplan",
    "func_rand",
    "func_global",
    "func_channel",
    "func_callerid",
    "func_logic",
    "func_strings",
    "func_timeout",
    "res_timing_timerfd",
    "res_sorcery_config",
    "res_sorcery_memory",
    "res_sorcery_astdb",
    "res_geolocation",
    "res_rtp_asterisk",
    "res_rtp_multicast",
    "chan_rtp",
    "res_pjproject",
    "res_pjsip",
    "res_pjsip_session",
    "res_pjsip_sdp_rtp",
    "res_pjsip_endpoint_identifier_user",
    "res_pjsip_endpoint_identifier_ip",
    "res_pjsip_caller_id",
    "res_pjsip_pubsub",
    "chan_pjsip",
    "res_musiconhold",
    "res_stasis",
    "res_stasis_answer",
    "res_stasis_device_state",
    "res_stasis_playback",
    "res_stasis_recording",
    "res_stasis_snoop",
    "res_ari",
    "res_ari_model",
    "res_ari_applications",
    "res_ari_asterisk",
    "res_ari_bridges",
    "res_ari_channels",
    "res_ari_events",
    "app_stasis",
    "app_amd",
    "app_waitforsilence",
]


def missing() -> str:
    """Why there is no Asterisk here; empty: there is one."""
    return "" if (ROOT / ".made").exists() else f"no Asterisk in {ROOT}: scripts/asterisk-chroot"


class Asterisk:
    """One Asterisk. `phones`: endpoint's name → its SIP port; `media_port`: where AudioSocket goes.
    `on_answer`: the tap begins with the answer, as a centre without call control has it.
    `processes`: of `vad-agent pbx`, at `media_port` and the ports after it.
    `websocket_port`: the tap goes there, by chan_websocket, and not by AudioSocket.
    """

    def __init__(
        self,
        phones: dict[str, int],
        media_port: int,
        *,
        on_answer: bool = False,
        processes: int = 1,
        websocket_port: int | None = None,
    ) -> None:
        self.name = f"test-{secrets.token_hex(4)}"
        self.sip_port = free_port(socket.SOCK_DGRAM)
        self.http_port = free_port(socket.SOCK_STREAM)
        self.ami_port = free_port(socket.SOCK_STREAM)
        self.media_port = media_port
        self.password = secrets.token_hex(8)
        self.folder = ROOT / "etc" / self.name
        self._phones = phones
        self._processes = processes
        self._websocket_port = websocket_port
        self._write(media_port, on_answer)
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self.start()
        except BaseException:
            self.close()
            raise

    # -- configuration -----------------------------------------------------------------------------

    def _write(self, media_port: int, on_answer: bool) -> None:
        inside = f"/etc/{self.name}"
        for folder in ("run", "spool", "log", "db", "keys"):
            (self.folder / folder).mkdir(parents=True)
        modules = next((ROOT / "usr/lib").glob("*/asterisk/modules")).relative_to(ROOT)
        files = {
            "asterisk.conf": f"""[directories](!)
[directories]
astetcdir => {inside}
astmoddir => /{modules}
astvarlibdir => /var/lib/asterisk
astdatadir => /usr/share/asterisk
astdbdir => {inside}/db
astkeydir => {inside}/keys
astspooldir => {inside}/spool
astrundir => {inside}/run
astlogdir => {inside}/log
[options]
nocolor = yes
""",
            "modules.conf": "[modules]\nautoload = no\n"
            + "".join(f"load = {module}.so\n" for module in MODULES),
            "logger.conf": "[general]\n[logfiles]\nfull => notice,warning,error,verbose\n",
            # What is printed is added to files as Debian has them.
            "http.conf": "[general]\nservername = Asterisk\nbindaddr = 127.0.0.1\n"
            + http_conf().replace("8088", str(self.http_port)),
            "ari.conf": "[general]\nenabled = yes\n" + ari_conf("desk", self.password),
            "manager.conf": "[general]\nenabled = no\nport = 5038\nbindaddr = 0.0.0.0\n"
            + manager_conf("desk", self.password).replace("5038", str(self.ami_port)),
            "rtp.conf": "[general]\nrtpstart = 20000\nrtpend = 29999\nstrictrtp = no\n",
            "musiconhold.conf": "[general]\n",
            "queues.conf": "[general]\n",
            "amd.conf": "[general]\n",
            "stasis.conf": "[threadpool]\n",
            "websocket_client.conf": websocket_client("127.0.0.1", self._websocket_port or 1),
            "pjsip.conf": self._pjsip(),
            "extensions.conf": self._dialplan(media_port, on_answer),
        }
        for name, text in files.items():
            (self.folder / name).write_text(text, encoding="utf-8")

    def _pjsip(self) -> str:
        told = [f"[udp]\ntype = transport\nprotocol = udp\nbind = 127.0.0.1:{self.sip_port}\n"]
        for name, port in self._phones.items():
            told.append(
                f"[{name}]\ntype = endpoint\ncontext = from-{name}\ndisallow = all\nallow = alaw\n"
                f"aors = {name}\ndirect_media = no\nrtp_symmetric = yes\n"
                f"[{name}]\ntype = aor\ncontact = sip:{name}@127.0.0.1:{port}\n"
            )
        return "\n".join(told)

    def _dialplan(self, media_port: int, on_answer: bool) -> str:
        """As an engineer has it: the printed one, and the context in which clients arrive."""
        if on_answer:
            steps = "Set(__VAD_CLIENT=${UNIQUEID})\n same => n,Dial(PJSIP/operator,,U(answered))"
        else:
            steps = f"{TAP}\n same => n,Dial(PJSIP/operator)"
        tap = f'"${{UUID()}},127.0.0.1:{media_port}"'
        websocket = self._websocket_port is not None
        printed = dialplan("127.0.0.1", media_port, self._processes, websocket=websocket)
        return f"""{printed}
[from-client]
exten => 100,1,NoOp()
 same => n,{steps}
 same => n,Hangup()
[tapped]
exten => s,1,{TAP}
 same => n,Set(GLOBAL(WENT_ON)=with ${{VAD}})
 same => n,Hangup()
[echo]
exten => s,1,Answer()
 same => n,Echo()
[answered]
exten => s,1,Originate(Local/spy${{VAD_CLIENT}}@vad/n,app,AudioSocket,{tap},,,a)
 same => n,Return()
"""

    # -- process -----------------------------------------------------------------------------------

    def start(self) -> None:
        """Start it, and wait until its REST interface answers."""
        log = (self.folder / "log" / "console").open("ab")
        command = ["asterisk", "-C", f"/etc/{self.name}/asterisk.conf", "-f", "-U", "root"]
        self._process = subprocess.Popen(
            ["chroot", str(ROOT), *command], stdout=log, stderr=log, stdin=subprocess.DEVNULL
        )
        log.close()
        until(self._answers, READY_S, "Asterisk's REST interface")

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log
        try:
            return self.ari("GET", "/asterisk/info").is_success
        except httpx.TransportError:
            return False

    @property
    def log(self) -> str:
        """What it logged."""
        return "".join(
            path.read_text("utf-8", "replace")[-6000:]
            for path in sorted((self.folder / "log").iterdir())
            if path.is_file()
        )

    @property
    def url(self) -> str:
        """Its HTTP address."""
        return f"http://127.0.0.1:{self.http_port}"

    def ari(self, method: str, path: str, **query: str) -> httpx.Response:
        """A request to its REST interface."""
        return httpx.request(
            method, f"{self.url}/ari{path}", params=query, auth=("desk", self.password), timeout=5
        )

    def command(self, text: str) -> str:
        """A command of its console."""
        config = f"/etc/{self.name}/asterisk.conf"
        done = subprocess.run(
            ["chroot", str(ROOT), "asterisk", "-C", config, "-rx", text],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
        return done.stdout + done.stderr

    def kill(self) -> None:
        """End it at once, as a crash does."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(5)

    def close(self) -> None:
        """End it, and remove its folder."""
        if self._process is not None:
            end(self._process)
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Asterisk:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
