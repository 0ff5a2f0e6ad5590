"""Bulk operations of the sandbox.

What Shopify does (https://shopify.dev/docs/api/usage/bulk-operations/queries, and the notes of the schema):
  - At most five run at once in a shop (since 2026-01); the sixth is refused: OPERATION_IN_PROGRESS.
  - A query needs a connection, has five at most, two deep, none inside a list; `node` and `nodes` are no beginnings.
    It is one operation without variables.
  - What it finds is a file of lines of JSON at an address that is good for seven days, and understands Range: a line
    for each object of a connection, without its own connections; those of a nested one have `__parentId`. Grouped, they
    stand under their parent; else all objects of a level stand together. Nothing found: no file.
  - One that fails has an errorCode, and, where it had found something, a partialDataUrl.
  - The query is run later than it was asked for, so it sees the shop of then.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flask import Response, request
from graphql import (
    FieldNode,
    GraphQLError,
    GraphQLList,
    GraphQLNonNull,
    GraphQLSchema,
    OperationDefinitionNode,
    get_named_type,
    parse,
    validate,
)

from connectors.shopify.sandbox_orders import JSON

AT_ONCE = 5
KEPT = timedelta(days=7)


@dataclass(slots=True)
class Bulk:
    """One operation."""

    id: str
    file: str
    query: str
    grouped: bool
    created_at: datetime
    ends_at: datetime
    fails_after: int | None = None
    """Lines after which it fails; None: it does not."""
    error: str | None = None
    lines: list[bytes] | None = None
    """None: it has not come to its end."""
    roots: int = 0

    def status(self, now: datetime) -> str:
        """As BulkOperationStatus has it."""
        if self.lines is None:
            return "RUNNING" if now > self.created_at else "CREATED"
        if now > self.ends_at + KEPT:
            return "EXPIRED"
        return "FAILED" if self.error else "COMPLETED"


class Bulks:
    """All operations of a shop."""

    def __init__(self) -> None:
        self.all: dict[str, Bulk] = {}

    def begin(self, bulk: Bulk, schema: GraphQLSchema, now: datetime) -> JSON:
        """bulkOperationRunQuery."""
        if message := _why_not(bulk.query, schema):
            return _refused(message, "INVALID")
        if sum(one.lines is None for one in self.all.values()) >= AT_ONCE:
            return _refused("Too many bulk operations are in progress.", "OPERATION_IN_PROGRESS")
        self.all[bulk.id] = bulk
        return {"bulkOperation": self.view(bulk, now, ""), "userErrors": []}

    def go_on(self, now: datetime, run: Callable[[str], JSON]) -> None:
        """Those whose time has come are run. `run` answers a query."""
        for bulk in self.all.values():
            if bulk.lines is None and now >= bulk.ends_at:
                self._finish(bulk, run(bulk.query))

    def _finish(self, bulk: Bulk, data: JSON) -> None:
        ((_, roots),) = data.items()
        nodes = list(_nodes(roots))
        bulk.roots = len(nodes)
        lines = list(_grouped(nodes) if bulk.grouped else _by_level(nodes))
        if bulk.fails_after is not None:
            lines = lines[: bulk.fails_after]
        bulk.lines = [json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in lines]

    def view(self, bulk: Bulk, now: datetime, address: str) -> JSON:
        """A `BulkOperation`."""
        status, url = bulk.status(now), f"{address}/_bulk/{bulk.file}.jsonl" if bulk.lines else None
        return {
            "id": bulk.id,
            "status": status,
            "createdAt": bulk.created_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "completedAt": None,
            "errorCode": bulk.error if status == "FAILED" else None,
            "fileSize": str(sum(map(len, bulk.lines or ()))),
            "objectCount": str(len(bulk.lines or ())),
            "rootObjectCount": str(bulk.roots),
            "url": url if status == "COMPLETED" else None,
            "partialDataUrl": url if status == "FAILED" else None,
        }

    def answer(self, file: str, now: datetime) -> Response:
        """The file, or the part of it that is asked for; 400 when its address has expired."""
        bulk = next((one for one in self.all.values() if one.file == file), None)
        if bulk is None or not bulk.lines or bulk.status(now) == "EXPIRED":
            return Response("<Error><Code>ExpiredToken</Code></Error>", 400, mimetype="application/xml")
        content = b"".join(bulk.lines)
        response = Response(content, mimetype="application/jsonl")
        response.make_conditional(request.environ, accept_ranges=True, complete_length=len(content))
        return response


def _refused(message: str, code: str) -> JSON:
    return {
        "bulkOperation": None,
        "userErrors": [{"field": ["query"], "message": message, "code": code}],
    }


# --- what may be asked -----------------------------------------------------------------------------


def _why_not(query: str, schema: GraphQLSchema) -> str:
    try:
        document = parse(query)
    except GraphQLError as error:
        return f"Invalid bulk query: {error.message}"
    if found := validate(schema, document):
        return f"Invalid bulk query: {found[0].message}"
    operation = document.definitions[0]
    if len(document.definitions) != 1 or not isinstance(operation, OperationDefinitionNode):
        return "Bulk query must be one operation."
    if operation.variable_definitions:
        return "Bulk queries cannot contain variables."
    depths = list(_connections(operation.selection_set, schema.query_type, 0, in_list=False))
    if len(operation.selection_set.selections) != 1:
        return "Bulk queries must have one field at the top level."
    return _too_much(depths)


def _too_much(depths: list[int]) -> str:
    if not depths:
        return "Bulk queries must contain at least one connection."
    if len(depths) > 5:
        return "Bulk queries cannot contain more than 5 connections."
    if max(depths) > 2:
        return "Bulk queries cannot contain connections with a nesting depth greater than 2."
    if 0 in depths:
        return "Queries that contain a connection field within a list field are not currently supported."
    return ""


def _connections(selection: Any, parent: Any, depth: int, *, in_list: bool) -> Iterator[int]:
    """How deep each connection is; 0: inside a list."""
    for node in selection.selections if selection else ():
        if not isinstance(node, FieldNode):
            yield from _connections(node.selection_set, parent, depth, in_list=in_list)
            continue
        if node.name.value.startswith("__"):
            continue
        kind = parent.fields[node.name.value].type
        named = get_named_type(kind)
        inner = kind.of_type if isinstance(kind, GraphQLNonNull) else kind
        is_edges = parent.name.endswith("Connection")
        listed = in_list or (isinstance(inner, GraphQLList) and not is_edges)
        if named.name.endswith("Connection"):
            yield 0 if listed else depth + 1
        if node.selection_set:
            deeper = depth + named.name.endswith("Connection")
            yield from _connections(node.selection_set, named, deeper, in_list=listed)


# --- the file --------------------------------------------------------------------------------------


def _nodes(connection: JSON) -> Iterator[JSON]:
    if "edges" in connection:
        yield from (edge["node"] for edge in connection["edges"])
    else:
        yield from connection["nodes"]


def _taken_apart(node: JSON, parent: str | None) -> tuple[JSON, list[JSON]]:
    line, children = {}, []
    for name, value in node.items():
        if isinstance(value, dict) and ("edges" in value or "nodes" in value):
            children += list(_nodes(value))
        else:
            line[name] = value
    return (line if parent is None else line | {"__parentId": parent}), children


def _grouped(nodes: list[JSON], parent: str | None = None) -> Iterator[JSON]:
    for node in nodes:
        line, children = _taken_apart(node, parent)
        yield line
        yield from _grouped(children, str(node["id"]) if children else None)


def _by_level(nodes: list[JSON], parent: str | None = None) -> Iterator[JSON]:
    taken = [_taken_apart(node, parent) for node in nodes]
    yield from (line for line, _ in taken)
    for line, children in taken:
        yield from _by_level(children, str(line["id"])) if children else ()
