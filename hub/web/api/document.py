"""The API's OpenAPI 3.1 document, and the page that shows it: made by us, without a script or a foreign host."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from flask import Blueprint, Response, current_app, render_template
from flask_smorest import Api

PATH = "/api/v1"
METHODS = ("get", "post", "put", "delete")
_PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
_KEYLESS = ("/quote", "/simulate", "/one-time-codes")
"""What these POSTs end in: they change nothing, or are paced and safe to ask again, so that they take no key."""
_NEEDS_KEY = (f"{PATH}/events", f"{PATH}/members/{{member_id}}/tier/decisions")
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "schema": {"type": "string", "minLength": 1, "maxLength": 200},
    "description": "Makes the request safe to repeat: the same request with the same key gets the same answer, "
    "another one with it is refused with 422 key_reused.",
}
_PROBLEM_SCHEMA = {
    "type": "object",
    "description": "An error as RFC 9457 describes it; more members tell the numbers.",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "description": "stable, for machines"},
        "detail": {"type": "string", "description": "a sentence for people, by Accept-Language"},
    },
}
_ALWAYS = {
    "401": "no key, or one that is not known",
    "403": "the key lacks the scope",
    "429": "too many requests; Retry-After tells when to go on",
    "default": "refused, or failed",
}

blueprint = Blueprint("reference", __name__)


def describe(api: Api) -> dict[str, Any]:
    """The document: what flask-smorest found, with our errors, scopes and headers. Bounds of decimals are
    whole."""
    document: dict[str, Any] = json.loads(json.dumps(api.spec.to_dict(), default=int))
    parts = document["components"]
    parts["schemas"].pop("Error", None)
    parts["schemas"]["Problem"] = _PROBLEM_SCHEMA
    parts["responses"] = {}
    for path, method, operation in operations(document):
        _complete(path, method, operation)
    document["tags"] = [{"name": name} for name in dict.fromkeys(_tag(p) for p in document["paths"])]
    return document


def operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(path, method, operation) of all."""
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield path, method, item[method]


def _complete(path: str, method: str, operation: dict[str, Any]) -> None:
    words = [part.strip("{}").replace("-", "_") for part in path.removeprefix(PATH).split("/") if part]
    operation["operationId"] = "_".join([method, *words])
    operation["tags"] = [_tag(path)]
    operation["summary"], operation["description"] = _said(operation)
    answers = operation["responses"]
    for status in [status for status, answer in answers.items() if "$ref" in answer]:
        del answers[status]
    answers |= {status: {"description": said, "content": _PROBLEM} for status, said in _ALWAYS.items()}
    if "requestBody" in operation or operation.get("parameters"):
        answers["422"] = {"description": "what was sent is not valid", "content": _PROBLEM}
    for one in operation.get("parameters", ()):
        if one["schema"].get("default", "") is None:
            del one["schema"]["default"]
    if method == "post" and not path.endswith(_KEYLESS):
        operation.setdefault("parameters", []).append({**_KEY, "required": path in _NEEDS_KEY})


def _said(operation: Mapping[str, Any]) -> tuple[str, str]:
    """The first sentence, and all of it."""
    text = " ".join(f"{operation.get('summary', '')} {operation.get('description', '')}".split())
    return text.partition(". ")[0].rstrip("."), text


def _tag(path: str) -> str:
    return path.removeprefix(f"{PATH}/").partition("/")[0]


# --- the page ------------------------------------------------------------------------------------


@blueprint.get(f"{PATH}/openapi.json")
def openapi() -> Response:
    """The document, open to everybody."""
    return Response(json.dumps(current_app.extensions["hub_openapi"]), content_type="application/json")


@blueprint.get(f"{PATH}/reference")
def reference() -> str:
    """The page for integrators; what operations do is told in the document's own English."""
    document = current_app.extensions["hub_openapi"]
    areas: dict[str, list[dict[str, Any]]] = {}
    for path, method, operation in operations(document):
        areas.setdefault(operation["tags"][0], []).append(_shown(document, path, method, operation))
    return render_template("reference.html", areas=areas, version=document["openapi"])


def _shown(
    document: Mapping[str, Any], path: str, method: str, operation: Mapping[str, Any]
) -> dict[str, Any]:
    """One operation as the page shows it."""
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    status, answer = next((s, a) for s, a in operation["responses"].items() if s.startswith("2"))
    content = answer.get("content", {}).get("application/json", {}).get("schema")
    return {
        "id": operation["operationId"],
        "method": method.upper(),
        "path": path,
        "summary": operation["summary"],
        "description": operation["description"],
        "scope": operation.get("x-scope"),
        "parameters": [_parameter(one) for one in operation.get("parameters", ())],
        "body": list(_fields(document, body, "")) if body else [],
        "status": status,
        "answer": list(_fields(document, content, "")) if content else [],
    }


def _parameter(one: Mapping[str, Any]) -> dict[str, Any]:
    said = one.get("description", "")
    return {
        "name": one["name"], "where": one["in"], "kind": _kind(one["schema"]), "said": said,
        "needed": one.get("required", False),
    }  # fmt: skip


def _fields(
    document: Mapping[str, Any], schema: Mapping[str, Any], name: str, inside: tuple[str, ...] = ()
) -> Iterator[dict[str, Any]]:
    """The fields of a schema, `lines[].sku` for those further in; what holds itself is told once."""
    reference = schema.get("$ref", "")
    if reference in inside:
        return
    if reference:
        found = document["components"]["schemas"][reference.rpartition("/")[2]]
        yield from _fields(document, found, name, (*inside, reference))
    for part in schema.get("anyOf", schema.get("allOf", ())):
        yield from _fields(document, part, name, inside)
    if "items" in schema:
        yield from _fields(document, schema["items"], f"{name}[]", inside)
    for key, part in schema.get("properties", {}).items():
        path = f"{name}.{key}" if name else key
        yield {
            "name": path, "kind": _kind(part), "said": part.get("description", ""),
            "needed": key in schema.get("required", ()),
        }  # fmt: skip
        yield from _fields(document, part, path, inside)


def _kind(schema: Mapping[str, Any]) -> str:
    """ "integer, 1 to 200", "text", "date-time or null"."""
    if "$ref" in schema or "anyOf" in schema or "allOf" in schema:
        nullable = any(part.get("type") == "null" for part in schema.get("anyOf", ()))
        return "object or null" if nullable else "object"
    types = schema.get("type", "any")
    names = [types] if isinstance(types, str) else list(types)
    told = " or ".join(
        {"string": schema.get("format", "text"), "array": "list"}.get(t, t) for t in names
    )
    if "enum" in schema:
        told = ", ".join(str(one) for one in schema["enum"])
    least, most = schema.get("minimum"), schema.get("maximum")
    if least is not None and most is not None:
        told += f", {least} to {most}"
    if schema.get("maxLength"):
        told += f", at most {schema['maxLength']} characters"
    return told
