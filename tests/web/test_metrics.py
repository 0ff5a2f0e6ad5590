"""What machines that watch the hub may read, and who may."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from hub.bulk import run
from hub.db import make_engine
from hub.outbox import connections
from hub.runtime import Runtime
from hub.settings import Settings
from tests.apps import an_app
from tests.people import new_program
from tests.shops import delivery, order, shop


def client(runtime: Runtime, metrics_token: str = "") -> FlaskClient:
    settings = replace(runtime.settings, metrics_token=metrics_token)
    return an_app(replace(runtime, settings=settings)).test_client()


@pytest.fixture
def runtime(database: str, redis_url: str, tmp_path: Path) -> Iterator[Runtime]:
    runtime = Runtime.start(Settings(data=tmp_path, database_url=database, redis_url=redis_url))
    yield runtime
    runtime.engine.dispose()


def values(text: str) -> dict[str, float]:
    """Sample with its labels -> value."""
    return {
        sample.name + "".join(f" {sample.labels[k]}" for k in sorted(sample.labels)): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_what_waits_and_what_failed_is_counted(runtime: Runtime) -> None:
    with runtime.sessions.begin() as session:
        program = new_program(session)
        channel = shop(
            session, program, "Trang chủ của Mai", down_until=datetime.now(UTC) + timedelta(hours=1)
        )
        for state, code in (("failed", "not_json"), ("parked", "conflict"), ("parked", "conflict")):
            delivery(
                session,
                program,
                channel,
                state=state,
                fault="payload",
                code=code,
                detail="phone 0912345678",
            )
        for priority, age in ((5, 60), (9, 600)):
            delivery(
                session, program, channel, state="due", outcome=None, priority=priority, direction="outbound",
                due_at=datetime.now(UTC) - timedelta(seconds=age),
            )  # fmt: skip
        delivery(
            session,
            program,
            channel,
            state="due",
            outcome=None,
            due_at=datetime.now(UTC) + timedelta(hours=1),
        )
        order(session, program, channel, datetime.now(UTC))
    answer = client(runtime).get("/metrics")
    found = values(answer.text)
    assert found["hub_deliveries_open inbound failed"] == 1
    assert found["hub_deliveries_open inbound parked"] == 2
    assert found["hub_deliveries_open outbound due"] == 2
    assert found["hub_deliveries_open outbound waiting"] == 0
    assert 600 <= found["hub_deliveries_oldest_due_seconds outbound"] < 630
    assert found["hub_deliveries_oldest_due_seconds inbound"] == 0, "what is due later is not late"
    assert found["hub_channels woocommerce down"] == 1
    assert found["hub_deliveries_created_total"] == 6
    assert found["hub_transactions_created_total"] == 1
    assert found["hub_database_up"] == 1
    for text in ("Mai", "0912345678", "corner"):
        assert text not in answer.text


@pytest.mark.parametrize(
    ("token", "sent", "address", "headers", "status"),
    [
        ("", "", "127.0.0.1", {}, 200),
        ("", "", "10.1.2.3", {}, 200),
        ("", "", "203.0.113.9", {}, 403),
        ("", "", "nonsense", {}, 403),
        ("", "", "127.0.0.1", {"X-Forwarded-For": "203.0.113.9"}, 403),  # a proxy on this machine
        ("", "", "127.0.0.1", {"Forwarded": "for=203.0.113.9"}, 403),
        ("t0ken", "Bearer t0ken", "203.0.113.9", {"X-Forwarded-For": "203.0.113.9"}, 200),
        ("t0ken", "bearer t0ken", "203.0.113.9", {}, 200),
        ("t0ken", "Bearer t0kenx", "127.0.0.1", {}, 403),
        ("t0ken", "", "127.0.0.1", {}, 403),
        ("t0ken", "Basic t0ken", "127.0.0.1", {}, 403),
        ("t0ken", "Bearer \xff\xfe", "127.0.0.1", {}, 403),
    ],
)
def test_only_who_may_reads_it(
    runtime: Runtime, token: str, sent: str, address: str, headers: dict[str, str], status: int
) -> None:
    headers |= {"Authorization": sent} if sent else {}
    answer = client(runtime, metrics_token=token).get(
        "/metrics", headers=headers, environ_base={"REMOTE_ADDR": address}
    )
    assert answer.status_code == status
    assert ("hub_info" in answer.text) == (status == 200)


def test_a_database_that_is_away_is_a_number_too(tmp_path: Path) -> None:
    url = "postgresql://nobody@127.0.0.1:9/none"
    runtime = Runtime.start(Settings(data=tmp_path, database_url=url, redis_url=""), "web")
    away = client(runtime)
    assert values(away.get("/metrics").text)["hub_database_up"] == 0
    ready = away.get("/readyz")
    assert (ready.status_code, ready.text) == (503, "the database does not answer\n")
    assert away.get("/healthz").status_code == 200


def test_an_old_schema_is_not_ready(runtime: Runtime, database: str) -> None:
    assert client(runtime).get("/readyz").text == "ok\n"
    owner = make_engine(database, role=None)
    with owner.begin() as connection:
        now = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one()
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0001'")
    try:
        answer = client(runtime).get("/readyz")
        assert (answer.status_code, "hub migrate" in answer.text) == (503, True)
    finally:
        with owner.begin() as connection:
            connection.exec_driver_sql("UPDATE alembic_version SET version_num = %s", (now,))
        owner.dispose()


def test_asking_shops_is_told_of(runtime: Runtime) -> None:
    with runtime.sessions.begin() as session:
        channel = shop(session, new_program(session), "Shop")
        connections.ensure(session)
        run(
            session,
            """UPDATE connections SET asked_at = now() - interval '90 seconds', watch_ok = false, seen = 9, found = 4,
                   missed = 1 WHERE channel_id = :id""",
            {"id": channel},
        )
    found = values(client(runtime).get("/metrics").text)
    (age,) = [value for name, value in found.items() if name.startswith("hub_reconcile_age_seconds")]
    assert age >= 90
    assert [v for n, v in found.items() if n.startswith("hub_connections_ill")] == [1]
    told = {n.rpartition(" ")[2]: v for n, v in found.items() if n.startswith("hub_reconciled_messages")}
    assert told == {"seen": 9, "found": 4, "missed": 1}
