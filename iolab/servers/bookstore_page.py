"""The bookstore's front page: what a browser shows, without a line of JavaScript.

    rows of the database ──> text, escaped ──> one page, and a line for the terminal that orders a book

Two facts that surprise:
* What comes from a request and goes into a page is a program in the making: a Host may hold quotes. So everything that
  is not ours is escaped, for HTML, and for the shell where it stands in a command.
* A form cannot send JSON (HTML, form submission), and a second way to order is a second thing to go wrong: so the page
  shows the command that orders instead.

It is built anew for each request: the stock is always that of the moment.
"""

import json
import shlex
from html import escape

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>The bookstore</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em }}
table {{ border-collapse: collapse; width: 100% }}
th, td {{ padding: .2em .6em; text-align: left; border-bottom: 1px solid #ccc }}
.number {{ text-align: right; font-variant-numeric: tabular-nums }}
pre {{ background: #f4f4f4; padding: .6em; overflow-x: auto }}
</style>
</head>
<body>
<h1>The bookstore</h1>
<p>You leave your order, and the book comes to your door. To order, from a terminal:</p>
<pre>{command}</pre>
<table>
<thead><tr><th>Title</th><th>Author</th><th class="number">Year</th><th>ISBN</th><th class="number">Price</th>
<th class="number">In stock</th></tr></thead>
<tbody>
{rows}
</tbody>
</table>
<p>For programs: <a href="/books">/books</a>, <a href="/recommendations">/recommendations</a>,
<a href="/health">/health</a>.</p>
</body>
</html>
"""


def page(books: list[dict], host: str) -> str:
    """The page that lists `books` and says how to order the first of them at `host`."""
    order = json.dumps({"isbn": books[0]["isbn"], "quantity": 1}) if books else "{}"
    address = shlex.quote(f"http://{host}/orders")
    command = f"curl -H 'Content-Type: application/json' -d {shlex.quote(order)} {address}"
    return _PAGE.format(command=escape(command), rows="\n".join(_row(book) for book in books))


def _row(book: dict) -> str:
    title, author, isbn = escape(book["title"]), escape(book["author"]), escape(book["isbn"])
    return (
        f'<tr><td>{title}</td><td>{author}</td><td class="number">{book["year"]}</td>'
        f'<td><a href="/books/{isbn}">{isbn}</a></td><td class="number">{book["price_cents"] / 100:.2f}</td>'
        f'<td class="number">{book["stock"]}</td></tr>'
    )
