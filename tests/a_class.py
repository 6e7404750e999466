"""A class at work on one machine: `python tests/a_class.py [--learners 30] [NOTEBOOK ...]`; the default is 00 to 02.

Each learner has a kernel, and runs the notebooks one after the other; all begin at once, which is the worst case. What
is printed: whether every claim came out as it is stored, how long it took, and for sizing a server: peak memory and CPU
time of kernels with all that they started. Memory is the proportional set size (proc(5), smaps_rollup): pages that kernels
share are counted once altogether, so that the sum is what the machine really gives.
"""

import argparse
import asyncio
import os
import resource
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.as_in_a_container import descendants

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
MEASURED = "nbval-ignore-output"
LOOK_EVERY_S, CELL_LIMIT_S = 1, 900


def said(cell) -> str:
    """What a cell printed and showed as text."""
    texts = [output.get("text") or output.get("data", {}).get("text/plain", "") for output in cell.outputs]
    return "".join(texts)


async def learn(paths: list[Path]) -> list[str]:
    """One learner; the claims that came out otherwise than stored, and the cells that failed."""
    wrong = []
    for path in paths:
        stored = nbformat.read(path, as_version=4)
        own = nbformat.read(path, as_version=4)
        client = NotebookClient(
            own, timeout=CELL_LIMIT_S, startup_timeout=CELL_LIMIT_S, iopub_timeout=60, kernel_name="python3", store_widget_state=False,
            resources={"metadata": {"path": str(path.parent)}},
        )  # fmt: skip
        try:
            await client.async_execute()
        except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
            wrong.append(f"{path.stem}: {error}")
            continue
        for before, after in zip(stored.cells, own.cells, strict=True):
            strict = before.cell_type == "code" and MEASURED not in before.metadata.get("tags", ())
            if strict and said(before) != said(after):
                wrong.append(f"{path.stem}, {before.id}: {said(after)!r} instead of {said(before)!r}")
    return wrong


def proportional_bytes(process: int) -> int:
    """A process' share of memory; 0 when it has ended."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith("Pss:"))


def threads(process: int) -> int:
    """How many a process has, which is what a limit of a container's `pids` counts; 0 when it has ended."""
    try:
        return len(os.listdir(f"/proc/{process}/task"))
    except OSError:
        return 0


async def watch(peaks: dict[str, int]) -> None:
    """Note the most memory and threads at any look."""
    while True:
        processes = descendants()
        peaks["bytes"] = max(peaks["bytes"], sum(proportional_bytes(each) for each in processes))
        peaks["threads"] = max(peaks["threads"], sum(threads(each) for each in processes))
        await asyncio.sleep(LOOK_EVERY_S)


async def main(learners: int, paths: list[Path]) -> int:
    peaks = {"bytes": 0, "threads": 0}
    watching = asyncio.create_task(watch(peaks))
    begin = time.monotonic()
    results = await asyncio.gather(*(learn(paths) for _ in range(learners)))
    watching.cancel()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s, seconds = used.ru_utime + used.ru_stime, time.monotonic() - begin
    for number, wrong in enumerate(results, 1):
        for each in wrong:
            print(f"learner {number}: {each}")
    print(f"{learners} learners, {', '.join(path.stem for path in paths)}, on {len(os.sched_getaffinity(0))} CPUs")
    print(f"learners for whom all claims held: {sum(not wrong for wrong in results)} of {learners}")
    print(f"from the common start to the last one's end: {seconds:.0f} s")
    print(
        f"memory at the peak: {peaks['bytes'] / 2**20:.0f} MiB, {peaks['bytes'] / 2**20 / learners:.0f} MiB a learner"
    )
    print(f"threads at the peak: {peaks['threads']}")
    print(f"CPU time: {cpu_s:.0f} s, {cpu_s / learners:.1f} s a learner")
    return int(any(results))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--learners", type=int, default=30)
    parser.add_argument("notebooks", nargs="*", type=Path, default=sorted(NOTEBOOKS.glob("0[0-2]-*.ipynb")))
    options = parser.parse_args()
    sys.exit(asyncio.run(main(options.learners, [path.resolve() for path in options.notebooks])))
