"""The commands for readers who cannot run everything: recordings for the machine that refuses, pages without a kernel."""


def record(options) -> None:
    """Run and save what a reader's machine may refuse."""
    from tqdm import tqdm

    from iolab.recording import recordings

    for name in tqdm(recordings.record(options.models), desc="recordings", unit="run", leave=False, disable=None):
        print(f"recorded {name}")


def site(options) -> None:
    """The notebooks as pages that need no kernel."""
    from tqdm import tqdm

    from iolab.site import build_site

    def progress(each):
        return tqdm(each, desc="pages", unit="page", leave=False, disable=None)

    try:
        pages = build_site(options.folder, options.notebooks, progress)
    except ImportError as error:
        raise RuntimeError(f"the pages are made by nbconvert, which comes with JupyterLab: {error}") from None
    print(f"{len(pages)} pages: {pages[0]}")
