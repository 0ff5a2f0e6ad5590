"""`hub replay`: make deliveries due again."""

from __future__ import annotations

import click

from hub.commands.ground import ACTOR, find_program, ground, program_option
from hub.i18n import gettext as _
from hub.show import json_option, show_one


@click.command("replay")
@click.argument("deliveries", nargs=-1, type=int)
@program_option
@click.option("--failed", is_flag=True, help="All that failed or were parked.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def command(
    deliveries: tuple[int, ...], program: str | None, failed: bool, yes: bool, as_json: bool
) -> None:
    """Make DELIVERIES (their numbers) due again: the very same path as the first time.

    Replaying what was right changes nothing.
    """
    from hub.audit import record
    from hub.bulk import run
    from hub.outbox import deliveries as rows
    from hub.sync.doorbell import Doorbell

    if bool(deliveries) == failed:
        raise click.UsageError(_("name deliveries, or give --failed"))
    with ground() as runtime:
        with runtime.sessions.begin() as session:
            found = find_program(session, program)
            wanted = run(
                session,
                """SELECT id FROM deliveries WHERE program_id = :program
                   AND (id = ANY(:ids) OR (:failed AND state IN ('failed', 'parked'))) ORDER BY id""",
                {"program": found.id, "ids": list(deliveries), "failed": failed},
            )
            ids = [row.id for row in wanted]
            if ids and not (
                yes
                or as_json
                or click.confirm(_("Replay {count} deliveries?", count=len(ids)), default=True)
            ):
                return
            done = rows.replay(session, ids)
            record(session, found.id, ACTOR, "deliveries.replayed", "deliveries", {"ids": done[:1000]})
        bell = Doorbell(runtime.settings.redis_url)
        bell.ring("inbound")
        bell.ring("outbound")
    missing = sorted(set(deliveries) - set(ids))
    show_one(
        {
            "replayed": len(done),
            "left_alone": len(ids) - len(done),
            "unknown": ", ".join(map(str, missing)),
        },
        as_json=as_json,
    )
