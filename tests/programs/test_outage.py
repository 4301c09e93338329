"""Firestore goes away and comes back: no answer is a 500, the story is told, and the model is trusted again."""

import logging
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.emulator import Emulator
from tests.service.running import COLLECTION, firestore_client, running_service, version_of
from tests.waiting import until, until_async

PROJECT = "test-outage"
T0 = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)


@pytest.fixture
def own_emulator(emulator_is_installed: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """An emulator that this test can kill."""
    own = Emulator(tmp_path / "log").start()
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", own.host)
    yield own
    own.stop()


@pytest.mark.timeout(180)  # Java starts twice, and the listener's back-off has grown meanwhile
async def test_an_outage_gives_no_500_and_the_model_is_trusted_again_after_it(
    own_emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    # The audit is on as it is for users: of some thirty fresh emulators, one told a stream nothing, then or later, of
    # a commit acknowledged while the stream's target was being added.
    settings: dict[str, Any] = {
        "listener_lease_s": 2,
        "firestore_timeout_s": 0.5,
        "stale_if_error_s": 300,
        "audit_interval_s": 2,
    }
    async with (
        firestore_client(PROJECT) as client,
        running_service(own_emulator.host, PROJECT, **settings) as running,
    ):
        document = client.collection(COLLECTION).document("import-1")
        await running.synced()
        await running.holds("import-1", version_of(await document.set({"status": "running", "start_time": T0})))
        seen: Counter[tuple[int, str]] = Counter()

        async def poll(path: str) -> None:
            response = await running.get(path)
            seen[response.status, response.headers.get("X-Cache", "")] += 1
            assert response.status != 500
            assert "Retry-After" in response.headers or response.status != 503

        own_emulator.stop()

        async def says_so() -> bool:
            for path in ("/status/import-1", "/status/unknown", "/status"):
                await poll(path)
            return (await running.get("/readyz")).status == 503

        await until_async(says_so, "/readyz says that nothing can be answered")
        not_ready = (await running.get("/readyz")).json()
        assert "Firestore can't be reached" in not_ready["reason"]
        assert not_ready["listener_state"] in ("backing_off", "connecting", "syncing")
        await poll("/status/import-1")
        assert seen[200, "STALE"] >= 1
        assert seen[503, ""] >= 1

        own_emulator.start()
        version = version_of(await document.set({"status": "completed", "start_time": T0}))
        await running.holds("import-1", version, patience_s=120)
        await until(running.service.model.is_trusted, "the model is trusted again")
        after = await running.get("/status/import-1")
        assert (after.headers["X-Cache"], after.json()["status"]) == ("HIT", "completed")
        assert (await running.get("/readyz")).status == 200
        assert await running.metric("listener_state", state="live") == 1
        assert running.service.supervisor.restarts >= 1
    told = " ".join(record.getMessage() for record in caplog.records if record.name.startswith("listeners"))
    assert "backing_off" in told
    assert "live" in told
