"""The environment → frozen settings, or one line for each fault."""

import os
from pathlib import Path

import pytest

from service.runtime.environment import WrongSettings
from service.settings import Settings, read_settings
from service.terminal.settings import read_client_settings


def settings_of(monkeypatch: pytest.MonkeyPatch, **environment: str) -> Settings:
    for name in os.environ:
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return read_settings()


def test_the_defaults_are_the_contracts(monkeypatch: pytest.MonkeyPatch) -> None:
    read = settings_of(monkeypatch, PROJECT_ID="shop")
    assert read.model_dump() == {
        "firestore_emulator_host": "",
        "project_id": "shop",
        "schema_file": None,
        "firestore_collection": None,
        "firestore_database": "(default)",
        "host": ("0.0.0.0",),  # noqa: S104 - the contract's default
        "port": 8080,
        "metrics_port": None,
        "environment": "production",
        "log_level": "INFO",
        "listener": read.listener,
        "start_time_type": None,
        "window_size": 10_000,
        "listener_lease_s": {"on_snapshot": 60.0, "stream": 15.0}[read.listener],
        "probe_interval_s": 5,
        "cache_ttl_s": 5,
        "negative_ttl_s": 1,
        "cache_max_bytes": 67_108_864,
        "stale_if_error_s": 300,
        "firestore_timeout_s": 5,
        "fallback_concurrency": 64,
        "fallback_rate": 500,
        "caller_share": 0.5,
        "max_watchers": 20_000,
        "max_wait_s": 55,
        "audit_interval_s": 30,
        "audit_sample": 5,
        "stalled_after_s": 900,
        "terminal_statuses": None,
        "api_keys": (),
        "auth": None,
        "auth_header": None,
        "auth_issuer": None,
        "auth_audience": (),
        "auth_jwks_url": None,
        "auth_owner_claim": "sub",
        "auth_admin_claim": None,
        "firebase_auth_emulator_host": None,
        "cors_origins": (),
        "drain_s": 8,
        "prometheus_multiproc_dir": "",
        "metrics_sockets": (),
    }


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("CACHE_MAX_BYTES", "1 MiB", 1_048_576),
        ("CACHE_MAX_BYTES", "0", 0),
        ("FALLBACK_RATE", "250/s", 250),
        ("LOG_LEVEL", "debug", "DEBUG"),
        ("ENVIRONMENT", "Development", "development"),
        ("API_KEYS", " a, b,,", ("a", "b")),
        ("TERMINAL_STATUSES", "done", ("done",)),
        ("WINDOW_SIZE", "0", 0),
        ("WINDOW_SIZE", "", 10_000),
        ("LISTENER_LEASE_S", "2.5", 2.5),
        ("METRICS_PORT", "9090", 9090),
        ("START_TIME_TYPE", "string", "string"),
        ("METRICS_PORT", "", None),
        ("LISTENER", "", "stream"),
        ("HOST", " 127.0.0.1 ", ("127.0.0.1",)),
        ("HOST", "[::1], 127.0.0.1", ("::1", "127.0.0.1")),
        ("CORS_ORIGINS", "HTTPS://App.Example, https://app.example:443/", ("https://app.example",)),
        ("FIRESTORE_EMULATOR_HOST", "[::1]:8089", "[::1]:8089"),
    ],
)
def test_settings_are_read_as_people_write_them(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str, value: object
) -> None:
    assert getattr(settings_of(monkeypatch, **{"PROJECT_ID": "shop", name: text}), name.lower()) == value


@pytest.mark.parametrize(("listener", "lease_s"), [("on_snapshot", 60.0), ("stream", 15.0)])
def test_the_lease_depends_on_the_listener(monkeypatch: pytest.MonkeyPatch, listener: str, lease_s: float) -> None:
    assert settings_of(monkeypatch, PROJECT_ID="shop", LISTENER=listener).listener_lease_s == lease_s


def test_an_emulator_needs_no_project(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings_of(monkeypatch, FIRESTORE_EMULATOR_HOST="h:1").project_id == "demo-process-status"
    named = settings_of(monkeypatch, FIRESTORE_EMULATOR_HOST="h:1", PROJECT_ID="shop")
    assert named.project_id == "shop"


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("PORT", "65536", "PORT: input should be less than or equal to 65535"),
        ("PORT", "http", "PORT: input should be a valid integer"),
        ("METRICS_PORT", "8080", "METRICS_PORT: must differ from PORT"),
        ("ENVIRONMENT", "staging", "ENVIRONMENT: input should be 'production' or 'development'"),
        ("LOG_LEVEL", "LOUD", "LOG_LEVEL: input should be 'DEBUG', 'INFO', 'WARNING' or 'ERROR'"),
        ("LISTENER", "poll", "LISTENER: input should be 'on_snapshot' or 'stream'"),
        (
            "START_TIME_TYPE",
            "integer",
            "START_TIME_TYPE: input should be 'timestamp', 'string', 'milliseconds' or 'seconds'",
        ),
        ("WINDOW_SIZE", "-1", "WINDOW_SIZE: input should be greater than or equal to 0"),
        ("LISTENER_LEASE_S", "0", "LISTENER_LEASE_S: input should be greater than 0"),
        ("LISTENER_LEASE_S", "nan", "LISTENER_LEASE_S: "),
        ("STALE_IF_ERROR_S", "inf", "STALE_IF_ERROR_S: must be a finite number of seconds"),
        ("FIRESTORE_TIMEOUT_S", "0", "FIRESTORE_TIMEOUT_S: input should be greater than 0"),
        ("FALLBACK_RATE", "fast", "FALLBACK_RATE: input should be a valid number"),
        ("FALLBACK_CONCURRENCY", "0", "FALLBACK_CONCURRENCY: input should be greater than or equal to 1"),
        ("AUDIT_SAMPLE", "0", "AUDIT_SAMPLE: input should be greater than or equal to 1"),
        ("CACHE_MAX_BYTES", "-1", "CACHE_MAX_BYTES: "),
        ("FIRESTORE_COLLECTION", "a/b", "FIRESTORE_COLLECTION: 'a/b' names documents; it must end with the name of"),
        ("API_KEYS", " , ", "API_KEYS: names nothing; leave it unset instead"),
        ("HOST", "127.0.0.1:8080", "HOST: '127.0.0.1:8080' is no address"),
        ("CORS_ORIGINS", "app.example", "CORS_ORIGINS: 'app.example' has no scheme: write it as https://app.example"),
        ("FIRESTORE_EMULATOR_HOST", "http://127.0.0.1:8089", "FIRESTORE_EMULATOR_HOST: must be without a scheme"),
    ],
)
def test_a_wrong_setting_is_one_line(monkeypatch: pytest.MonkeyPatch, name: str, text: str, fault: str) -> None:
    with pytest.raises(WrongSettings) as wrong:
        settings_of(monkeypatch, **{"PROJECT_ID": "shop", name: text})
    assert len(wrong.value.faults) == 1
    assert wrong.value.faults[0].startswith(fault)


def test_every_fault_has_its_line_the_missing_project_too(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WrongSettings) as wrong:
        settings_of(monkeypatch, PORT="x", LISTENER="poll", DRAIN_S="-1")
    assert wrong.value.report().splitlines() == [
        "process-status: wrong setting: PROJECT_ID: is required, unless FIRESTORE_EMULATOR_HOST is set",
        "process-status: wrong setting: PORT: input should be a valid integer, unable to parse string as an integer",
        "process-status: wrong setting: LISTENER: input should be 'on_snapshot' or 'stream'",
        "process-status: wrong setting: DRAIN_S: input should be greater than or equal to 0",
    ]


TEXTS = [
    "API_KEYS",
    "AUTH",
    "AUTH_ADMIN_CLAIM",
    "AUTH_AUDIENCE",
    "AUTH_HEADER",
    "AUTH_ISSUER",
    "AUTH_JWKS_URL",
    "AUTH_OWNER_CLAIM",
    "CORS_ORIGINS",
    "FIREBASE_AUTH_EMULATOR_HOST",
    "FIRESTORE_COLLECTION",
    "FIRESTORE_DATABASE",
    "FIRESTORE_EMULATOR_HOST",
    "HOST",
    "METRICS_SOCKETS",
    "PROJECT_ID",
    "PROMETHEUS_MULTIPROC_DIR",
    "TERMINAL_STATUSES",
]


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("nothing", ["", "  "])
def test_a_text_that_is_set_but_empty_is_a_fault(monkeypatch: pytest.MonkeyPatch, name: str, nothing: str) -> None:
    with pytest.raises(WrongSettings) as wrong:
        settings_of(monkeypatch, **{"PROJECT_ID": "shop", name: nothing})
    assert wrong.value.faults == [f"{name}: is set, but empty; give it a value, or leave it unset"]


def test_every_text_and_list_is_among_those_that_must_not_be_empty() -> None:
    kinds = {name.upper(): str(field.annotation) for name, field in Settings.model_fields.items()}
    assert sorted(name for name, kind in kinds.items() if "str" in kind and "Literal" not in kind) == TEXTS


def test_an_override_counts_for_more_than_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", "")
    monkeypatch.setenv("PORT", "1")
    read = read_settings(firestore_emulator_host="127.0.0.1:1", port=2)
    assert (read.firestore_emulator_host, read.port) == ("127.0.0.1:1", 2)


def test_the_terminal_commands_settings_have_their_prefix_in_faults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROCESS_STATUS_URL", "")
    with pytest.raises(WrongSettings) as wrong:
        read_client_settings()
    assert wrong.value.faults == ["PROCESS_STATUS_URL: is set, but empty; give it a value, or leave it unset"]


def test_keys_appear_in_no_fault_and_no_repr(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "s3cret" not in repr(settings_of(monkeypatch, PROJECT_ID="shop", API_KEYS="s3cret"))
    with pytest.raises(WrongSettings) as wrong:
        settings_of(monkeypatch, API_KEYS="s3cret", PORT="s3cret")
    assert "s3cret" not in wrong.value.report()


def test_settings_are_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    read = settings_of(monkeypatch, PROJECT_ID="shop")
    with pytest.raises(ValueError, match="frozen"):
        read.port = 1  # type: ignore[misc] # that it can't be done is the claim


def test_a_schema_file_with_faults_is_a_wrong_setting_with_a_line_for_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "schema.toml"
    file.write_text('[answer]\nstatus = "s"\n[order]\ntype = "epoch"\n[statuses]')
    monkeypatch.setenv("PROJECT_ID", "p")
    monkeypatch.setenv("SCHEMA_FILE", str(file))
    with pytest.raises(WrongSettings) as wrong:
        read_settings()
    order, unknown = wrong.value.report().splitlines()[-2:]
    assert f"SCHEMA_FILE: {file}: order.type: Input should be 'timestamp'" in order
    assert f"SCHEMA_FILE: {file}: statuses: unknown key" in unknown


@pytest.mark.parametrize(
    ("callers", "share"),
    [({"API_KEYS": "a,b"}, 0.25), ({"AUTH": "firebase"}, 0.25), ({"API_KEYS": "a"}, 1.0), ({}, 1.0)],
)
def test_a_share_applies_only_where_there_can_be_several_callers(
    monkeypatch: pytest.MonkeyPatch, callers: dict[str, str], share: float
) -> None:
    assert settings_of(monkeypatch, PROJECT_ID="shop", CALLER_SHARE="0.25", **callers).share_of_a_caller == share
