"""A kept chain is served as it was left, and its file is not written to."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from planting import PLANTS, Plant, mutations, snapshot

from chain.accounts import address_of, dev_account
from chain.connection import connect
from chain.deploy import deploy
from chain.devnet import devnet_in_thread, kept_chain
from chain.errors import DevnetUnusable

RICH = dev_account(8, 0)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Two folders with the same chain: of a devnet that was stopped, and of one that was killed."""
    folder = tmp_path_factory.mktemp("chains")
    for name in ("stopped", "running"):
        (folder / name).mkdir()
    with devnet_in_thread(folder / "running/chain.sqlite", fund=[address_of(RICH)]) as url:
        deploy(url, RICH)
        shutil.copytree(folder / "running", folder / "killed")
    (folder / "running/chain.sqlite").rename(folder / "stopped/chain.sqlite")
    yield folder


@pytest.fixture
def database(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made / "stopped", tmp_path / "chain")
    return tmp_path / "chain/chain.sqlite"


def height(url: str) -> int:
    return number(url, "eth_blockNumber")


def number(url: str, method: str, *params: str) -> int:
    return connect(url).ask(lambda answer: int(str(answer), 16), method, *params)


@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_a_chain_is_served_with_all_its_blocks_and_left_as_it_was(made: Path, how: str) -> None:
    """What a devnet that was killed had written last stands in its write-ahead log alone."""
    assert (made / "killed/chain.sqlite-wal").stat().st_size > 0
    before = snapshot(made / how)
    with kept_chain(made / how / "chain.sqlite") as url:
        assert height(url) == 2
        assert number(url, "eth_getBalance", RICH.address, "latest") > 0
    assert snapshot(made / how) == before


def test_what_is_sent_to_a_kept_chain_is_forgotten(database: Path) -> None:
    for _ in range(2):
        with kept_chain(database) as url:
            assert height(url) == 2
            deploy(url, RICH)
            assert height(url) == 3


def test_nothing_is_left_behind(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    temporary = database.parent.parent / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    with kept_chain(database):
        assert list(temporary.iterdir())
    assert not list(temporary.iterdir())


@pytest.mark.parametrize("plant", PLANTS)
@pytest.mark.parametrize("name", ["chain.sqlite", "chain.sqlite-wal"])
@pytest.mark.timeout(60)
def test_what_is_no_file_is_no_chain(database: Path, plant: Plant, name: str) -> None:
    database.with_name(name).unlink(missing_ok=True)
    plant(database.with_name(name))
    with pytest.raises(DevnetUnusable, match=name), kept_chain(database):
        pass


def empty(path: Path) -> None:
    path.write_bytes(b"")


def text(path: Path) -> None:
    path.write_text("no database" * 100)


def tables(*statements: str) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        connection = sqlite3.connect(path)
        for statement in statements:
            connection.execute(statement)
        connection.close()

    return make


ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x AS key, x AS value FROM n"


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (empty, "holds no devnet chain"),
        (text, "not a database"),
        (tables("CREATE TABLE pairs (key, value)"), "other tables"),
        (tables(f"CREATE VIEW pairs AS {ENDLESS}"), "other tables"),
    ],
    ids=["empty", "text", "table", "view"],
)
@pytest.mark.timeout(60)
def test_what_holds_no_chain_is_refused_and_left_as_it_was(
    tmp_path: Path, make: Callable[[Path], None], reason: str
) -> None:
    (tmp_path / "kept").mkdir()
    database = tmp_path / "kept/chain.sqlite"
    make(database)
    before = snapshot(database.parent)
    with pytest.raises(DevnetUnusable, match=f"{database}.*{reason}"), kept_chain(database):
        pass
    assert snapshot(database.parent) == before


def test_a_chain_of_another_id_is_refused(tmp_path: Path) -> None:
    with devnet_in_thread(tmp_path / "chain.sqlite", chain_id=7):
        pass
    with pytest.raises(DevnetUnusable, match="7"), kept_chain(tmp_path / "chain.sqlite"):
        pass


def test_a_chain_that_a_devnet_is_running_on_is_refused(database: Path) -> None:
    program = "import sys; from pathlib import Path; from chain.devnet import serve; serve(Path(sys.argv[1]), port=0)"
    devnet = subprocess.Popen(
        [sys.executable, "-c", program, str(database)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert devnet.stdout is not None and devnet.stdout.readline()
        with pytest.raises(DevnetUnusable, match="in use by another devnet"), kept_chain(database):
            pass
    finally:
        devnet.terminate()
        devnet.communicate(timeout=60)


@pytest.mark.timeout(60)
def test_an_altered_chain_is_served_or_refused(database: Path) -> None:
    for altered in mutations(database.read_bytes(), seed=4, count=20):
        database.write_bytes(altered)
        try:
            with kept_chain(database) as url:
                assert url
        except DevnetUnusable as trouble:
            assert str(database) in str(trouble)
