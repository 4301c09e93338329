"""The program as an operator starts it: a child process with an environment of its own."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from service.demo.google_emulator import free_port

REPOSITORY = Path(__file__).parents[2]
SERVE = ("-m", "service", "serve")


class Program:
    """One child process and where its API is."""

    def __init__(self, process: asyncio.subprocess.Process, url: str, http: aiohttp.ClientSession) -> None:
        self.process = process
        self.url = url
        self.http = http

    async def answers(self, path: str) -> int:
        """The status of a GET; 0 where nobody listens."""
        try:
            async with self.http.get(self.url + path) as response:
                await response.read()
                return response.status
        except aiohttp.ClientConnectionError:
            return 0

    async def is_ready(self) -> bool:
        return await self.answers("/readyz") == 200

    async def ended(self) -> tuple[int, str]:
        """Its exit code and its output."""
        output, _ = await self.process.communicate()
        return self.process.returncode or 0, output.decode()


@asynccontextmanager
async def program(*arguments: str, **environment: str) -> AsyncIterator[Program]:
    """Run one, with nothing of the test's environment but what it needs to start."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *(argument.format(port=port) for argument in arguments),
        cwd=REPOSITORY,
        env={
            "PATH": os.environ["PATH"],
            "HOME": os.environ.get("HOME", "/"),
            "HOST": "127.0.0.1",
            "PORT": str(port),
            **environment,
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        limit=2**20,
    )
    async with aiohttp.ClientSession() as http:
        try:
            yield Program(process, f"http://127.0.0.1:{port}", http)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
