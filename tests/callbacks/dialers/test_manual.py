from __future__ import annotations

from datetime import UTC, datetime

import pytest

from vad_agent.callbacks.dialers.base import DialRequest, DialUncertain, Hooked, Offered, Unknown
from vad_agent.callbacks.dialers.manual import ManualDialer

ORDER = DialRequest("5f0c.1.1", "+79123456789", datetime(2026, 1, 1, tzinfo=UTC))


def test_a_person_who_was_told_has_an_offer_until_the_desk_hears_otherwise() -> None:
    dialer = ManualDialer()
    dialer.open(lambda _: pytest.fail("nothing is reported"))
    offered = dialer.dial(ORDER)
    assert offered == Offered("manual")
    dialer.hang_up(ORDER.key, "manual")
    assert dialer.status(ORDER.key, "manual") == offered
    dialer.close()
    assert ManualDialer().status(ORDER.key, "manual") == offered  # also after a restart


def test_where_nobody_was_told_it_is_dialled() -> None:
    assert ManualDialer().status(ORDER.key, "") == Unknown()


def test_what_another_dialer_began_is_not_judged() -> None:
    with pytest.raises(DialUncertain, match="another dialer"):
        ManualDialer().status(ORDER.key, "case:5f0c.1.1")


def test_it_is_told_nothing_by_http() -> None:
    assert not isinstance(ManualDialer(), Hooked)
