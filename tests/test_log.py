from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from hub import log


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """Logs as JSON into memory; the root logger is put back afterwards."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    stream = io.StringIO()
    log.configure("debug", "json", process="test", stream=stream)
    yield stream
    root.handlers[:] = before
    root.setLevel(level)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def read(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_says_what_when_and_which_process(lines: io.StringIO) -> None:
    structlog.get_logger().info("delivery stored", delivery="dlv_1")
    (line,) = read(lines)
    assert line["event"] == "delivery stored"
    assert line["delivery"] == "dlv_1"
    assert (line["level"], line["process"]) == ("info", "test")
    assert line["timestamp"].endswith("Z")


def test_secrets_and_people_are_masked_wherever_they_stand(lines: io.StringIO) -> None:
    structlog.get_logger().info(
        "x",
        email="ann@example.com",
        headers={"X-Signature": "s3cret"},
        nested={"list": [{"Phone": "0901234567", "id": 7}]},
        Access_Token="s3cret",
        empty={"token": ""},
    )
    (line,) = read(lines)
    assert "s3cret" not in lines.getvalue()
    assert "ann@" not in lines.getvalue()
    assert line["nested"] == {"list": [{"Phone": "[masked]", "id": 7}]}
    assert line["headers"] == "[masked]"
    assert line["empty"] == {"token": ""}


def test_a_password_inside_a_url_is_masked(lines: io.StringIO) -> None:
    structlog.get_logger().warning("cannot reach postgresql://hub:s3cret@db/hub")
    assert read(lines)[0]["event"] == "cannot reach postgresql://hub:***@db/hub"


def test_lines_of_other_libraries_go_the_same_way(lines: io.StringIO) -> None:
    logging.getLogger("elsewhere").error("broken: %s", "why", extra={"password": "s3cret"})
    (line,) = read(lines)
    assert (line["event"], line["level"]) == ("broken: why", "error")
    assert "s3cret" not in lines.getvalue()


def test_an_exception_comes_with_its_traceback(lines: io.StringIO) -> None:
    try:
        raise ValueError("why")
    except ValueError:
        structlog.get_logger().exception("failed")
    (line,) = read(lines)
    assert "ValueError: why" in line["exception"]


def test_a_request_id_is_on_every_line_until_the_next(lines: io.StringIO) -> None:
    first = log.begin_request()
    structlog.get_logger().info("a")
    second = log.begin_request()
    structlog.get_logger().info("b")
    assert [line["request_id"] for line in read(lines)] == [first, second]
    assert first != second


@pytest.mark.parametrize("given", ["abc-12345", "req_0123456789abcdef"])
def test_a_harmless_request_id_of_the_caller_is_kept(given: str) -> None:
    assert log.begin_request(given) == given


@pytest.mark.parametrize("given", ["", "short", "a" * 65, "evil\nline-12345", "<script>12"])
def test_any_other_request_id_is_replaced(given: str) -> None:
    assert log.begin_request(given).startswith("req_")


def test_for_people_no_event_can_write_a_second_line() -> None:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    stream = io.StringIO()
    log.configure("info", "console", stream=stream)
    structlog.get_logger().info("one\x1b[2J", note="a\r\nforged line")
    root.handlers[:], root.level = before, level
    assert len(stream.getvalue().strip().splitlines()) == 1
    assert "\x1b[2J" not in stream.getvalue()


def test_for_people_a_traceback_shows_no_values_of_variables(
    lines: io.StringIO,  # puts everything back
) -> None:
    stream = io.StringIO()
    log.configure("info", "console", stream=stream)
    secret = "whsec_of_ann"
    try:
        raise KeyError(len(secret))
    except KeyError:
        structlog.get_logger().error("failed", exc_info=True)
    assert "KeyError: 12" in stream.getvalue()
    assert secret not in stream.getvalue().replace('"whsec_of_ann"', "")


def test_below_the_level_nothing_is_written() -> None:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    stream = io.StringIO()
    log.configure("warning", "json", stream=stream)
    structlog.get_logger().info("quiet")
    root.handlers[:], root.level = before, level
    assert stream.getvalue() == ""


def test_what_a_command_logs_shows_no_values_of_variables_and_leaves_the_answer_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    structlog.reset_defaults()
    log.beside()
    phone = "0912345678"
    try:
        raise ValueError(len(phone))
    except ValueError as error:
        structlog.get_logger().error("not done", exc_info=error, phone=phone)
    shown = capsys.readouterr()
    structlog.reset_defaults()
    assert shown.out == ""
    assert "not done" in shown.err
    assert "ValueError: 10" in shown.err
    assert phone not in shown.err
