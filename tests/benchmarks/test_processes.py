"""Processes of a benchmark's own: what is not measured gives way to what is."""

import asyncio
import os
from multiprocessing.connection import Connection

import pytest

from benchmarks.processes import Child, answer_requests


async def niceness() -> int:
    return os.nice(0)


def main(pipe: Connection) -> None:
    asyncio.run(answer_requests(pipe, {"niceness": niceness}))


@pytest.mark.parametrize("gives_way", [True, False])
def test_a_child_gives_way_to_all_others_where_it_is_told_to(*, gives_way: bool) -> None:
    with Child(main, name="polite", gives_way=gives_way) as child:
        assert child.ask("niceness") == (19 if gives_way else os.nice(0))
