"""How a check answers: right, not yet, or wrong and why."""


def right(because: str) -> None:
    """Print that the answer is right, and why that is so."""
    print(f"Right. {because}")


def wrong(why: str) -> None:
    """Print what is wrong, in terms of what the kernel did."""
    print(f"Not right yet. {why}")


def unanswered(what: str) -> None:
    """Print what is still to be done."""
    print(f"Not answered yet. {what}")
