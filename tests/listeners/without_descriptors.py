"""A program: each listener connects, has no file descriptor left to connect again with, and connects when it has some.

Prints the failure's reason and text for each listener, as JSON. It is a process of its own, because gRPC aborts one in
which it has no descriptor for itself: here another channel keeps what gRPC has.
"""

import asyncio
import json
import os
import resource
import sys

import grpc
import grpc.aio

from listeners.listener import Listener
from listeners.window import Window
from tests.listeners.both_listeners import LISTENERS
from tests.listeners.listening import Consumer, failure_of, listening
from tests.listeners.wanted import by
from tests.waiting import until


async def failure_without_descriptors(listener: Listener) -> tuple[str, str]:
    consumer = Consumer()
    async with listening(listener, consumer):
        await consumer.until_news(1)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        async with listening(listener, consumer) as run:
            failure = await failure_of(run)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    async with listening(listener, consumer):
        await until(lambda: len(consumer.events) > 1, "the listener is back")
    return failure.reason, str(failure)


async def main(project: str) -> None:
    others = grpc.insecure_channel(os.environ["FIRESTORE_EMULATOR_HOST"])
    await asyncio.to_thread(grpc.channel_ready_future(others).result)
    window = Window(project, "(default)", "jobs", by("timestamp"), 3)
    failures = {kind: await failure_without_descriptors(make(window)) for kind, make in LISTENERS.items()}
    grpc.aio.init_grpc_aio()  # as where direct reads have a channel: then the connection lacks a descriptor, not gRPC
    failures["stream beside another channel"] = await failure_without_descriptors(LISTENERS["stream"](window))
    print(json.dumps(failures))  # noqa: T201 - for the test that started this


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
