"""Bad input ends a command with one clear line on standard error and exit code 2: no traceback, nothing lost."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from commanding import (
    MANIFEST,
    MEMBERS,
    POOR,
    STRANGER,
    Ganchor,
    Live,
    Outcome,
    key_of,
    no_larger_files,
    state_folder,
)

from chain.accounts import address_of, create_keystore
from chain.connection import connect
from chain.transactions import send
from fl_node.cli.workspace import Workspace
from fl_node.member.state import Membership, NodeState

Monkey = pytest.MonkeyPatch


def assert_refused(outcome: Outcome, *reasons: object) -> None:
    """Exit code 2, nothing on standard output, and one line that gives the reasons."""
    assert outcome.code == 2, outcome
    assert outcome.out == ""
    assert outcome.err.startswith("error: ")
    assert outcome.err.count("\n") == 1, outcome.err
    for reason in reasons:
        assert str(reason) in outcome.err, outcome.err


@pytest.fixture
def member(monkeypatch: Monkey) -> None:
    """The first member's key, as a dev chain takes it."""
    monkeypatch.setenv("GANCHOR_PRIVATE_KEY", key_of(MEMBERS[0]))


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    path = tmp_path / "manifest.toml"
    path.write_text(MANIFEST)
    return path


class TestChain:
    @pytest.fixture(autouse=True)
    def impatient(self, monkeypatch: Monkey) -> None:
        monkeypatch.setattr("chain.connection.SILENCES", 1)

    @pytest.mark.parametrize("command", ["status", "audit", "node", "deploy", "task open"])
    def test_nobody_answers(
        self, ganchor: Ganchor, live: Live, member: None, manifest: Path, command: str
    ) -> None:
        words: list[object] = [*command.split(), *([manifest] if "task" in command else [])]
        words += ["--patience", 0] if command == "node" else []
        Path("store").mkdir()
        known = [] if command == "deploy" else ["--deployment", live.place.deployment]
        nowhere = [*known, "--rpc-url", "http://127.0.0.1:9"]
        assert_refused(ganchor(*words, *nowhere), "http://127.0.0.1:9", "refused")

    @pytest.mark.parametrize("url", ["", "127.0.0.1:8545", "ws://127.0.0.1:8545", "http://"])
    def test_no_endpoint(self, ganchor: Ganchor, live: Live, url: str) -> None:
        outcome = ganchor("status", *live.through(url).chain_options)
        assert_refused(outcome, "expected an http:// or https:// URL")

    def test_another_chain(self, ganchor: Ganchor, live: Live, tmp_path: Path) -> None:
        options = changed_deployment(live, tmp_path, chain_id=1)
        assert_refused(ganchor("status", *options), "serves chain 31337, expected 1")

    def test_no_code_at_the_address(self, ganchor: Ganchor, live: Live, tmp_path: Path) -> None:
        options = changed_deployment(live, tmp_path, address=address_of(POOR))
        assert_refused(ganchor("status", *options), "no contract at", address_of(POOR))

    def test_other_code_at_the_address(self, ganchor: Ganchor, live: Live, tmp_path: Path) -> None:
        one_byte_of_code = bytes.fromhex("6000600053600160" + "00f3")
        receipt = send(connect(live.url), STRANGER, one_byte_of_code)
        options = changed_deployment(live, tmp_path, address=receipt.contract)
        assert_refused(ganchor("status", *options), "other code at", receipt.contract)

    @pytest.mark.parametrize("command", ["status", "audit", "node"])
    def test_unknown_task(self, ganchor: Ganchor, live: Live, member: None, command: str) -> None:
        chosen = live.chain_options if command == "status" else live.options
        refusal = ("no task 99", live.ledger().contract, "its tasks are 1 to ")
        assert_refused(ganchor(command, "--task", 99, *chosen), *refusal)

    def test_a_deployment_that_begins_too_late(
        self, ganchor: Ganchor, live: Live, tmp_path: Path
    ) -> None:
        options = changed_deployment(live, tmp_path, block=10**6)
        assert_refused(ganchor("status", *options), "deployment's block")


def changed_deployment(live: Live, folder: Path, **changes: object) -> list[object]:
    deployed = json.loads(live.place.deployment.read_text())
    path = folder / "deployment.json"
    path.write_text(json.dumps({**deployed, **changes}))
    return [*live.chain_options, "--deployment", path]


class TestDeploymentFile:
    @pytest.mark.parametrize("command", ["status", "audit", "node"])
    def test_missing(self, ganchor: Ganchor, command: str) -> None:
        assert_refused(ganchor(command), "deployment.json: No such file")

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            (b"", "not JSON"),
            (b"\xff", "not JSON"),
            (b"[]", "expected an object with chain_id"),
            (b"[" * 30_000, "not JSON"),
            (b'{"chain_id": 1}', "expected an object with chain_id"),
        ],
    )
    def test_broken(self, ganchor: Ganchor, tmp_path: Path, content: bytes, reason: str) -> None:
        (tmp_path / "deployment.json").write_bytes(content)
        assert_refused(ganchor("status"), "deployment.json", reason)

    @pytest.mark.parametrize(
        "change", [{"address": "0x12"}, {"block": -1}, {"chain_id": "1"}, {"artifact_digest": 0}]
    )
    def test_a_field_that_is_wrong(
        self, ganchor: Ganchor, live: Live, tmp_path: Path, change: dict[str, object]
    ) -> None:
        options = changed_deployment(live, tmp_path, **change)
        assert_refused(ganchor("status", *options), next(iter(change)))


class TestAccount:
    def test_none(self, ganchor: Ganchor, live: Live) -> None:
        assert_refused(
            ganchor("deploy", "--rpc-url", live.url), "--keystore", "GANCHOR_PRIVATE_KEY"
        )

    @pytest.mark.parametrize("key", ["", "0x12", "z" * 64, "0" * 64])
    def test_a_plain_key_that_is_none(
        self, ganchor: Ganchor, live: Live, monkeypatch: Monkey, key: str
    ) -> None:
        monkeypatch.setenv("GANCHOR_PRIVATE_KEY", key)
        assert_refused(ganchor("deploy", "--rpc-url", live.url), "private key")

    def test_a_plain_key_on_a_chain_that_is_no_dev_chain(
        self, ganchor: Ganchor, live: Live, member: None, tmp_path: Path
    ) -> None:
        options = changed_deployment(live, tmp_path, chain_id=1)
        assert_refused(ganchor("node", *options), "dev chain only", "this is chain 1")

    def test_no_funds(self, ganchor: Ganchor, live: Live, monkeypatch: Monkey) -> None:
        monkeypatch.setenv("GANCHOR_PRIVATE_KEY", key_of(POOR))
        assert_refused(ganchor("deploy", "--rpc-url", live.url), address_of(POOR), "cannot pay")
        assert not Path("deployment.json").exists()

    def test_wrong_password(self, ganchor: Ganchor, live: Live, tmp_path: Path) -> None:
        create_keystore(tmp_path / "key.json", "right", scrypt_cost=2)
        (tmp_path / "password").write_text("wrong\n")
        words = ["--rpc-url", live.url, "--keystore", "key.json", "--password-file", "password"]
        assert_refused(ganchor("deploy", *words), "key.json", "wrong password")

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            (None, "No such file"),
            (b"", "not a keystore"),
            (b"{}", "not a keystore"),
            (b"[]", "not a keystore"),
            (b'{"version": 3, "crypto": {}}', "not a keystore"),
            (b"\xff\xfe", "not a keystore"),
        ],
    )
    def test_no_keystore(
        self,
        ganchor: Ganchor,
        tmp_path: Path,
        monkeypatch: Monkey,
        content: bytes | None,
        reason: str,
    ) -> None:
        monkeypatch.setenv("GANCHOR_PASSWORD", "x")
        if content is not None:
            (tmp_path / "key.json").write_bytes(content)
        assert_refused(ganchor("key", "address", "key.json", "--check"), "key.json", reason)

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            (None, "No such file"),
            (b"[]", "not a keystore"),
            (b"[" * 30_000, "not a keystore"),
            (b"{}", "names no address"),
            (b'{"address": 5}', "expected an address"),
        ],
    )
    def test_no_address_in_a_keystore(
        self, ganchor: Ganchor, tmp_path: Path, content: bytes | None, reason: str
    ) -> None:
        if content is not None:
            (tmp_path / "key.json").write_bytes(content)
        assert_refused(ganchor("key", "address", "key.json"), "key.json", reason)

    @pytest.mark.parametrize(
        ("content", "reason"), [(None, "No such file"), (b"\xff", "not UTF-8")]
    )
    def test_no_password_file(
        self, ganchor: Ganchor, tmp_path: Path, content: bytes | None, reason: str
    ) -> None:
        if content:
            (tmp_path / "password").write_bytes(content)
        outcome = ganchor("key", "new", "key.json", "--password-file", "password")
        assert_refused(outcome, "password file password", reason)
        assert not (tmp_path / "key.json").exists()

    def test_nobody_to_ask_for_the_password(self, ganchor: Ganchor, monkeypatch: Monkey) -> None:
        def nobody(*_: object, **__: object) -> str:
            raise EOFError

        monkeypatch.setattr("getpass.getpass", nobody)
        outcome = ganchor("key", "new", "key.json")
        assert outcome.code == 2
        assert outcome.err.splitlines()[-1].startswith("error: no password: give --password-file")

    def test_an_empty_password(self, ganchor: Ganchor, monkeypatch: Monkey) -> None:
        monkeypatch.setenv("GANCHOR_PASSWORD", "")
        assert_refused(ganchor("key", "new", "key.json"), "password is empty")

    def test_a_folder_that_is_not_there(self, ganchor: Ganchor, monkeypatch: Monkey) -> None:
        monkeypatch.setenv("GANCHOR_PASSWORD", "x")
        assert_refused(ganchor("key", "new", "no/such/key.json"), "cannot be written")


class TestManifest:
    @pytest.mark.parametrize(
        ("change", "reasons"),
        [
            (("count = 2", "count = 0"), ["rounds.count", "greater than or equal to 1"]),
            (("count = 2", "counts = 2"), ["rounds.count", "rounds.counts"]),
            (('name = "test"', ""), ["name", "required"]),
            (("seed = 5", 'seed = "x"'), ["seed", "integer", "'x'"]),
            (("seed = 5", "seed = 5\nstrategy = 'fedfoo'\n#"), ["fedfoo", "allowed: cmfl, "]),
            (("work = { steps = 1 }", "preset = 'krum'"), ["min_updates", "at least 5"]),
            (("work = { steps = 1 }", "preset = 'cmfl'"), ["use rounds.min_updates = 1"]),
            (
                ("work = { steps = 1 }", "train = 'scaffold'\nshare = ['*.bias']"),
                ["scaffold", "never averaged"],
            ),
            (
                ("work = { steps = 1 }", "encode = [{ kind = 'top_k', fraction = 0 }]"),
                ["strategy.encode.stages.0.fraction", "greater than 0"],
            ),
            (
                ("work = { steps = 1 }", "encode = ['quantise', 'rotate']"),
                ["rotate cannot follow quantise"],
            ),
            (
                ("steps = 1", "epoch = 1"),
                ["strategy.work.epoch: unknown field; did you mean epochs"],
            ),
            (("count = 2", "count = 2\nzzz = 1"), ["rounds.zzz: unknown field"]),
            (("0x", "1x"), ["members.0", "40 hex digits"]),
            (("steps = 1", "steps = 1, epochs = 1"), ["strategy.work", "either steps or epochs"]),
            (("generator_width = 4", "norm = 'layer'"), ["learner.norm", "'batch', 'group'"]),
            (("count = 2", "count = 2\ncohort_floor = 9"), ["cohort_floor is 9", "2 members"]),
            (("count = 2", "count ="), ["manifest.toml", "line"]),
        ],
        ids=lambda value: value[1][:20] if isinstance(value, tuple) else None,
    )
    def test_a_field_that_is_wrong(
        self,
        ganchor: Ganchor,
        manifest: Path,
        change: tuple[str, str],
        reasons: list[str],
    ) -> None:
        text = MANIFEST
        if "fedfoo" in change[1]:
            text = text.replace("[strategy]\nwork = { steps = 1 }", "")
        manifest.write_text(text.replace(*change, 1))
        assert_refused(ganchor("simulate", manifest), *reasons)
        assert_refused(ganchor("task", "open", manifest), *reasons)

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            (None, "No such file"),
            (b"\xff", "UTF-8"),
            (b"\0", "line 1"),
            (b"[[[[[", "line 1"),
        ],
    )
    def test_no_manifest(
        self, ganchor: Ganchor, tmp_path: Path, content: bytes | None, reason: str
    ) -> None:
        path = tmp_path / "m.toml"
        if content is not None:
            path.write_bytes(content)
        assert_refused(ganchor("task", "open", path), "m.toml", reason)


class TestNode:
    def test_not_a_member(self, ganchor: Ganchor, live: Live, monkeypatch: Monkey) -> None:
        monkeypatch.setenv("GANCHOR_PRIVATE_KEY", key_of(STRANGER))
        outcome = ganchor("node", "--task", live.open, *live.options)
        assert_refused(outcome, address_of(STRANGER), f"not a member of task {live.open}")

    def test_another_members_state_folder(
        self, ganchor: Ganchor, live: Live, member: None, tmp_path: Path
    ) -> None:
        theirs = address_of(MEMBERS[1])
        state_folder(tmp_path / "state", live.ledger(), live.open, theirs)
        outcome = ganchor("node", "--task", live.open, *live.options, "--state", "state")
        assert_refused(outcome, "belongs to another member or task", theirs)

    def test_a_state_folder_in_use(
        self, ganchor: Ganchor, live: Live, member: None, tmp_path: Path
    ) -> None:
        ledger, client = live.ledger(), address_of(MEMBERS[0])
        membership = Membership(ledger.chain_id, ledger.contract, live.open, client)
        held = NodeState(tmp_path / "state", membership)
        outcome = ganchor("node", "--task", live.open, *live.options, "--state", "state")
        held.close()
        assert_refused(outcome, "in use by another node")

    def test_a_file_for_a_state_folder(
        self, ganchor: Ganchor, live: Live, member: None, tmp_path: Path
    ) -> None:
        (tmp_path / "state").write_text("")
        outcome = ganchor("node", "--task", live.open, *live.options, "--state", "state")
        assert_refused(outcome, "state folder state", "File exists")

    def test_a_place_for_its_curves_that_is_no_folder(
        self, ganchor: Ganchor, live: Live, member: None, tmp_path: Path
    ) -> None:
        (tmp_path / "file").write_text("")
        outcome = ganchor("node", "--task", live.open, *live.options, "--log-to", "file")
        assert_refused(outcome, "--log-to file/task-", "Not a directory")

    def test_another_tasks_store(self, ganchor: Ganchor, live: Live, member: None) -> None:
        Path("empty").mkdir()
        outcome = ganchor("node", "--task", live.open, *live.chain_options, "--store", "empty")
        assert_refused(outcome, f"the manifest of task {live.open}", "is this the task's store?")

    @pytest.mark.parametrize("command", ["node", "audit"])
    def test_a_store_that_is_not_there(
        self, ganchor: Ganchor, live: Live, member: None, command: str
    ) -> None:
        outcome = ganchor(command, *live.chain_options, "--store", "nowhere")
        assert_refused(outcome, "store nowhere: no such folder")
        assert not Path("nowhere").exists()

    @pytest.mark.parametrize("store", ["ftp://host/x", "s3://", "file/store"])
    @pytest.mark.parametrize("command", ["node", "audit"])
    def test_a_store_that_cannot_be_used(
        self, ganchor: Ganchor, live: Live, member: None, tmp_path: Path, store: str, command: str
    ) -> None:
        (tmp_path / "file").write_text("")
        outcome = ganchor(command, *live.chain_options, "--store", store)
        assert_refused(outcome, f"store {store}")

    @pytest.mark.parametrize("part", ["", "3", "0/3", "4/3", "a/b", "1/0", "-1/3", "²/3", "1/2/3"])
    def test_a_part_that_is_none(
        self, ganchor: Ganchor, live: Live, member: None, part: str
    ) -> None:
        outcome = ganchor(
            "node", "--task", live.open, *live.options, "--partition", "iid", "--part", part
        )
        assert_refused(outcome, "--part", "I/N")


class TestData:
    @pytest.mark.parametrize(
        ("data", "reason"),
        [
            ("imagenet", "allowed: digits, cifar10, mnist, fashion-mnist, folder:PATH"),
            ("", "allowed: digits"),
            ("folder:", "allowed: digits"),
            ("folder:nowhere", "nowhere is not a folder"),
            ("folder:empty", "empty holds no pictures"),
        ],
    )
    def test_that_is_not_there(
        self, ganchor: Ganchor, manifest: Path, tmp_path: Path, data: str, reason: str
    ) -> None:
        (tmp_path / "empty").mkdir()
        assert_refused(ganchor("simulate", manifest, "--data", data), reason)

    @pytest.mark.parametrize("rule", ["", "iid:2", "dirichlet:0", "dirichlet:x", "classes:0"])
    def test_a_partition_that_is_none(self, ganchor: Ganchor, manifest: Path, rule: str) -> None:
        assert_refused(ganchor("simulate", manifest, "--partition", rule), "allowed: iid")

    @pytest.mark.parametrize("device", ["tpu", "cuda:99", "", "cpu:-1"])
    def test_a_device_that_is_not_here(self, ganchor: Ganchor, manifest: Path, device: str) -> None:
        assert_refused(ganchor("simulate", manifest, "--device", device), "usable are: ")


class TestFullDisk:
    def test_task_open_records_nothing(
        self, ganchor: Ganchor, live: Live, member: None, manifest: Path
    ) -> None:
        before = live.ledger().task_count()
        words = [manifest, *live.chain_options, "--store", "full"]
        with no_larger_files(4096):
            outcome = ganchor("task", "open", *words)
        assert_refused(outcome, "store full: cannot write")
        assert live.ledger().task_count() == before

    def test_deploy_says_where_the_contract_could_not_be_written_down(
        self, ganchor: Ganchor, live: Live, member: None
    ) -> None:
        words = ["--rpc-url", live.url, "--deployment", "no/such/deployment.json"]
        assert_refused(ganchor("deploy", *words), "no/such/deployment.json: cannot be written")


class TestWorkspace:
    def test_not_empty(self, ganchor: Ganchor, tmp_path: Path) -> None:
        (tmp_path / "taken").mkdir()
        (tmp_path / "taken" / "thesis.txt").write_text("precious")
        outcome = ganchor("demo", "--workspace", "taken")
        assert_refused(outcome, "taken is not empty")
        assert [path.name for path in (tmp_path / "taken").iterdir()] == ["thesis.txt"]

    def test_a_file(self, ganchor: Ganchor, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        assert_refused(ganchor("demo", "--workspace", "file"), "file: Not a directory")
        assert_refused(
            ganchor("demo", "--workspace", "file/inside"), "file/inside: Not a directory"
        )

    @pytest.mark.parametrize("folder", ["nowhere", "."])
    def test_none(self, ganchor: Ganchor, folder: str) -> None:
        assert_refused(ganchor("audit", "--workspace", folder), "is not a workspace")

    def test_a_broken_chain(self, ganchor: Ganchor, workspace: Workspace) -> None:
        workspace.database.write_bytes(b"not SQLite" * 1000)
        outcome = ganchor("audit", "--workspace", workspace.folder)
        assert_refused(outcome, workspace.database, "file is not a database")

    def test_a_report_that_is_not_there(self, ganchor: Ganchor, live: Live) -> None:
        outcome = ganchor("audit", *live.options, "--report", "nowhere.json")
        assert_refused(outcome, "nowhere.json: No such file")


class TestDevnet:
    def test_a_port_that_is_taken(self, ganchor: Ganchor) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            assert_refused(ganchor("devnet", "--port", port), f"127.0.0.1:{port}", "in use")

    def test_a_file_that_is_no_chain(self, ganchor: Ganchor, tmp_path: Path) -> None:
        (tmp_path / "notes.txt").write_text("not SQLite" * 1000)
        assert_refused(
            ganchor("devnet", "--database", "notes.txt", "--port", 0),
            "notes.txt: file is not a database",
        )

    def test_a_chain_that_runs_already(self, ganchor: Ganchor, live: Live) -> None:
        assert_refused(ganchor("devnet", "--database", live.place.database, "--port", 0), "in use")

    def test_a_chain_of_another_id(self, ganchor: Ganchor, workspace: Workspace) -> None:
        words = ["--database", workspace.database, "--port", 0, "--chain-id", 1337]
        assert_refused(ganchor("devnet", *words), "31337", "1337")

    def test_an_address_that_is_none(self, ganchor: Ganchor) -> None:
        assert_refused(ganchor("devnet", "--fund", "0x12"), "--fund", "40 hex digits")

    def test_an_engine_that_is_not_installed(self, ganchor: Ganchor, monkeypatch: Monkey) -> None:
        monkeypatch.setenv("PATH", "")
        assert_refused(ganchor("devnet", "--engine", "anvil"), "anvil is not on the PATH")


@pytest.mark.parametrize(
    "words",
    [
        ["depoly"],
        ["audit", "--taks", "1"],
        ["audit", "--task", "one"],
        ["audit", "--task", "0"],
        ["demo", "--nodes", "0"],
        ["devnet", "--port", "70000"],
        ["devnet", "--engine", "geth"],
        ["task", "open"],
    ],
    ids=" ".join,
)
def test_words_that_are_no_command(ganchor: Ganchor, words: list[str]) -> None:
    outcome = ganchor(*words)
    assert outcome.code == 2
    assert "Usage: " in outcome.err
    assert "Traceback" not in outcome.err
