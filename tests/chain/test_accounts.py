"""Addresses are checked, keys stay secret, and keystores open with their password only."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from hypothesis import given
from hypothesis import strategies as st
from planting import PLANTS, Plant, mutations

from chain.accounts import (
    DEV_CHAIN_IDS,
    address_of,
    create_keystore,
    dev_account,
    dev_accounts,
    open_keystore,
    open_plain_key,
    to_address,
)
from chain.errors import AccountUnusable

CHEAP = 2
EIP55 = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"  # the first example in EIP-55


class TestAddress:
    @pytest.mark.parametrize("text", [EIP55, EIP55.lower(), "0x" + EIP55[2:].upper()])
    def test_every_valid_spelling_becomes_the_checksummed_one(self, text: str) -> None:
        assert to_address(text) == EIP55

    @given(st.binary(min_size=20, max_size=20))
    def test_checksumming_twice_changes_nothing(self, raw: bytes) -> None:
        once = to_address("0x" + raw.hex())
        assert to_address(once) == once

    @pytest.mark.parametrize(
        "text", ["", "0x", EIP55[2:], EIP55 + "0", EIP55[:-1] + "g", EIP55 + "\n", None]
    )
    def test_anything_else_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match="expected an address"):
            to_address(text)

    def test_a_mistyped_address_is_refused_and_the_right_one_named(self) -> None:
        with pytest.raises(ValueError, match=f"wrong checksum, expected {EIP55}"):
            to_address(EIP55.replace("aAeb", "aaeb"))


class TestKeystore:
    def test_opens_with_its_password(self, tmp_path: Path) -> None:
        path = tmp_path / "key.json"
        address = create_keystore(path, "correct horse", scrypt_cost=CHEAP)
        assert open_keystore(path, "correct horse").address == address

    def test_only_the_owner_can_read_it_and_no_draft_is_left(self, tmp_path: Path) -> None:
        path = tmp_path / "key.json"
        create_keystore(path, "x", scrypt_cost=CHEAP)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert list(tmp_path.iterdir()) == [path]

    def test_is_the_format_of_other_wallets(self, tmp_path: Path) -> None:
        path = tmp_path / "key.json"
        create_keystore(path, "x", scrypt_cost=CHEAP)
        keystore = json.loads(path.read_bytes())
        assert keystore["version"] == 3
        assert keystore["crypto"]["kdf"] == "scrypt"

    def test_wrong_password(self, tmp_path: Path) -> None:
        path = tmp_path / "key.json"
        create_keystore(path, "right", scrypt_cost=CHEAP)
        with pytest.raises(AccountUnusable, match="wrong password"):
            open_keystore(path, "left")

    def test_an_existing_file_is_not_replaced(self, tmp_path: Path) -> None:
        path = tmp_path / "key.json"
        path.write_text("precious")
        with pytest.raises(AccountUnusable, match="exists already"):
            create_keystore(path, "x", scrypt_cost=CHEAP)
        assert path.read_text() == "precious"

    def test_an_empty_password_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(AccountUnusable, match="password is empty"):
            create_keystore(tmp_path / "key.json", "", scrypt_cost=CHEAP)

    def test_a_folder_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(AccountUnusable, match="cannot be written"):
            create_keystore(tmp_path / "none" / "key.json", "x", scrypt_cost=CHEAP)

    def test_no_file(self, tmp_path: Path) -> None:
        with pytest.raises(AccountUnusable, match="No such file"):
            open_keystore(tmp_path / "key.json", "x")

    @pytest.mark.parametrize(
        "content", ["", "[]", "{}", '{"version": 3}', '{"version": 9}', "\0\xff"]
    )
    def test_a_file_that_is_no_keystore(self, tmp_path: Path, content: str) -> None:
        path = tmp_path / "key.json"
        path.write_text(content)
        with pytest.raises(AccountUnusable, match="not a keystore"):
            open_keystore(path, "x")

    @pytest.mark.parametrize("plant", PLANTS)
    @pytest.mark.timeout(60)
    def test_what_is_no_file(self, tmp_path: Path, plant: Plant) -> None:
        plant(tmp_path / "key.json")
        with pytest.raises(AccountUnusable, match=r"keystore .*key\.json: "):
            open_keystore(tmp_path / "key.json", "x")

    @pytest.mark.parametrize(
        "cost",
        [
            {"n": 1 << 40},
            {"n": 1 << 20, "r": 1 << 20},
            {"p": 1 << 30},
            {"N": 1 << 40},
            {"P": 1 << 20},
            {"n": -2},
            {"dklen": 1 << 40},
            {"n": 1e300},
            {"n": "2"},
        ],
        ids=str,
    )
    @pytest.mark.timeout(60)
    def test_that_would_take_for_ever_to_open_is_refused(
        self, tmp_path: Path, cost: dict[str, Any]
    ) -> None:
        path = tmp_path / "key.json"
        create_keystore(path, "x", scrypt_cost=CHEAP)
        keystore = json.loads(path.read_bytes())
        keystore["crypto"]["kdfparams"] |= cost
        path.write_text(json.dumps(keystore))
        with pytest.raises(AccountUnusable, match="not a keystore"):
            open_keystore(path, "x")

    @pytest.mark.timeout(60)
    def test_of_endless_pbkdf2_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "key.json"
        keystore = Account.encrypt("0x" + "11" * 32, "x", kdf="pbkdf2", iterations=2)
        path.write_text(json.dumps(keystore))
        assert open_keystore(path, "x")
        keystore["crypto"]["kdfparams"]["c"] = 1 << 40
        path.write_text(json.dumps(keystore))
        with pytest.raises(AccountUnusable, match="not a keystore"):
            open_keystore(path, "x")

    @pytest.mark.timeout(60)
    def test_that_was_altered_opens_as_the_same_account_or_not_at_all(self, tmp_path: Path) -> None:
        path = tmp_path / "key.json"
        made = create_keystore(path, "x", scrypt_cost=CHEAP)
        for altered in mutations(path.read_bytes(), seed=1, count=300):
            path.write_bytes(altered)
            try:
                assert address_of(open_keystore(path, "x")) == made
            except AccountUnusable as trouble:
                assert str(trouble).isprintable()

    def test_whose_keys_are_in_upper_case_opens(self, tmp_path: Path) -> None:
        path = tmp_path / "key.json"
        made = create_keystore(path, "x", scrypt_cost=CHEAP)
        path.write_text(path.read_text().replace('"crypto"', '"Crypto"'))
        assert address_of(open_keystore(path, "x")) == made


class TestPlainKey:
    KEY = "0x" + "11" * 32

    @pytest.mark.parametrize("chain_id", sorted(DEV_CHAIN_IDS))
    def test_is_accepted_on_a_dev_chain(self, chain_id: int) -> None:
        signer = open_plain_key(self.KEY, chain_id)
        assert open_plain_key(self.KEY[2:], chain_id).address == signer.address

    def test_is_refused_elsewhere(self) -> None:
        with pytest.raises(AccountUnusable, match=r"dev chain only .* this is chain 1;"):
            open_plain_key(self.KEY, 1)

    @pytest.mark.parametrize(
        "text", ["secret-that-must-not-show", "0x" + "00" * 32, "0x" + "ff" * 32]
    )
    def test_no_key_and_the_text_is_not_repeated(self, text: str) -> None:
        with pytest.raises(AccountUnusable, match="private key") as caught:
            open_plain_key(text, 31337)
        assert text not in str(caught.value)


class TestDevAccount:
    def test_is_the_same_everywhere(self) -> None:
        assert dev_account(7, 0).address == dev_account(7, 0).address

    def test_differs_by_seed_and_by_index(self) -> None:
        assert (
            len({dev_account(seed, index).address for seed in range(3) for index in range(3)}) == 9
        )

    def test_out_of_range(self) -> None:
        with pytest.raises(ValueError, match="seed in"):
            dev_account(-1, 0)

    def test_a_key_is_not_in_the_repr(self) -> None:
        signer = dev_account(7, 0)
        assert signer.key.hex() not in repr(signer) + str(signer)


def test_dev_accounts_stand_in_the_order_of_members() -> None:
    accounts = dev_accounts(3, 5)
    numbers = [int(address_of(account), 16) for account in accounts]
    assert numbers == sorted(numbers)
    assert {address_of(account) for account in accounts} == {
        address_of(dev_account(3, index)) for index in range(5)
    }
