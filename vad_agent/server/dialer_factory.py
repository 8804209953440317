"""Makes the dialer that the settings name, from its table."""

from __future__ import annotations

from collections.abc import Callable

from vad_agent.callbacks.dialers.base import Dialer, DialRequest
from vad_agent.server.desk_config import DeskConfig


def make_dialer(config: DeskConfig, tell: Callable[[DialRequest], None]) -> Dialer:
    """The centre's dialer; each is imported only when used. `tell`: notifies a person who is to call.

    Raises:
        SettingsError: its table is not valid.
    """
    match config.dialer:
        case "asterisk":
            from vad_agent.callbacks.dialers.ari_call import AsteriskConfig
            from vad_agent.callbacks.dialers.asterisk import AsteriskDialer

            return AsteriskDialer(config.dialer_config(AsteriskConfig))
        case "naumen":
            from vad_agent.callbacks.dialers.naumen import NaumenDialer
            from vad_agent.callbacks.dialers.naumen_config import NaumenConfig

            return NaumenDialer(config.dialer_config(NaumenConfig))
        case "webhook":
            from vad_agent.callbacks.dialers.webhook import WebhookConfig, WebhookDialer

            return WebhookDialer(config.dialer_config(WebhookConfig))
        case "mango":
            from vad_agent.callbacks.dialers.mango import MangoConfig, MangoDialer

            return MangoDialer(config.dialer_config(MangoConfig))
        case _:
            from vad_agent.callbacks.dialers.manual import ManualDialer

            return ManualDialer(tell)
