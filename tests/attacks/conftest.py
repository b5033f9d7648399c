"""Attacks and accidents that systems of this kind have fallen to, each tried on this one.

 1  a copier re-submits another's update and is credited like its author   test_copying
 2  a copier commits and reveals after the honest reveal                   test_copying
 3  one member drops out, and the round never ends                         test_stalling
 4  aggregators disagree, and nothing can end the round                    test_stalling
 5  somebody who is no member sends an update or votes                     test_strangers
 6  a stranger sets the genesis; a client publishes the model itself       test_strangers
 7  only the owner can move a phase on, and does not                       test_stalling, test_strangers
 8  a wrong aggregate stays final after a dispute; bonds stay locked       does not apply: nothing is staked, nobody is
                                                                           slashed, no dispute follows a final round.
                                                                           That there is no money: test_strangers. That
                                                                           a wrong aggregate shows: test_lying
 9  slashing code that can never run                                       does not apply, for the same reason
10  a NaN, or another name or shape, ends the run                          test_poisoned_updates
11  an absurd number of examples takes the model over                      test_poisoned_updates
12  replies in another order give another aggregate                        test_order
13  loading another's file runs code                                       test_hostile_files
14  keys are committed                                                     test_secrets
15  the aggregate is not bound to its inputs                               test_lying
16  one absurd number in a manifest hangs whoever reads it                 test_hostile_manifests
17  a variance goes below zero, and the model to NaN; averages are sent    test_roles_as_a_way_in
18  a task's own code looks for secrets, breaks down, or does not stop      test_hostile_code
19  a member claims absurd metrics, or megabytes of them                   test_claims
20  a task's own code waits for whoever audits, or looks at the task      test_audit_runs_no_code
21  a member's signature is used for what it did not sign                 test_relayed_acts
22  one member alone is a quorum, because the others said nothing          test_relayed_acts
23  a draw is tried again until it pleases                                 test_relayed_acts
24  an exported history hides or alters something, or is a zip bomb        test_bundles
25  a relay saves the gas that a member's act needs                       test_starving_relays
26  a member that was away makes a relay pay again and again              test_starving_relays
27  an endpoint, or a bundle, shows one auditor another history            test_split_views
28  a receipt says that an update counted, or did not, and lies           test_false_receipts

What is not defended against, by design: a quorum of members who collude, and a member whose update keeps every rule
and is harmful all the same.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from doubles import Federation
from hostile import HONEST, STRANGER, Contract, Stage, attackers_absence

from chain.accounts import address_of
from chain.deploy import deploy
from chain.devnet import devnet_in_thread


@pytest.fixture(scope="session")
def contract(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Contract]:
    """The compiled contract on a local chain; each test opens tasks of its own."""
    database = tmp_path_factory.mktemp("devnet") / "chain.sqlite"
    funded = [address_of(signer) for signer in (*HONEST, STRANGER)]
    with devnet_in_thread(database, fund=funded) as url:
        yield Contract(url, deploy(url, STRANGER).address)


@pytest.fixture
def stage(contract: Contract) -> Stage:
    """A task of three members on the contract."""
    return Stage(contract)


@pytest.fixture
def undisturbed(federate) -> bytes:
    """The model after a round in which the third member stays away: what no attack of its may change."""
    federation: Federation = federate(name="undisturbed")
    return attackers_absence(federation)
