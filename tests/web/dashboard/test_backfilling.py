"""A channel's history on its page: begun, seen, brought in, stopped; by the owner of this programme alone."""

from __future__ import annotations

import json

from hub.bulk import run
from hub.connect import add_channel
from hub.outbox.channels import Channel
from hub.sync import backfills
from hub.sync.backfills import Backfill
from hub.sync.trying import Figures
from tests.desks import Office


def now(office: Office, channel: Channel) -> Backfill:
    with office.runtime.sessions() as session:
        found = backfills.latest(session, channel)
    assert found is not None
    return found


def begun(office: Office, channel: Channel, **given: str) -> Backfill:
    wish = {"since": "2024-01-31", "counts": "tiers", **given}
    answer = office.desk("owner").post(f"./channels/{channel.public_id}/history", data=wish)
    assert answer.status_code == 303
    return now(office, channel)


def test_it_is_begun_with_a_day_and_what_it_counts_for(office: Office, channel: Channel) -> None:
    path = f"./channels/{channel.public_id}"
    assert f"{channel.public_id}/history" in office.desk("owner").get(path).text
    assert "What the shop sold before" in office.desk("owner").get(f"{path}/start").text
    assert "Fetch and try" in office.desk("owner").get(f"{path}/history").text
    found = begun(office, channel)
    assert (found.state, found.counts, found.actor) == ("fetching", "tiers", found.actor)
    page = office.desk("owner").get(f"{path}/history").text
    assert "Fetching what the shop has" in page
    assert "Fetch and try" not in page


def test_what_trying_said_is_read_and_brought_in(office: Office, channel: Channel) -> None:
    found = begun(office, channel, counts="points")
    figures = Figures(
        sales=7, members_found=2, members_new=3, merges=1, given=120, expired=20, liability=5000
    )
    with office.runtime.sessions.begin() as session:
        run(
            session,
            "UPDATE backfills SET state = 'tried', forecast = CAST(:forecast AS jsonb), total = 7 WHERE id = :id",
            {"forecast": json.dumps(figures.as_json()), "id": found.id},
        )
    path = f"./channels/{channel.public_id}/history"
    page = office.desk("owner").get(path).text
    for sentence in ("7 orders.", "2 members are known, 3 would be new.", "1 merge would be suggested."):
        assert sentence in page
    assert office.desk("owner").post(f"{path}/{found.public_id}/bring").status_code == 303
    assert now(office, channel).state == "bringing"
    assert office.desk("owner").post(f"{path}/{found.public_id}/pause").status_code == 303
    assert now(office, channel).paused
    assert "It is paused." in office.desk("owner").get(path).text
    office.desk("owner").post(f"{path}/{found.public_id}/resume")
    office.desk("owner").post(f"{path}/{found.public_id}/stop")
    assert now(office, channel).state == "stopped"


def test_no_merge_is_not_told_and_every_note_is(office: Office, channel: Channel) -> None:
    """`channel` is of a kind whose codes the page words; one it has no words for stands as it is."""
    found = begun(office, channel, counts="points")
    with office.runtime.sessions.begin() as session:
        run(
            session,
            """UPDATE backfills SET state = 'tried', forecast = CAST(:forecast AS jsonb), total = 7,
                      note = 'first_note second_note' WHERE id = :id""",
            {"forecast": json.dumps(Figures(sales=7, given=120).as_json()), "id": found.id},
        )
    page = office.desk("owner").get(f"./channels/{channel.public_id}/history").text
    assert "7 orders." in page
    assert "would be suggested" not in page
    assert page.count("first_note") == page.count("second_note") == 1


def test_only_owners_and_only_of_this_programme(office: Office, channel: Channel) -> None:
    found = begun(office, channel)
    path = f"./channels/{channel.public_id}/history"
    assert office.desk("support").post(f"{path}/{found.public_id}/stop").status_code == 403
    assert office.desk("owner").post(f"{path}/bfl_nobody/stop").status_code == 404
    assert office.desk("owner").post(f"{path}/{found.public_id}/burn").status_code == 404
    assert now(office, channel).state == "fetching"


def test_a_day_that_is_none_is_refused(office: Office, channel: Channel) -> None:
    path = f"./channels/{channel.public_id}/history"
    for day in ("", "31.1.2024", "0001-01-01"):
        office.desk("owner").post(path, data={"since": day})
    with office.runtime.sessions() as session:
        assert backfills.latest(session, channel) is None


def test_who_connects_a_shop_chooses_and_the_choice_is_tried(office: Office, channel: Channel) -> None:
    desk, path = office.desk("owner"), f"./channels/{channel.public_id}"
    assert "What should become of those" in desk.get(f"{path}/choose").text
    refused = desk.post(f"{path}/choose", data={"counts": "points", "since": ""})
    assert refused.headers["location"].endswith("/choose")
    left_out = desk.post(f"{path}/choose", data={"counts": "nothing", "since": "2024-01-31"})
    assert left_out.headers["location"].endswith("/start")
    with office.runtime.sessions() as session:
        assert backfills.latest(session, channel) is None
    chosen = desk.post(f"{path}/choose", data={"counts": "tiers", "since": "2024-01-31"})
    assert chosen.headers["location"].endswith("/history")
    found = now(office, channel)
    assert (found.state, found.counts) == ("fetching", "tiers")
    assert "Go on to the first order" in desk.get(f"{path}/history").text
    assert desk.get(f"{path}/choose").headers["location"].endswith("/start")
    assert office.desk("support").get(f"{path}/choose").status_code == 403


def test_where_there_is_no_history_the_step_is_passed_over(office: Office) -> None:
    with office.runtime.sessions.begin() as session:
        till = add_channel(
            session, office.runtime, program_id=office.ours.id, kind="generic_pos", name="Till",
            settings={"webhook_secret": "whsec_" + "A" * 32}, actor="test",
        )  # fmt: skip
    for answer in (
        office.desk("owner").get(f"./channels/{till.public_id}/choose"),
        office.desk("owner").post(f"./channels/{till.public_id}/choose", data={"counts": "points"}),
    ):
        assert (answer.status_code, answer.headers["location"].endswith("/start")) == (303, True)
