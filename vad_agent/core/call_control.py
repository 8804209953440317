"""Effect of each event on a call: one small function per event, in one table.

An event that changes nothing (a second hold, an unhold without a hold) is accepted and ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from vad_agent.core import actions as act
from vad_agent.core.actions import LineState, Phase, Reason
from vad_agent.core.events import Event, EventKind
from vad_agent.core.frames import Channel, frames
from vad_agent.core.session_state import CallState
from vad_agent.core.silence_clock import Suspension


def apply(call: CallState, event: Event) -> None:
    """Apply the event to the call.

    Raises:
        EventError: the event cannot be carried out; nothing has changed.
    """
    _HANDLERS[event.kind](call, event)


# -- the switchboard --------------------------------------------------------------------------------


def _ringing(call: CallState, event: Event) -> None:
    _phone(call, event)
    if call.phase is Phase.GREETING and not call.greeted:
        call.ringing = True


def _answered(call: CallState, event: Event) -> None:
    _phone(call, event)
    guessed = call.answer_guessed and call.phase is Phase.GREETING
    if call.ringing or guessed or not call.greeted:
        call.answer()


def _hold(call: CallState, event: Event) -> None:
    party = _SIDES.get(event.party or "", Channel.CLIENT)
    if call.holds.begin(party):
        call.hold(party, call.now)


def _unhold(call: CallState, event: Event) -> None:
    if not call.holds.end(_SIDES.get(event.party or "")):
        return
    if not call.holds:
        call.unhold(anew=True)
        call.clock.restart(call.now)
        call.holds.client_back()
    elif call.holds.by_client:
        call.hold_on()


def _hangup(call: CallState, event: Event) -> None:
    if call.ringing:
        call.end(None)
    elif event.party != Channel.OPERATOR.value:
        call.client_gone()
    # A normal end of a call. A client who was not heard or did not return is still called back.
    elif (reason := call.unresolved()) is not None:
        call.end_unresolved(reason)
    else:
        call.end_well()


def _line_gone(call: CallState, _: Event) -> None:
    """Use what is known about the end. After talk on both sides, the cause may be unknown."""
    if call.ringing:
        call.end(None)
    elif call.goodbye or not call.both_talked or call.unresolved() is not None:
        call.client_gone()
    else:
        call.end_unconfirmed()


def _mute(call: CallState, _: Event) -> None:
    call.actions.append(act.LineChanged(call.now, Channel.OPERATOR, LineState.MUTED, call.now))
    call.suspend(Suspension.MUTED)


def _unmute(call: CallState, _: Event) -> None:
    line = call.operator.line
    if call.resume(Suspension.MUTED) and line is not None:
        call.actions.append(act.LineChanged(call.now, Channel.OPERATOR, line, call.now))


# -- the operator's keys ----------------------------------------------------------------------------


def _pause(call: CallState, _: Event) -> None:
    call.rearm()
    call.clock.suspend(Suspension.PAUSED)


def _resume(call: CallState, _: Event) -> None:
    call.resume(Suspension.PAUSED)


def _name(call: CallState, event: Event) -> None:
    name = call.prompt_controller.client_name = (event.name or "").strip() or None
    call.actions += call.request.set_client_name(call.now, name)


def _phone(call: CallState, event: Event) -> None:
    call.actions += call.request.of_call(call.now, event)


def _cannot_hear(call: CallState, _: Event) -> None:
    if not call.cannot_hear:
        call.cannot_hear = True
        call.rearm()
        call.prompt_controller.ask_callback(call.now, Reason.CLIENT_CANNOT_HEAR)
        call.clock.restart(call.now)


def _callback_agreed(call: CallState, event: Event) -> None:
    name = (event.name or "").strip() or call.prompt_controller.client_name
    call.actions += call.request.ask(call.now, Reason.AGREED, name, event)
    call.prompt_controller.client_name = name


def _goodbye(call: CallState, _: Event) -> None:
    call.rearm()
    call.goodbye = True


def _goodbye_undone(call: CallState, _: Event) -> None:
    if call.goodbye:
        call.goodbye = False
        call.rearm()
        call.clock.restart(call.now)


# -- the player, the devices, the source ------------------------------------------------------------


def _prompt_started(call: CallState, event: Event) -> None:
    call.prompt_controller.started(call.now, event.prompt, event.text)


def _prompt_ended(call: CallState, event: Event) -> None:
    call.prompt_controller.finished(call.now, event.prompt)
    call.end_if_said()


def _prompt_failed(call: CallState, event: Event) -> None:
    call.prompt_controller.failed(call.now, event.prompt)


def _player_ready(call: CallState, event: Event) -> None:
    call.prompt_controller.ready(frames(event.latency_s or 0.0))


def _device_lost(call: CallState, event: Event) -> None:
    party = event.party or ""
    if party in call.lost_devices:
        return
    call.lost_devices.add(party)
    call.actions.append(act.Alert(call.now, f"{party}_device_lost"))
    if party in _DEVICE:
        _lose_side(call, party)
    else:
        call.prompt_controller.lose_player(call.now)


def _lose_side(call: CallState, party: str) -> None:
    call.lines.unwatch(Channel(party))
    call.suspend(_DEVICE[party])


def _device_back(call: CallState, event: Event) -> None:
    party = event.party or ""
    if party not in call.lost_devices:
        return
    call.lost_devices.discard(party)
    call.actions.append(act.Alert(call.now, f"{party}_device_back"))
    if party not in _DEVICE:
        call.prompt_controller.regain_player(call.now)
        return
    call.lines.watch(Channel(party), call.now)
    if party == Channel.OPERATOR.value:
        call.began = call.now  # the operator may have greeted without being heard
    call.resume(_DEVICE[party])


def _source_ended(call: CallState, event: Event) -> None:
    """No more frames will come, and the reason is unknown.

    If only one party's source ended, the other party's frames continue.
    """
    party = event.party or ""
    if party in _DEVICE:
        call.actions.append(act.Alert(call.now, f"{party}_recording_ended"))
        _lose_side(call, party)
        return
    if (reason := call.unresolved()) is not None:
        call.prompt_controller.ask_callback(call.now, reason)
    call.end(call.prompt_controller.ended)


_SIDES = {channel.value: channel for channel in Channel}
_DEVICE = {
    Channel.OPERATOR.value: Suspension.OPERATOR_DEVICE_LOST,
    Channel.CLIENT.value: Suspension.CLIENT_DEVICE_LOST,
}
_HANDLERS: Mapping[EventKind, Callable[[CallState, Event], None]] = {
    EventKind.RINGING: _ringing,
    EventKind.ANSWERED: _answered,
    EventKind.HOLD: _hold,
    EventKind.UNHOLD: _unhold,
    EventKind.HANGUP: _hangup,
    EventKind.LINE_GONE: _line_gone,
    EventKind.OPERATOR_MUTE: _mute,
    EventKind.OPERATOR_UNMUTE: _unmute,
    EventKind.PAUSE: _pause,
    EventKind.RESUME: _resume,
    EventKind.CLIENT_NAME: _name,
    EventKind.CLIENT_PHONE: _phone,
    EventKind.CLIENT_CANNOT_HEAR: _cannot_hear,
    EventKind.CALLBACK_AGREED: _callback_agreed,
    EventKind.GOODBYE: _goodbye,
    EventKind.GOODBYE_UNDONE: _goodbye_undone,
    EventKind.PROMPT_STARTED: _prompt_started,
    EventKind.PROMPT_ENDED: _prompt_ended,
    EventKind.PROMPT_FAILED: _prompt_failed,
    EventKind.PLAYER_READY: _player_ready,
    EventKind.DEVICE_LOST: _device_lost,
    EventKind.DEVICE_BACK: _device_back,
    EventKind.SOURCE_ENDED: _source_ended,
}
