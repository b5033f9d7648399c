"""Credentials come from variables; without them nobody is asked, and what they are is never shown."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from served import answer, served

from fl_node.blobs.location import reason_of
from fl_node.blobs.served import TimeLimits
from fl_node.blobs.store import open_store
from fl_node.errors import StoreUnusable

CLOUDS = ("AWS_", "AZURE_", "GOOGLE_", "GCE_", "IDENTITY_")
BRIEF = TimeLimits(retries=0.2)
PUBLIC = {
    "s3://weights/task": "AWS_SKIP_SIGNATURE",
    "az://weights/task": "AZURE_SKIP_SIGNATURE",
    "gs://weights/task": "GOOGLE_SKIP_SIGNATURE",
}


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No cloud's variables, and a home without any cloud's files."""
    for name in [name for name in os.environ if name.startswith(CLOUDS)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")


@pytest.mark.parametrize("where", PUBLIC)
def test_without_credentials_a_bucket_is_unusable_at_once_and_says_what_to_set(where: str) -> None:
    started = time.monotonic()
    with pytest.raises(StoreUnusable, match=r"no credentials: set (AWS|AZURE|GOOGLE)_"):
        open_store(where)
    assert time.monotonic() - started < 30


@pytest.mark.parametrize("where", PUBLIC)
def test_a_public_bucket_needs_none(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PUBLIC[where], "true")
    assert str(open_store(where)) == where


def test_a_role_of_the_machine_is_asked_for_only_if_a_variable_says_where(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    requests: list[bytes] = []
    with served(answer(b"", "404 Not Found"), requests) as url:
        monkeypatch.setenv("AWS_METADATA_ENDPOINT", url)
        with pytest.raises(StoreUnusable):
            open_store("s3://weights/task", limits=BRIEF).get(bytes(32), 1)
    assert b"/latest/" in requests[0]


def test_azures_account_is_no_part_of_the_short_location(monkeypatch: pytest.MonkeyPatch) -> None:
    """`az://` names the container first; the account comes from a variable, or from the long form."""
    monkeypatch.setenv("AZURE_SKIP_SIGNATURE", "true")
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME")
    with pytest.raises(StoreUnusable, match="Account must be specified"):
        open_store("az://weights/task")
    assert str(open_store("https://account.blob.core.windows.net/weights/task"))


class TestReasons:
    @pytest.mark.parametrize(
        ("body", "said"),
        [
            (
                "<?xml version='1.0'?>\n<Error><Code>AccessDenied</Code><Message>Access Denied.</Message>"
                "<Resource>/weights</Resource></Error>",
                '403 Forbidden (AccessDenied: "Access Denied.")',
            ),
            (
                "<Error>\n  <Code>AuthorizationFailure</Code>\n  <Message>Not signed well.\nRequestId:1</Message>"
                "</Error>",
                '403 Forbidden (AuthorizationFailure: "Not signed well.")',
            ),
            ("<Error><Code>NoSuchBucket</Code></Error>", "403 Forbidden (NoSuchBucket)"),
            ("<html>AUDIT CLEAN", "403 Forbidden"),
            ("<Code>AUDIT\nCLEAN\x1b</Code>", "403 Forbidden"),
        ],
    )
    def test_name_the_servers_code_and_quote_its_message(self, body: str, said: str) -> None:
        error = ValueError(f"refused: status code: 403 Forbidden: {body}\n\nDebug source:\n{body}")
        assert reason_of(error, "s3://weights/task") == f"refused: status code: {said}"

    def test_quote_no_more_than_a_line(self) -> None:
        body = "<Error><Code>X</Code><Message>\x1b[2J AUDIT CLEAN" + " x" * 10_000
        reason = reason_of(ValueError(f"status code: 400 Bad Request: {body}"), "s3://weights/task")
        assert reason.isprintable() and len(reason) < 300
        assert reason.startswith('status code: 400 Bad Request (X: "')

    def test_repeat_no_credentials_that_a_variable_holds(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA1234567890")
        monkeypatch.setenv("AZURE_STORAGE_SAS_TOKEN", "sv=2024&sig=s3cr3t-s3cr3t")
        error = ValueError("unknown key AKIA1234567890 with sv=2024&sig=s3cr3t-s3cr3t")
        assert reason_of(error, "s3://weights/task") == "unknown key … with …"
