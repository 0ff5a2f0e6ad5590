"""What is stored of a sale reads back as the same sale."""

from datetime import UTC, datetime
from decimal import Decimal

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.canonical import Refund, Sale
from hub.transactions.codec import refund_from_json, refund_to_json, sale_from_json, sale_to_json

_times = st.datetimes(
    min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC)
)
st.register_type_strategy(datetime, _times)
st.register_type_strategy(str, st.text(min_size=1, max_size=6))
st.register_type_strategy(Decimal, st.decimals(allow_nan=False, allow_infinity=False, places=3))
_quick = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


@_quick
@given(st.from_type(Sale))
def test_a_sale_reads_back_as_it_was_written(sale: Sale) -> None:
    assert sale_from_json(sale_to_json(sale)) == sale


@_quick
@given(st.from_type(Refund))
def test_a_refund_reads_back_as_it_was_written(refund: Refund) -> None:
    assert refund_from_json(refund_to_json(refund)) == refund
