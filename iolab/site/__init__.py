"""The notebooks as pages that need neither a kernel nor a network: `iolab site FOLDER`.

    notebooks/*.ipynb  ──▶  one page each: text, code, stored figures with their sentences
    what they link to  ──▶  the package's files, as pages beside them
    all of it          ──▶  index.html

Two facts that surprise. `jupyter nbconvert --to html` by itself asks four servers for scripts as soon as a page is
opened, and gives no figure an alternative text: "No description has been provided for this image". And a figure's
sentence is there all the time: it is stored beside the PNG as its plain text.

So the pages here have no script, one style sheet inside each, and the plain text as the alternative of the figure.
Needs nbconvert, which JupyterLab brings with it.
"""

from iolab.site.build import build_site

__all__ = ["build_site"]
