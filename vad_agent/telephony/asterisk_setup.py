"""What an engineer puts into Asterisk: the dialplan, the users of ARI and AMI; what a version cannot do.

The tap hears both sides of the client's channel and whispers to the client. Nothing of ours stands in
the call's way: a tap that fails, fails alone. Facts of versions: Asterisk's change logs and issues.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

OLDEST = (18, 0)
MODULES = {
    "app_audiosocket": "carries the sound",
    "res_audiosocket": "carries the sound",
    "app_chanspy": "hears both sides",
    "app_originate": "begins the tap",
    "func_uuid": "names the tap",
    "func_dialplan": "lets calls go on where [vad-tap] is missing",
    "res_ari_events": "tells who answers, hold, hang-up",
    "res_ari_channels": "hangs up",
}
"""Module → why it is needed."""
WEBSOCKET_MODULES = {
    "chan_websocket": "carries the sound",
    "res_websocket_client": "connects to us",
}
PROCESS_MODULES = {"func_rand": "chooses the process"}
CHECK_MODULES = {"chan_audiosocket": "makes the test call of `pbx check`"}
TAP = "GosubIf(${DIALPLAN_EXISTS(vad-tap,s,1)}?vad-tap,s,1)"
"""What begins the tap, in the context in which clients arrive. A Gosub into nothing would end the call."""
ADDS = "(+) adds to the file's [general]; has it none, leave (+) out"
_VERSION = re.compile(r"(\d+)\.(\d+)")


@dataclass(frozen=True, slots=True)
class VersionFault:
    """A fault or a missing feature, and the versions since which it is gone: one for each branch."""

    what: str
    remedy: str
    fixed: tuple[tuple[int, int], ...]

    def concerns(self, version: tuple[int, int]) -> bool:
        """This version has it. A branch that is newer than all of `fixed` has not."""
        for major, minor in self.fixed:
            if version[0] == major:
                return version[1] < minor
        return version[0] < max(self.fixed)[0]


FAULTS = (
    VersionFault(
        "ChanSpy cannot deliver both sides in stereo (option D)",
        "upgrade: without it nothing can be heard apart",
        ((18, 22), (20, 7), (21, 2), (22, 0)),
    ),
    VersionFault(
        "the function UUID() does not exist",
        "in the dialplan set VAD by an AGI or from uuidgen: SHELL(uuidgen)",
        ((20, 12), (21, 7), (22, 2)),
    ),
    VersionFault(
        "while the operator's telephone sends nothing at all, the client does not hear a phrase",
        "switch silence suppression off in the operators' telephones, or upgrade",
        ((20, 21), (22, 11), (23, 5)),
    ),
    VersionFault(
        "keys that the client presses are not told over AudioSocket",
        "none is needed: keys are heard as tones",
        ((20, 14), (21, 9), (22, 4)),
    ),
)
WEBSOCKET_FAULT = VersionFault(
    "chan_websocket has no JSON control messages and no marks",
    "let the tap go by AudioSocket: leave --websocket out",
    ((20, 18), (22, 8), (23, 2)),
)


def parse_version(text: str) -> tuple[int, int] | None:
    """(22, 10) of `Asterisk 22.10.1+dfsg`; None: no version."""
    found = _VERSION.search(text)
    return (int(found[1]), int(found[2])) if found else None


def faults(version: tuple[int, int], *, websocket: bool = False) -> list[VersionFault]:
    """What this version cannot do. `websocket`: the tap goes by chan_websocket."""
    known = (*FAULTS, WEBSOCKET_FAULT) if websocket else FAULTS
    return [fault for fault in known if fault.concerns(version)]


def dialplan(host: str, port: int, processes: int = 1, *, websocket: bool = False) -> str:
    """For extensions.conf, or extensions_custom.conf of FreePBX. `host`, `port`: where `pbx` listens;
    with several processes each takes the taps that end in its digit (`process_pool.Share`).

    `websocket`: the tap, and one after it broke, go by chan_websocket, to the connection of
    `websocket_client`.
    """
    choose, name, address, process = "", "${UUID()}", f"{host}:{port}", ""
    if processes > 1:
        process = "${VAD_PROCESS}"
        choose = f"\n same => n,Set(VAD_PROCESS=${{RAND(0,{processes - 1})}})"
        name = f"${{UUID():0:35}}{process}"
        address = f"{host}:$[{port} + {process}]"
    by, to = "AudioSocket", f"${{VAD}},{address}"
    again = "AudioSocket(${VAD_CALL},${VAD_MEDIA})"
    if websocket:
        socket = "WebSocket/vad%s/c(slin)f(json)v(call=${%s},leg=both)"
        by, to = "Dial", socket % (process, "VAD")
        again = f"Dial({socket % ('${VAD_CALL:-1}' if process else '', 'VAD_CALL')})"
    return f"""; extensions.conf; FreePBX: extensions_custom.conf
; In the context in which clients arrive, on the client's channel, before Dial or Queue:
;   same => n,{TAP}
; FreePBX 17: in each of [macro-dialout-one-predial-hook], [macro-dial-ringall-predial-hook] and
;   [macro-dial-hunt-predial-hook]: exten => s,1,{TAP}

[vad-tap]
exten => s,1,ExecIf($["${{VAD}}" != ""]?Return()){choose}
 same => n,Set(__VAD={name})
 same => n,Originate(Local/spy${{UNIQUEID}}@vad/n,app,{by},"{to}",,,a)
 same => n,Return()

[vad]
exten => _spy.,1,Answer()
 same => n,ChanSpy(${{EXTEN:3}},uqDEw)
 same => n,Hangup()

[vad-again]                              ; a call whose tap broke, and all after a restart of vad-agent
exten => s,1,{again}
 same => n,Hangup()

[vad-machine]                            ; callbacks: machine_context = "vad-machine" in desk.toml
exten => _[0-9a-z].,1,AMD()
 same => n,Stasis(vad-agent,${{EXTEN}})

[vad-check]                              ; the test calls of `vad-agent pbx check`, and nothing else
exten => s,1,Originate(Local/spy${{UNIQUEID}}@vad/n,app,AudioSocket,"${{VAD}},${{VAD_CHECK}}",,,a)
 same => n,Dial(AudioSocket/${{VAD_CHECK}}/${{VAD_PEER}}/c(slin),20)
 same => n,Hangup()
exten => tap,1,{TAP}
 same => n,Wait(15)
 same => n,Hangup()
exten => phone,1,Dial(${{VAD_PHONE}},30)
 same => n,Hangup()
"""


def websocket_client(host: str, port: int, processes: int = 1, *, token: str = "") -> str:
    """For websocket_client.conf. `host`, `port`: of `pbx --websocket`; `token`: its own, if it has one."""
    found = "; websocket_client.conf\n"
    for process in range(processes):
        found += f"""[vad{process if processes > 1 else ""}]
type = websocket_client
uri = ws://{host}:{port + process}/{token}
protocols = media
connection_type = per_call_config
"""
    return found


def ari_conf(user: str, password: str) -> str:
    """For ari.conf. It and those below add to the [general] that Debian's and FreePBX's files have."""
    return f"""; ari.conf. {ADDS}
[general](+)
enabled = yes
[{user}]
type = user
password = {_value(password)}
"""


def http_conf() -> str:
    """For http.conf: ARI needs it."""
    return f"""; http.conf. {ADDS}
[general](+)
enabled = yes
bindaddr = 127.0.0.1
bindport = 8088
"""


def manager_conf(user: str, secret: str) -> str:
    """For manager.conf, where ARI is off. The user is told only the events that are used."""
    return f"""; manager.conf: AMI, instead of ARI where that is off. {ADDS}
[general](+)
enabled = yes
bindaddr = 127.0.0.1
port = 5038
[{user}]
secret = {_value(secret)}
read = call,dialplan
write = call,originate,reporting
eventfilter = Event: (DialEnd|Hold|Unhold|Hangup|HangupRequest|SoftHangupRequest)
eventfilter = Variable: _*VAD
"""


def _value(text: str) -> str:
    """In Asterisk's files `;` begins a comment."""
    return text.replace(";", "\\;")


def checklist(
    version: tuple[int, int] | None, processes: int = 1, *, websocket: bool = False
) -> list[str]:
    """What to look at, one line each. `websocket`: the tap goes by chan_websocket."""
    modules = MODULES | (WEBSOCKET_MODULES if websocket else {})
    modules = modules | (PROCESS_MODULES if processes > 1 else {}) | CHECK_MODULES
    found = [f"module {name}.so loaded: {why}" for name, why in modules.items()]
    found.append("asterisk -rx 'dialplan reload'; asterisk -rx 'module reload res_ari.so http'")
    found.append("vad-agent pbx check --ari http://127.0.0.1:8088 --ari-user USER")
    if version is None:
        found.append("the version is not known: name it by --version, or an Asterisk by --ari")
    elif version < OLDEST:
        found.append(
            f"Asterisk {version[0]}.{version[1]} is older than 18: it is not known to work"
        )
    return found
