"""What a store sold before it was connected: all its customers, then its orders, in pages that can be gone on with.

Customers are listed by when they registered, so new ones come behind those that were read; one that is deleted
meanwhile moves the others up by a place, and who slips through so comes with their orders. Orders are listed as for
reconciliation (`connectors.woocommerce.changes`): `modified_after` finds every order placed since then, since none
changed before it was placed. What is in the trash is no history. `X-WP-Total` says how many there are:
https://developer.wordpress.org/rest-api/using-the-rest-api/pagination/
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice

from connectors.woocommerce import changes
from connectors.woocommerce.changes import PER_PAGE, POLLED_CUSTOMER
from connectors.woocommerce.client import Store
from hub.connector import HistoryPage

_SECOND = timedelta(seconds=1)


def pages(
    store: Store, since: datetime, bookmark: str, now: Callable[[], datetime]
) -> Iterator[HistoryPage]:
    """Customers, then orders. Bookmarks: `customers:<page>`, then `orders:<time of the last change>`."""
    step, _, at = bookmark.partition(":")
    if step != "orders":
        yield from _customers(store, since, int(at or 1), now)
        at = ""
    begins = datetime.fromisoformat(at).astimezone(UTC) if at else since
    told = changes.orders(store, begins, now, status="any")
    while page := list(islice(told, PER_PAGE)):
        begins = max([begins, *(one.changed_at for one in page if one.changed_at)])
        yield HistoryPage(page, f"orders:{begins.isoformat()}")


def _customers(
    store: Store, since: datetime, page: int, now: Callable[[], datetime]
) -> Iterator[HistoryPage]:
    expected = _orders_expected(store, since) if page == 1 else None
    while True:
        listed = changes.one_page(
            store, "customers", PER_PAGE, orderby="registered_date", order="asc", page=str(page)
        )
        told = [changes.message(POLLED_CUSTOMER, c, listed.date, now, c.created) for c in listed.things]
        page += 1
        known = expected is not None and listed.total is not None
        yield HistoryPage(
            told, f"customers:{page}", (expected or 0) + (listed.total or 0) if known else None
        )
        if len(told) < PER_PAGE:
            return


def _orders_expected(store: Store, since: datetime) -> int | None:
    after = changes.gmt(since - _SECOND)
    return changes.one_page(
        store, "orders", 1, modified_after=after, dates_are_gmt="true", status="any"
    ).total
