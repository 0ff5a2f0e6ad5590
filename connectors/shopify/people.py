"""Who bought: a `CustomerRef` from Shopify's customers, orders and addresses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from connectors.shopify.vocabulary import CONSENT
from hub.canonical import Consent, CustomerRef

# Shopify's words for an address -> the hub's.
_ADDRESS = {
    "company": "company",
    "address1": "line1",
    "address2": "line2",
    "city": "city",
    "province": "region",
    "zip": "postcode",
    "country": "country",
}


def customer_of(customer: Mapping[str, Any]) -> CustomerRef:
    """The person of a customer record, REST or GraphQL.

    The phone of the default address is left out: Shopify fills that address with the receiver of
    the first order.
    """
    address = customer["default_address"] or {}
    return CustomerRef(
        external_id=customer["id"],
        phones=_each_once(_phone(customer)),
        emails=_each_once(_email(customer)),
        name=_name(customer),
        address=_address(address),
        locale=customer.get("locale"),
        country=address.get("country_code"),
        consents=tuple(_consents(customer)),
    )


def buyer_of(order: Mapping[str, Any]) -> CustomerRef | None:
    """The buyer of an order: the customer, and what was typed at the checkout. None when nothing
    names one (anonymous POS sale); a name alone is no key."""
    customer, billing = order["customer"] or {}, order["billing"] or {}
    phones = _each_once(order["phone"], _phone(customer), billing.get("phone"))
    emails = _each_once(order["email"], _email(customer))
    if not (customer.get("id") or phones or emails):
        return None
    address = billing or customer.get("default_address") or {}
    return CustomerRef(
        external_id=customer.get("id"),
        phones=phones,
        emails=emails,
        name=_name(customer) or _name(billing),
        address=_address(address),
        locale=order["locale"] or customer.get("locale"),
        country=address.get("country_code"),
        consents=tuple(_consents(customer)) or _consent_at_checkout(order),
    )


def _phone(customer: Mapping[str, Any]) -> str | None:
    graph = customer.get("default_phone")
    return graph["number"] if graph else customer.get("phone")


def _email(customer: Mapping[str, Any]) -> str | None:
    graph = customer.get("default_email")
    return graph["address"] if graph else customer.get("email")


def _name(person: Mapping[str, Any]) -> str:
    return f"{person.get('first_name') or ''} {person.get('last_name') or ''}".strip()


def _address(address: Mapping[str, Any]) -> dict[str, str]:
    return {ours: address[theirs] for theirs, ours in _ADDRESS.items() if address.get(theirs)}


def _consents(customer: Mapping[str, Any]) -> Iterator[Consent]:
    phone = customer.get("default_phone") or {}
    said = {
        "email_marketing": customer.get("email_consent") or customer.get("default_email") or {},
        "sms_marketing": customer.get("sms_consent") or phone.get("consent") or {},
    }
    for what, consent in said.items():
        state = (consent.get("state") or "").lower()
        if state in CONSENT:
            yield Consent(what, CONSENT[state], consent["at"])


def _consent_at_checkout(order: Mapping[str, Any]) -> tuple[Consent, ...]:
    """An unticked box at the checkout withdraws nothing, a ticked one says yes."""
    if order.get("accepts_marketing"):
        return (Consent("email_marketing", True, order["created_at"]),)
    return ()


def _each_once(*values: str | None) -> tuple[str, ...]:
    return tuple({value.lower(): value for value in reversed(values) if value}.values())[::-1]
