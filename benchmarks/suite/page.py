"""What does opening the page send, how soon can it be used, and does either grow with what is held?

A real browser without a cache opens `/ui`. The page can be used once it shows the count of all processes, its first
rows, and that it is live. What is sent until a second later is counted, heads included. Both sizes are opened in
alternation. The models are filled without Firestore: the page reads from nothing else.
"""

import functools
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

from benchmarks.benchmark import Benchmark, Figures, Part, Run
from benchmarks.machine import pinned
from benchmarks.measured_service import service_process
from benchmarks.refusal import NotMeasured
from benchmarks.start import SERVICE, firestore

if TYPE_CHECKING:
    from playwright.sync_api import Browser

FEW, ROWS = 1_000, 50
PATIENCE_MS, AFTERWARDS_MS = 30_000.0, 1_000.0

CAN_BE_USED = """([all, rows]) =>
    document.querySelector("#light")?.dataset.state === "live"
    && document.querySelector("#counters b")?.textContent === all
    && document.querySelectorAll("#rows tr").length === rows"""


def parts(run: Run) -> Iterator[Part]:
    many = 10_000 if run.quick else 1_000_000
    with ExitStack() as stack:
        host = stack.enter_context(firestore(run, 0)).ask("host")
        urls = {count: _holding(run, stack, host, count) for count in (many, FEW)}
        browser = _browser(stack)
        rounds = {
            f"{SERVICE}, {count:,} held": functools.partial(opened, browser, url, count) for count, url in urls.items()
        }
        yield Part("the page opened", rounds, run.rounds)


def _holding(run: Run, stack: ExitStack, host: str, count: int) -> str:
    """The URL of a service that holds so many."""
    run.progress.step(f"filling {SERVICE} with {count:,} processes")
    with pinned(run.cores.server):
        child = stack.enter_context(service_process(host, listener="stream", window_size=0))
    child.ask("start", 0)
    child.ask("fill", count)
    return str(child.ask("url"))


def _browser(stack: ExitStack) -> "Browser | None":
    """Debian's chromium, or the one that CHROMIUM names; None where there is none."""
    program = shutil.which(os.environ.get("CHROMIUM", "chromium"))
    if program is None:
        return None
    from playwright.sync_api import sync_playwright

    playwright = stack.enter_context(sync_playwright())
    # root, as in containers, has no sandbox; what is loaded is ours
    running = playwright.chromium.launch(executable_path=program, chromium_sandbox=os.geteuid() != 0)
    return stack.enter_context(closing(running))


def opened(browser: "Browser | None", url: str, processes: int) -> Figures:
    """Open it once, in a profile of its own. Raises: NotMeasured."""
    from playwright.sync_api import Error

    if browser is None:
        raise NotMeasured("there is no chromium")
    with closing(browser.new_context()) as context:
        page = context.new_page()
        sizes: list[float] = []  # of each answer, once it is whole
        network = context.new_cdp_session(page)
        network.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
        network.send("Network.enable")
        began = time.perf_counter()
        try:
            page.goto(f"{url}/ui", wait_until="commit")
            page.wait_for_function(CAN_BE_USED, arg=[f"{processes:,}", ROWS], timeout=PATIENCE_MS)
        except Error as error:
            raise NotMeasured(f"the page could not be used: {error.message.splitlines()[0]}") from error
        usable_ms = (time.perf_counter() - began) * 1000
        page.wait_for_timeout(AFTERWARDS_MS)
    return {"sent_bytes": sum(sizes), "usable_ms": usable_ms, "requests": len(sizes)}


BENCHMARK = Benchmark(
    "page",
    "What does opening the page send, how soon can it be used, and does either grow with what is held?",
    ("sent_bytes", "usable_ms", "requests"),
    parts,
)
