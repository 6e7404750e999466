"""One page: of a notebook, of a source file, of a document, and the index.

nbconvert's templates turn a notebook into HTML; the one beside this file, page.html.j2, says what is ours: the head,
and how a figure is shown. Two facts that surprise: nbconvert's own alternative text for a figure is a sentence that
says that there is none, and a table inside a narrow page pushes the whole page aside unless it may scroll by itself.
"""

import re
from html import escape
from pathlib import Path

HERE = Path(__file__).parent
STYLE = (HERE / "page.css").read_text(encoding="utf-8")
COLOURS = "xcode"  # of code; a test computes their contrast
FIRST_SENTENCE = re.compile(r"(.+?[.!?])(?=\s|$)", re.DOTALL)


def notebook_page(path: Path) -> str:
    """A notebook's text, code and stored outputs. Nothing is executed."""
    from nbconvert.exporters import HTMLExporter

    exporter = HTMLExporter(
        template_name="basic", template_file=str(HERE / "page.html.j2"), extra_template_basedirs=[str(HERE)],
        exclude_anchor_links=True, exclude_input_prompt=True, exclude_output_prompt=True,
    )  # fmt: skip
    title = _title(path)
    html, _ = exporter.from_filename(str(path), {"iolab": {"title": title, "style": STYLE + _code_style()}})
    return _wide_tables(html)


def source_page(name: str, text: str) -> str:
    """A file of the package, with numbered lines."""
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    code = highlight(text, PythonLexer(), HtmlFormatter(linenos="inline"))
    return _page(name, f"{_to_index(name)}<h1><code>{escape(name)}</code></h1>\n{code}")


def document_page(name: str, text: str) -> str:
    """A file of Markdown."""
    from nbconvert.filters import markdown2html

    title = re.search(r"^# (.+)$", text, flags=re.MULTILINE)
    return _page(title[1] if title else name, _to_index(name) + _wide_tables(markdown2html(text)))


def index_page(notebooks: list[Path]) -> str:
    """The chapters, by their titles."""
    chapters = "\n".join(
        f'<li><a href="notebooks/{path.stem}.html">{escape(_title(path))}</a></li>' for path in notebooks
    )
    return _page(
        "iolab: what the kernel really does when you read",
        f"""<h1>iolab: what the kernel really does when you read</h1>
<p>Blocking, nonblocking, multiplexed, signal-driven and asynchronous I/O: who waits, who copies, and when. Every figure
in these pages was measured; each says on which kernel, and by what evidence. The pages need no network and no script:
to run the experiments yourself, open the notebooks in JupyterLab.</p>
<h2>The chapters</h2>
<ul class="chapters">
{chapters}
</ul>""",
    )


def _title(path: Path) -> str:
    """The notebook's first heading, without its Markdown."""
    import nbformat

    cells = nbformat.read(path, as_version=4).cells
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    heading = re.search(r"^# (.+)$", text, flags=re.MULTILINE)
    return re.sub(r"[`*]", "", heading[1]) if heading else path.stem


def _to_index(name: str) -> str:
    return f'<p><a href="{"../" * name.count("/")}index.html">All chapters</a></p>\n'


def _wide_tables(html: str) -> str:
    """A table may be wider than the page: then it scrolls by itself, by keyboard, too, and has a name."""

    def wide(table: re.Match) -> str:
        caption = re.search(r"<caption>(.*?)</caption>", table[0], re.DOTALL)
        name = re.sub(r"<[^>]*>", "", caption[1]).replace('"', "&quot;") if caption else "table"
        return f'<div class="wide" tabindex="0" role="region" aria-label="{name}">{table[0]}</div>'

    return re.sub(r"<table.*?</table>", wide, html, flags=re.DOTALL)


def _code_style() -> str:
    from pygments.formatters import HtmlFormatter

    return HtmlFormatter(style=COLOURS).get_style_defs(".highlight")


def _page(title: str, body: str) -> str:
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{STYLE}{_code_style()}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""
