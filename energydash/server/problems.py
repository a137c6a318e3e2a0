"""Errors as RFC 9457 problem details: one form, whoever refuses, and nothing of our inside in it."""

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec
from litestar.exceptions import HTTPException
from litestar.plugins.problem_details import (
    ProblemDetailsConfig,
    ProblemDetailsException,
    ProblemDetailsPlugin,
)

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"

_LONGEST = 1000


class Fault(msgspec.Struct, frozen=True):
    """What is wrong with one parameter."""

    parameter: str
    detail: str


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why a request was refused; `title` is the status in words, `detail` is for people, `errors` say which parameter."""

    status: int
    title: str
    detail: str
    errors: tuple[Fault, ...] = ()


class NotAcceptableError(HTTPException):
    """None of the media types that the client accepts can be given."""

    status_code = HTTPStatus.NOT_ACCEPTABLE


def problem(status: int, detail: str, errors: Sequence[Fault] = ()) -> Problem:
    """Give the problem of an HTTP status."""
    title = HTTPStatus(status).phrase
    return Problem(status=status, title=title, detail=detail[:_LONGEST], errors=tuple(errors))


def body(status: int, detail: str) -> bytes:
    """Give a problem as JSON, for who answers below the framework."""
    return msgspec.json.encode(problem(status, detail))


def headers(content: bytes) -> dict[str, str]:
    """Give the headers of such an answer."""
    return {
        "content-type": MEDIA_TYPE,
        "content-length": str(len(content)),
        "cache-control": "no-store",
    }


def message(status: int, detail: str, **more: str) -> bytes:
    """Give a whole HTTP/1.1 answer after which the connection closes, for who has nothing but the socket."""
    content = body(status, detail)
    fields = {**headers(content), **{k.replace("_", "-"): v for k, v in more.items()}, "connection": "close"}  # fmt: skip
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *map(": ".join, fields.items())]
    return "\r\n".join([*lines, "", ""]).encode() + content


def plugin() -> ProblemDetailsPlugin:
    """Give the plugin that makes every error of the application a problem."""
    return ProblemDetailsPlugin(
        ProblemDetailsConfig(
            exception_to_problem_detail_map={
                HTTPException: _of_refusal,
                Exception: _of_bug,
            }
        )
    )


def _of_refusal(error: HTTPException) -> ProblemDetailsException:
    faults = _faults(error.extra)
    detail = "; ".join(
        f"{f.parameter}: {f.detail}" if f.parameter else f.detail for f in faults
    )
    return _exception(
        problem(
            error.status_code,
            detail or error.detail or HTTPStatus(error.status_code).phrase,
            faults,
        ),
        error.headers or {},
    )


def _of_bug(error: Exception) -> ProblemDetailsException:
    logger.error("a request failed", exc_info=error)
    return _exception(problem(500, "the server failed: its log says why"), {})


def _exception(what: Problem, said: Mapping[str, str]) -> ProblemDetailsException:
    return ProblemDetailsException(
        status_code=what.status,
        title=what.title,
        detail=what.detail,
        headers={**said, "cache-control": "no-store"},
        extra={"errors": msgspec.to_builtins(what.errors)} if what.errors else None,
    )


def _faults(extra: Any) -> list[Fault]:
    """Give what the framework's validation says, without the rest of it."""
    if not isinstance(extra, list):
        return []
    return [
        Fault(str(each.get("key", "")), str(each.get("message", "")))
        for each in extra
        if isinstance(each, dict)
    ]
