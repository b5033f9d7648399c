"""The options that say how a node treats its chain."""

from __future__ import annotations

from pathlib import Path

import pytest
from commanding import MANIFEST, MEMBERS, Ganchor, Live, key_of
from proxy import EVERY, Reply, proxy_to

from fl_node.cli.wiring import settling_of
from fl_node.errors import Misuse


@pytest.fixture(autouse=True)
def member(ganchor: Ganchor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANCHOR_PRIVATE_KEY", key_of(MEMBERS[0]))


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    path = tmp_path / "task.toml"
    path.write_text(MANIFEST)
    return path


def _words(command: str, live: Live, manifest: Path) -> list[object]:
    """A command against the live chain, which would send a transaction."""
    nowhere = manifest.with_name("nothing-there.json")
    return {
        "node": ["node", *live.options],
        "advance": ["advance", *live.chain_options],
        "deploy": ["deploy", "--rpc-url", live.url, "--deployment", nowhere],
        "task open": ["task", "open", manifest, *live.options],
    }[command]


class TestSettled:
    @pytest.mark.parametrize(
        ("text", "settling"),
        [(None, None), ("latest", 0), ("finalized", "finalized"), ("0", 0), ("12", 12)],
    )
    def test_in_words_or_blocks(self, text: str | None, settling: object) -> None:
        assert settling_of(text) == settling

    @pytest.mark.parametrize("text", ["", "soon", "-1", "1.5", "1001", "9" * 5000, "٣"])
    def test_that_is_neither(self, text: str) -> None:
        with pytest.raises(Misuse, match="--settled: expected latest, finalized or a number"):
            settling_of(text)

    @pytest.mark.parametrize("command", ["node", "advance", "deploy", "task open"])
    def test_by_the_command(
        self, ganchor: Ganchor, live: Live, manifest: Path, command: str
    ) -> None:
        words = _words(command, live, manifest)
        outcome = ganchor(*words, "--settled", "soon")
        assert (outcome.code, outcome.out) == (2, "")
        assert "--settled: expected latest" in outcome.err


class TestTheMostForGas:
    @pytest.mark.parametrize("command", ["deploy", "task open"])
    def test_is_what_is_paid(
        self, ganchor: Ganchor, live: Live, manifest: Path, command: str
    ) -> None:
        words = _words(command, live, manifest)
        outcome = ganchor(*words, "--max-gas-price", "0", "--receipt-timeout", 5)
        assert (outcome.code, outcome.out) == (2, "")
        assert "asks for" in outcome.err


class TestSeveral:
    def test_stand_in_for_each_other(self, ganchor: Ganchor, live: Live) -> None:
        with proxy_to(live.url) as proxy:
            proxy.reply(EVERY, Reply(b"", 401))
            words = ("--deployment", live.place.deployment, "--store", live.place.store)
            outcome = ganchor("status", "--rpc-url", proxy.url, "--rpc-url", live.url, *words)
        assert outcome.code == 0

    def test_come_from_the_environment_too(
        self, ganchor: Ganchor, live: Live, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ETH_RPC_URL", f"{live.url} {live.url}")
        assert ganchor("tasks", "--deployment", live.place.deployment).code == 0

    def test_one_is_not_enough_to_confirm(self, ganchor: Ganchor, live: Live) -> None:
        outcome = ganchor("node", *live.options, "--confirm", "--patience", 600)
        assert (outcome.code, outcome.out) == (2, "")
        assert "two endpoints are needed" in outcome.err
