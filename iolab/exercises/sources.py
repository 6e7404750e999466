"""The source of a model as a notebook shows it: from the package itself, so that text and code cannot drift."""

import inspect


class Source:
    """The code of a module, class or function; shows as Python in a notebook, prints as text."""

    def __init__(self, thing, *, without_docstring: bool = False) -> None:
        self.text = inspect.getsource(thing).rstrip()
        if without_docstring and thing.__doc__:
            self.text = self.text.replace(f'"""{thing.__doc__}"""', "", 1).strip("\n")

    def __repr__(self) -> str:
        return self.text

    def _repr_markdown_(self) -> str:
        return f"```python\n{self.text}\n```"
