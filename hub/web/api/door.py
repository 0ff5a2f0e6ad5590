"""What all parts of the API share: the JSON door, sessions, the shape of lists."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from flask import Request, current_app, g
from flask_smorest import Blueprint
from marshmallow import RAISE, Schema
from sqlalchemy.orm import Session
from webargs.flaskparser import FlaskParser

from hub.payload import parse_object
from hub.runtime import Runtime
from hub.web.body import read

BODY_LIMIT = 256 * 1024


class DoorParser(FlaskParser):
    """Reads JSON through the one door: NaN, 100 000 brackets and NUL are a 400. What to do with
    unknown fields is each schema's own word (`Strict`)."""

    def __init__(self) -> None:
        super().__init__()
        self.DEFAULT_UNKNOWN_BY_LOCATION = {
            **self.DEFAULT_UNKNOWN_BY_LOCATION,
            "json": RAISE,
            "query": RAISE,
        }

    def load_json(self, req: Request, schema: Schema) -> Any:
        del schema
        g.json_body = parse_object(read(req, BODY_LIMIT))
        return g.json_body


class ApiBlueprint(Blueprint):
    """A blueprint whose arguments come through the door."""

    ARGUMENTS_PARSER = DoorParser()

    def arguments(self, schema: Schema | type[Schema], **options: Any) -> Any:
        """As the framework's; a class of schema is made once, not for each request."""
        return super().arguments(schema() if isinstance(schema, type) else schema, **options)


class Strict(Schema):
    """What we read: unknown fields are refused, so that a typo surfaces."""

    class Meta:
        unknown = RAISE


def runtime() -> Runtime:
    """This process's runtime."""
    found: Runtime = current_app.extensions["hub"]
    return found


@contextmanager
def transaction() -> Iterator[Session]:
    """A database transaction for one view: committed at its end, rolled back when it raises."""
    with runtime().sessions.begin() as session:
        yield session


def now() -> datetime:
    """The hub's clock."""
    return runtime().clock()
