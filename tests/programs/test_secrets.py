"""API keys never leave: they are in no answer, no metric and no line of the log, whatever is asked with them."""

import signal

import pytest

from tests.firestore_servers import BackgroundFirestore
from tests.programs.program import SERVE, Program, program
from tests.waiting import until_async

RIGHT, WRONG = "right-k3y-of-the-operator", "wr0ng-key-that-somebody-tried"
ASKED = ["/", "/status", "/status/a", "/status/a?limit=1", "/nowhere", "/metrics", "/openapi.json", "/readyz", "/ui"]


async def all_that_is_said(service: Program) -> str:
    """Heads and bodies of answers to every kind of request, with each key in each place for it."""
    said = []
    for key in (RIGHT, WRONG):
        for headers in ({"X-API-Key": key}, {"Authorization": f"Bearer {key}"}, {"Authorization": f"Basic {key}"}):
            for path in ASKED:
                for method in ("GET", "POST"):
                    async with service.http.request(method, service.url + path, headers=headers) as response:
                        said.append(f"{response.status} {response.headers} {await response.text()}")
    return "\n".join(said)


@pytest.mark.parametrize("environment", ["production", "development"])
async def test_keys_are_in_no_answer_no_metric_and_no_log(
    local_firestore: BackgroundFirestore, environment: str
) -> None:
    async with program(
        *SERVE,
        FIRESTORE_EMULATOR_HOST=local_firestore.host,
        API_KEYS=RIGHT,
        ENVIRONMENT=environment,
        LOG_LEVEL="DEBUG",
    ) as started:
        await until_async(lambda: started_answers(started), "the service listens")
        said = await all_that_is_said(started)
        started.process.send_signal(signal.SIGTERM)
        _, logged = await started.ended()
    assert "process_status_http_requests_total" in said
    assert "/nowhere" in logged
    for key in (RIGHT, WRONG):
        assert key not in said
        assert key not in logged


async def started_answers(started: Program) -> bool:
    return await started.answers("/healthz") == 200
