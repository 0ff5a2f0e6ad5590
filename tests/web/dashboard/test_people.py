"""Members and orders without a browser: whose they are, what roles may do, what addresses mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from hub.desk import points
from hub.desk.place import carry_out
from hub.ids import new_id
from hub.program.store import Program
from hub.web.dashboard import visit
from tests.desks import Office
from tests.people import add


@dataclass(frozen=True)
class People:
    """One program's member with 100 points and a phone, and an order of theirs."""

    member: str
    order: str

    def values(self) -> dict[str, str]:
        return {
            "member_id": self.member,
            "order_id": self.order,
            "redemption_id": "red_0000000000000000",
        }


def settle(office: Office, program: Program, phone: str) -> People:
    with office.runtime.sessions.begin() as session:
        channel = add(
            session, "channels", public_id=new_id("chn"), program_id=program.id, kind="generic_pos",
            name="Till", token=program.slug, secrets=b"",
        )  # fmt: skip
        people = People(new_id("mem"), new_id("txn"))
        member = add(session, "members", public_id=people.member, program_id=program.id, name="Bình")
        add(
            session, "identities", program_id=program.id, member_id=member, kind="phone", value=phone
        )  # fmt: skip
        add(
            session, "transactions", public_id=people.order, program_id=program.id, channel_id=channel,
            external_id="1", number="1001", member_id=member, points=7, currency="VND", total=70_000,
        )  # fmt: skip
    carry_out(
        office.runtime,
        program,
        "test",
        lambda desk: points.adjust(desk, member, 100, reason="x", key="k"),
    )
    return people


@pytest.fixture
def ours(office: Office) -> People:
    return settle(office, office.ours, "+84901234567")


@pytest.fixture
def theirs(office: Office) -> People:
    return settle(office, office.theirs, "+84901234567")


FORM = {"points": "50", "reason": "x", "key": "k2", "reward": "small", "contact": "0912345678"}


def mine(office: Office) -> list[Any]:
    found = [
        rule
        for rule in office.app.url_map.iter_rules()
        if rule.arguments & {"member_id", "order_id"} and rule.endpoint.startswith("dashboard.")
    ]
    assert len(found) >= 14
    return found


def path(rule: Any, people: People) -> str:
    address: str = rule.rule.replace("/p/<program>", ".")
    for name, value in people.values().items():
        address = address.replace(f"<{name}>", value)
    return address


def test_another_programs_people_and_orders_are_not_there_on_any_route(
    office: Office, ours: People, theirs: People
) -> None:
    desk = office.desk("owner")
    before = points_of(office)
    for rule in mine(office):
        if "GET" in (rule.methods or ()):
            answer = desk.get(path(rule, theirs))
        else:
            answer = desk.post(path(rule, theirs), {**FORM, "other": ours.member, "member": ours.member})
        assert answer.status_code == 404, rule.rule
    assert points_of(office) == before


def test_the_same_routes_answer_the_owner(office: Office, ours: People) -> None:
    """Or the test above would pass on routes that answer nobody."""
    desk = office.desk("owner")
    for rule in mine(office):
        if "GET" in (rule.methods or ()) and not rule.arguments & {"redemption_id"}:
            query = {"other": ours.member, "gone": ours.member}
            assert desk.get(path(rule, ours), query_string=query).status_code == 200, rule.rule


def test_another_programs_member_cannot_be_named_in_a_form(
    office: Office, ours: People, theirs: People
) -> None:
    desk = office.desk("owner")
    for address in (f"./members/{ours.member}/merge", f"./members/{ours.member}/unmerge",
                    f"./members/{ours.member}/apart"):  # fmt: skip
        form = {"other": theirs.member, "gone": theirs.member}
        assert desk.post(address, form).status_code == 404
        if not address.endswith("apart"):
            assert desk.get(address, query_string=form).status_code == 404
    guest = {**FORM, "member": theirs.member, "contact": ""}
    desk.post(f"./orders/{ours.order}/claim", guest)
    assert points_of(office) == [100, 100]


def points_of(office: Office) -> list[int]:
    with office.runtime.sessions() as session:
        rows = session.connection().exec_driver_sql("SELECT balance FROM accounts ORDER BY id")
        return [row[0] for row in rows]


def test_searches_find_our_own_people_alone(office: Office, ours: People, theirs: People) -> None:
    desk = office.desk("viewer")
    for words in ("0901234567", "binh", "1001", theirs.member, theirs.order):
        found = desk.get("./members", query_string={"q": words}, follow_redirects=True).text
        assert f"/members/{theirs.member}" not in found, words
        assert (ours.member in found) == (words not in (theirs.member, theirs.order)), words
        listed = desk.get("./orders", query_string={"q": words}).text
        assert f"/orders/{theirs.order}" not in listed


def test_one_exact_hit_opens_at_once(office: Office, ours: People) -> None:
    answer = office.desk("cashier").get("./members", query_string={"q": "84 901 234 567"})
    assert (answer.status_code, answer.location) == (303, f"/p/ours/members/{ours.member}")


def test_a_form_that_is_sent_twice_gives_once(office: Office, ours: People) -> None:
    desk = office.desk("support")
    for _ in range(2):
        answer = desk.post(f"./members/{ours.member}/adjust", FORM)
        assert answer.location == f"/p/ours/members/{ours.member}"
    assert points_of(office) == [150]
    desk.post(f"./members/{ours.member}/adjust", {**FORM, "points": "60"})
    assert points_of(office) == [150]
    page = desk.get(f"./members/{ours.member}").text
    assert "This form was sent before with other values" in page


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "0",
        "-0",
        "1.5",
        "10.00",
        "1.5e3",
        "abc",
        "9" * 30,
        "٣",
        "--5",
        "1-1",
        "\x00",
        "9007199254740993",
    ],
)
def test_what_is_no_amount_of_points_changes_nothing(office: Office, ours: People, typed: str) -> None:
    desk = office.desk("support")
    assert desk.post(f"./members/{ours.member}/adjust", {**FORM, "points": typed}).status_code in (
        303,
        400,
    )
    asked = desk.get(f"./members/{ours.member}/adjust", query_string={"points": typed, "reason": "x"})
    assert asked.status_code in (200, 400)
    assert points_of(office) == [100]


@pytest.mark.parametrize(
    ("typed", "moved"),
    [("1.000", 1000), ("+50", 50), ("1,000", 1000), ("-50", -50), ("\N{MINUS SIGN}50", -50)],
)
def test_points_are_read_as_people_write_them(
    office: Office, ours: People, typed: str, moved: int
) -> None:
    office.desk("support").post(f"./members/{ours.member}/adjust", {**FORM, "points": typed})
    assert points_of(office) == [100 + moved]


def test_looking_changes_nothing(office: Office, ours: People) -> None:
    """Previews are done and undone: nothing of them stays."""

    def everything() -> list[Any]:
        with office.runtime.sessions() as session:
            names = ("entries", "audit", "deliveries", "members", "identities", "lots", "redemptions")
            return [
                list(session.connection().exec_driver_sql(f"SELECT * FROM {name}")) for name in names
            ]

    desk, before = office.desk("owner"), everything()
    query = {"points": "50", "reason": "x", "q": "0912345678", "other": ours.member, "gone": ours.member}
    for rule in mine(office):
        if "GET" in (rule.methods or ()):
            desk.get(path(rule, ours), query_string=query)
    assert everything() == before


@pytest.mark.parametrize(
    "query",
    [
        "from=yesterday", "to=9999-12-31", "from=0000-01-01", "state=stolen", "channel=chn_x", "member=mem_x",
        "after=x", "after=1-" + "9" * 30,
    ],
)  # fmt: skip
def test_a_filter_that_makes_no_sense_is_not_there(office: Office, query: str) -> None:
    assert office.desk("viewer").get(f"./orders?{query}").status_code == 404


def test_an_address_is_kept_without_its_empty_filters(office: Office) -> None:
    answer = office.desk("viewer").get("./orders?q=&from=&state=paid&nothing=1")
    assert (answer.status_code, answer.location) == (303, "/p/ours/orders?state=paid&nothing=1")


def test_a_long_list_is_paged_and_comes_back(office: Office, ours: People) -> None:
    with office.runtime.sessions.begin() as session:
        for n in range(60):
            add(session, "members", public_id=new_id("mem"), program_id=office.ours.id, name=f"M{n}")
    desk = office.desk("viewer")
    first = desk.get("./members").text
    assert first.count("data-href") == 50
    older = first.split('rel="next"')[0].rsplit('href="', 1)[1].split('"')[0]
    second = desk.get(older).text
    assert second.count("data-href") == 11
    assert ours.member in second


def test_only_support_and_the_owner_change_points(office: Office) -> None:
    """The table of needs, where a slip would cost money."""
    needs = visit.NEEDS
    for name in ("adjust_points", "claim_order", "release_order", "merge_members", "unmerge_members"):
        assert needs[name] == "support"
    assert needs["redeem_reward"] == needs["member_redeem"] == "redeem"


def test_only_support_and_the_owner_take_a_code_back(office: Office, ours: People) -> None:
    assert visit.NEEDS["take_code_back"] == "support"
    path_ = f"./members/{ours.member}/redemptions/red_0000000000000000/take-back"
    assert office.desk("support").post(path_).status_code == 404
    assert office.desk("cashier").post(path_).status_code in {403, 404}
