"""Metrics are such as Prometheus reads, and they add up to what the store says."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from tests.server.api_desk import ApiDesk
from vad_agent.callbacks.alerts import Kind
from vad_agent.callbacks.model import OPEN, Outcome, State
from vad_agent.callbacks.unit_of_work import Actor


def scraped(one: ApiDesk) -> dict[str, dict[str, float]]:
    """By name, then by the value of the one label, or ""."""
    answer = one.client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    found: dict[str, dict[str, float]] = {}
    for family in text_string_to_metric_families(answer.text):
        assert family.documentation
        for sample in family.samples:
            label = next(iter(sample.labels.values()), "")
            assert label not in found.setdefault(sample.name, {}), sample
            found[sample.name][label] = sample.value
    return found


def test_an_empty_desk_has_every_series_at_zero(one):
    found = scraped(one)
    assert found.pop("vad_agent_store_up") == {"": 1}
    assert set(found["vad_agent_callbacks"]) == {state.value for state in State}
    assert set(found["vad_agent_attempts_total"]) == {outcome.value for outcome in Outcome}
    assert set(found["vad_agent_alarms"]) == {kind.value for kind in Kind}
    counts = [
        value for name, one in found.items() for value in one.values() if "created" not in name
    ]
    assert set(counts) == {0}


def test_it_adds_up(one):
    for n in range(6):
        one.ask(phone=f"+7912000000{n}")
    one.ask(phone="+79120000000", reason="client_hold")
    one.ask(phone=None)
    ids = [
        callback["id"] for callback in one.get("/callbacks", state="waiting").json()["callbacks"]
    ]
    one.post(f"/callbacks/{ids[1]}/cancel")
    one.post(f"/callbacks/{ids[2]}/outcome", {"outcome": "reached"})
    one.post("/client-called", {"phone": one.store.get(ids[3]).phone})
    for id, end in ((ids[4], Outcome.BUSY), (ids[5], None)):
        key = one.store.get(id).key
        assert one.store.begin(key, "desk-1", Actor("engine", one.desk.clock.now()))
        if end:
            one.desk.report(key, end, "desk-1")

    found = scraped(one)
    states = found["vad_agent_callbacks"]
    assert sum(states.values()) == 7
    assert states["ringing"] == found["vad_agent_attempts_under_way"][""] == 1
    assert found["vad_agent_callbacks_open"][""] == sum(states[state.value] for state in OPEN) == 4
    assert found["vad_agent_callbacks_overdue"][""] == 0
    assert 0 < found["vad_agent_callbacks_oldest_due_seconds"][""] < 60
    assert found["vad_agent_attempts_total"]["busy"] == 1
    promise = {part: found[f"vad_agent_promise_{part}"][""] for part in one.get("/promise").json()}
    assert promise == one.get("/promise").json()
    assert promise["missing"] == 0
    ended = ("reached", "not_reached", "client_called", "cancelled")
    assert promise["taken"] == sum(promise[part] for part in ended) + promise["open"] == 8
    assert found["vad_agent_requests_stored_total"] == {
        "taken": 7,
        "merged": 1,
        "revised": 0,
        "duplicate": 0,
    }


def test_an_overdue_callback_is_counted(one):
    one.ask(asked="2026-01-01T12:00+03:00")
    found = scraped(one)
    assert found["vad_agent_callbacks_overdue"][""] == 1
    assert found["vad_agent_callbacks_oldest_due_seconds"][""] > 86_400


def test_lateness_is_a_histogram_and_early_is_not_late(one):
    for late in (-0.5, 0.05, 0.2, 1.4, 61, 400):
        one.metrics.late(late)
    found = scraped(one)
    buckets = found["vad_agent_attempt_lateness_seconds_bucket"]
    assert [buckets[le] for le in ("0.1", "0.25", "1.5", "60.0", "300.0", "+Inf")] == [
        2,
        3,
        4,
        4,
        5,
        6,
    ]
    assert found["vad_agent_attempt_lateness_seconds_count"][""] == 6


def test_alarms_that_are_on_and_those_that_were(one):
    now = one.desk.clock.now()
    for about in ("a", "b"):
        one.app_state.alerts.sound(Kind.OVERDUE, about, now)
    one.app_state.alerts.settle(Kind.OVERDUE, "a")
    found = scraped(one)
    assert found["vad_agent_alarms"]["overdue"] == 1
    assert found["vad_agent_alarms_sounded_total"]["overdue"] == 2


def test_two_desks_of_one_process_count_apart(one):
    one.metrics.late(1)
    other = ApiDesk(one.store, one.app_state)
    assert scraped(other)["vad_agent_attempt_lateness_seconds_count"][""] == 0
    assert scraped(one)["vad_agent_attempt_lateness_seconds_count"][""] == 1
