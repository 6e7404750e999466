"""What a client asks of the bookstore, checked before anything is done; and how it is told what was wrong.

    {"isbn": "9799000000127", "quantity": 2} ──> read_order ──> ("9799000000127", 2)
    {"isbn": "9799000000127"}                ──> Problem(400) ──> {"error": "quantity must be an integer from 1 to 100, ..."}

Two facts that surprise:
* In Python True is an integer, and json reads NaN, numbers of any length, and lists in lists until the stack is full:
  what a library accepts is not yet what a program wants.
* 400 is for what cannot be understood, 409 for what was understood and clashes with how things are: the same order may
  succeed tomorrow (RFC 9110, 15.5.1 and 15.5.10).

Therefore every value is held against what is allowed, and the answer names the value and what would have been right.

RFC 8259 (JSON); RFC 9110 8.3, 15.5.12 (411), 15.5.16 (415).
"""

import json
import re
from urllib.parse import parse_qs

from iolab.servers.http_requests import Request
from iolab.servers.http_responses import Response

JSON = "application/json"
MOST_COPIES = 100  # in one order
_ISBN = re.compile(r"[0-9]{13}")


class Problem(Exception):
    """An answer that is not the one the client hoped for."""

    def __init__(self, status: int, error: str, *headers: tuple[str, str]) -> None:
        super().__init__(status, error)
        self.response = json_response(status, {"error": error}, *headers)


def json_response(status: int, content, *headers: tuple[str, str]) -> Response:
    """`content` as JSON, with an end of line for people with a terminal."""
    return Response(status, (json.dumps(content, ensure_ascii=False) + "\n").encode(), JSON, headers)


def read_order(request: Request) -> tuple[str, int]:
    """ISBN and quantity from the body of a POST; Problem says what is wrong with it."""
    headers = request.headers
    if "content-length" not in headers and "transfer-encoding" not in headers:
        raise Problem(411, "an order has a body, and a body has a Content-Length")
    media_type = headers.get("content-type", "").partition(";")[0].strip(" \t").lower()
    if media_type != JSON:
        raise Problem(415, f"an order must be {JSON}, not {media_type or 'without a Content-Type'}", ("Accept", JSON))
    try:
        order = json.loads(request.body.decode())
    except (ValueError, RecursionError) as error:
        raise Problem(400, f"the body must be JSON in UTF-8: {error}") from None
    if not isinstance(order, dict) or order.keys() != {"isbn", "quantity"}:
        raise Problem(400, 'an order must be an object with isbn and quantity, such as {"isbn": "...", "quantity": 1}')
    isbn, quantity = order["isbn"], order["quantity"]
    if not isinstance(isbn, str) or not _ISBN.fullmatch(isbn):
        raise Problem(400, f"isbn must be a string of 13 digits, not {_shown(isbn)}")
    if type(quantity) is not int or not 1 <= quantity <= MOST_COPIES:
        raise Problem(400, f"quantity must be an integer from 1 to {MOST_COPIES}, not {_shown(quantity)}")
    return isbn, quantity


def parameters(request: Request, *names: str) -> dict[str, str]:
    """The query's values by name; Problem for a name that is not one of `names`, or comes twice."""
    try:
        found = parse_qs(request.query, keep_blank_values=True, strict_parsing=bool(request.query), max_num_fields=10)
    except ValueError as error:
        raise Problem(400, f"the query cannot be read: {error}") from None
    for name, values in found.items():
        if name not in names or len(values) > 1:
            raise Problem(400, f"the query may have {', '.join(names)}, each once, and not {_shown(name)}")
    return {name: values[0] for name, values in found.items()}


def integer(values: dict[str, str], name: str, default: int, least: int, most: int) -> int:
    """The value `name`, an integer from `least` to `most`; Problem for anything else."""
    text = values.get(name, str(default))
    if not re.fullmatch("[0-9]{1,9}", text) or not least <= int(text) <= most:
        raise Problem(400, f"{name} must be an integer from {least} to {most}, not {_shown(text)}")
    return int(text)


def _shown(value) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:60]}..."
