"""Two pieces of the package, one against the other: what they share, what each has alone."""

import difflib
import inspect
import textwrap


class Difference:
    """The sources of two functions or classes, line by line: "-" only in the first, "+" only in the second."""

    def __init__(self, one, other) -> None:
        first, second = (textwrap.dedent(inspect.getsource(each)).rstrip().splitlines() for each in (one, other))
        names = [f"{each.__module__}.{each.__qualname__}" for each in (one, other)]
        everything = max(len(first), len(second))
        lines = difflib.unified_diff(first, second, *names, lineterm="", n=everything)
        self.text = "\n".join(line for line in lines if not line.startswith("@@"))

    def __repr__(self) -> str:
        return self.text

    def _repr_markdown_(self) -> str:
        return f"```diff\n{self.text}\n```"
