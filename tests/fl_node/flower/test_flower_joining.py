"""The file that says for which member a SuperNode acts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from doubles import small_genesis
from flower_federation import ThreadGrid, flower_manifest, moving_app
from flwr.app import Context, RecordDict
from flwr.serverapp.strategy import FedAvg
from flwr.supercore.task_identity import TaskIdentity

from chain.accounts import create_keystore, dev_accounts
from chain.deploy import deploy, write_deployment
from chain.devnet import devnet_in_thread
from fl_node.audit import audit
from fl_node.blobs.store import open_store
from fl_node.cli.wiring import connect
from fl_node.errors import Misuse
from fl_node.flower.joining import (
    VARIABLE,
    anchored,
    read_settings,
    run_edge_node,
    seat_of_node,
)
from fl_node.member.opening import open_task

SETTINGS = """
rpc = "{rpc}"
deployment = "deployment.json"
store = "store"
keystore = "key.json"
password_file = "password.txt"
state = "state"
"""


def context(**node_config: Any) -> Context:
    return Context(1, 1, node_config, RecordDict(), {})


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in which a member has all that it needs."""
    folder = tmp_path_factory.mktemp("site")
    (coordinator,) = dev_accounts(7, 1)
    member = create_keystore(folder / "key.json", "open", scrypt_cost=2)
    create_keystore(folder / "stranger.json", "open", scrypt_cost=2)
    (folder / "password.txt").write_text("open\n")
    with devnet_in_thread(folder / "chain.sqlite", fund=[coordinator.address, member]) as url:
        deployment = deploy(url, coordinator)
        write_deployment(folder / "deployment.json", deployment)
        rounds = {"count": 1, "cohort_floor": 1, "min_updates": 1}
        manifest = flower_manifest((member,), rounds=rounds)
        ledger = connect(url, deployment, coordinator)
        open_task(ledger, open_store(folder / "store"), manifest, small_genesis())
        (folder / "0.toml").write_text(SETTINGS.format(rpc=url))
        (folder / "server.toml").write_text("\n".join(SETTINGS.format(rpc=url).split("\n")[:4]))
        yield folder


def test_paths_are_relative_to_the_file(site: Path) -> None:
    settings = read_settings(site / "0.toml")
    assert settings.keystore == site / "key.json"
    assert settings.store == str(site / "store")
    assert read_settings(site / "server.toml").keystore is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("store = 'a'\nstroe = 'b'", "stroe: Extra inputs"),
        ("task = 1", "store: Field required"),
        ("store = 'a'\ntask = 0", "task: Input should be greater"),
        ("store = 'a'\nrpc = []", "rpc"),
        ("store = ", "Invalid value"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(text)
    with pytest.raises(Misuse, match=why):
        read_settings(path)
    with pytest.raises(Misuse, match="No such file"):
        read_settings(tmp_path / "other.toml")


def test_a_node_finds_its_file_in_its_configuration(site: Path) -> None:
    seat = seat_of_node(context(ganchor=str(site / "0.toml")))
    assert seat.ledger.account in seat.manifest.addresses
    assert seat.folder == site / "state" and not seat.verify


def test_several_endpoints_stand_in_for_each_other(site: Path) -> None:
    url = read_settings(site / "0.toml").rpc
    several = site / "several.toml"
    text = (site / "0.toml").read_text()
    several.write_text(text.replace(f'"{url}"', f'["http://127.0.0.1:1", "{url}"]'))
    seat = seat_of_node(context(ganchor=str(several)))
    assert seat.ledger.task_state(1).round == 1


def test_simulated_nodes_find_theirs_by_their_number(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, str(site / "{partition-id}.toml"))
    by_number = seat_of_node(context(**{"partition-id": 0}))
    assert by_number is seat_of_node(context(ganchor=str(site / "0.toml")))
    with pytest.raises(Misuse, match=r"1\.toml"):
        seat_of_node(context(**{"partition-id": 1}))
    anchored(FedAvg()).summary()


def test_no_file_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(Misuse, match=f"set {VARIABLE}, or ganchor in --node-config"):
        seat_of_node(context())
    with pytest.raises(Misuse, match=VARIABLE):
        anchored(FedAvg())


def test_who_is_no_member_or_has_no_key_is_refused(site: Path) -> None:
    stranger = site / "stranger.toml"
    stranger.write_text((site / "0.toml").read_text().replace("key.json", "stranger.json"))
    with pytest.raises(Misuse, match="is not a member of task 1"):
        seat_of_node(context(ganchor=str(stranger)))
    with pytest.raises(Misuse, match="a SuperNode needs keystore"):
        seat_of_node(context(ganchor=str(site / "server.toml")))


def test_a_federation_is_one_members_devices_until_the_task_is_finished(site: Path) -> None:
    TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, 7, 1
    wards = ThreadGrid({}, {})
    for node in (1, 2, 3):
        wards.apps[node], wards.contexts[node] = moving_app([]), context(step=0.5 * node)
    run_edge_node(wards, least=3, settings=site / "0.toml", sleep=lambda seconds: None)
    seat = seat_of_node(context(ganchor=str(site / "0.toml")))
    report = audit(lambda: seat.ledger, seat.store, 1)
    assert not report.findings
    assert [update.num_examples for update in report.rounds[0].updates] == [30]
