// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title The training ledger: rounds of federated learning, run and recorded on chain
/// @notice One contract carries many tasks. A task is a fixed list of members who train one model together, round by
/// round. This page is the protocol; `TrainingLedger` only carries it out.
///
///     every member of the cohort      the cohort less the absent
///       COMMIT ────────► REVEAL ────────► ATTEST ────────► final, next round ... FINISHED
///          │ deadline       │ deadline       │ deadline
///          └─ too few, or no quorum: the round is aborted, recorded, and reopened with a fresh cohort
///
/// A phase ends as soon as everyone who may act in it has acted. After its deadline anyone may end it with `advance`.
/// A member who let a deadline pass is absent: later cohorts are drawn without it until it calls `rejoin`. When fewer
/// members than `cohortFloor` are present, all absences are forgiven.
///
/// Behind each final model stand more than `quorum * cohortFloor` members: the quorum counts the whole cohort, those who
/// declined and those who were silent too. So a round is aborted as soon as silence has left fewer than a quorum.
///
/// Sets of members are bitmaps: bit `i` stands for the member at index `i`, in ascending order of address.
///
/// Every event below is folded into its task's history head, in the order of emission:
/// `head = keccak256(abi.encode(head, topic0 of the event, every argument after task in order of declaration))`, where a
/// dynamic argument or struct is encoded as abi.encode does. The head of a task begins as
/// `keccak256(abi.encode(block.chainid, address(this), task))`. Replaying the log must give the same head.
interface ITrainingLedger {
    // ---------------------------------------------------------------------------------------------- types

    /// @notice Where a task is. `None` is the phase of a task that was never opened.
    enum Phase {
        None,
        Commit,
        Reveal,
        Attest,
        Finished
    }

    /// @notice What is fixed when a task opens. Fractions are in basis points (10 000 = all).
    /// @param rounds Final rounds after which the task is finished; at least 1.
    /// @param commitWindow Seconds a cohort has to train and commit; at least 1.
    /// @param revealWindow Seconds to publish and reveal; at least 1.
    /// @param attestWindow Seconds to aggregate and attest; at least 1.
    /// @param cohortFraction Share of the present members drawn for a round, rounded down; 1 to 10 000.
    /// @param cohortFloor Least number of members drawn; 1 to the number of members.
    /// @param minUpdates A round with fewer commitments or reveals than this is aborted; 1 to cohortFloor. It counts
    /// reveals: of these, fewer may be valid and included.
    /// @param quorum More than this share of the cohort must attest to the same pair; 5 000 to 9 999, so that no two
    /// pairs can both be final.
    struct Terms {
        uint16 rounds;
        uint24 commitWindow;
        uint24 revealWindow;
        uint24 attestWindow;
        uint16 cohortFraction;
        uint8 cohortFloor;
        uint8 minUpdates;
        uint16 quorum;
    }

    /// @notice What a client opens its commitment with.
    /// @param updateDigest sha256 of the update blob.
    /// @param numExamples Examples trained on; the client's weight in the aggregate.
    /// @param trainingLoss Loss over the local training, in millionths.
    /// @param heldOutLoss Loss of the received model on local data held out from training, in millionths.
    /// @param salt Random; keeps the commitment from being guessed.
    struct Reveal {
        bytes32 updateDigest;
        uint64 numExamples;
        int64 trainingLoss;
        int64 heldOutLoss;
        bytes32 salt;
    }

    /// @notice A call that its member signed and somebody else sends.
    /// @param member Who signed.
    /// @param call Calldata of `commit`, `skip`, `reveal`, `attest` or `rejoin`, to the last byte.
    /// @param r First half of the compact signature (EIP-2098) of `Act(uint16 round,uint16 attempt,bytes call)` by
    /// EIP-712, in the domain with name "ganchor", version "2", this chain and this contract. A `reveal` needs none: its
    /// commitment names the client, and nobody else knows the salt.
    /// @param vs Second half of it.
    struct Act {
        address member;
        bytes call;
        bytes32 r;
        bytes32 vs;
    }

    /// @notice A task at a glance, as `taskState` returns it.
    /// @param cohort Who was drawn for this attempt; in a finished task, for its last.
    /// @param awaited Who may still act in this phase and has not.
    /// @param committed Who has committed in this attempt; known in Commit and Reveal, empty later.
    /// @param revealed Who has revealed in this attempt; empty in a finished task.
    /// @param absent Members left out of later draws until they rejoin.
    /// @param leadVotes Attestations so far to the pair that was attested first in this phase.
    struct TaskState {
        address coordinator;
        bytes32 manifestDigest;
        bytes32 genesisDigest;
        Terms terms;
        uint8 memberCount;
        Phase phase;
        uint16 round;
        uint16 attempt;
        uint32 deadline;
        uint96 cohort;
        uint96 awaited;
        uint96 committed;
        uint96 revealed;
        uint96 absent;
        uint8 leadVotes;
        bytes32 parentDigest;
        bytes32 historyHead;
    }

    // ---------------------------------------------------------------------------------------------- events

    /// @notice A task was opened. Its members are in ascending order of address.
    event TaskOpened(
        uint256 indexed task,
        address indexed coordinator,
        bytes32 manifestDigest,
        bytes32 genesisDigest,
        address[] members,
        Terms terms
    );

    /// @notice A round was opened, or opened again after an abort (`attempt` counts from 0 within the round).
    event RoundOpened(
        uint256 indexed task,
        uint16 indexed round,
        uint16 attempt,
        bytes32 parentDigest,
        bytes32 seed,
        uint96 cohort,
        uint32 deadline
    );

    /// @notice A member of the cohort committed to an update.
    event UpdateCommitted(
        uint256 indexed task, uint16 indexed round, address indexed client, bytes32 commitment
    );

    /// @notice A member of the cohort declined the round.
    event RoundSkipped(uint256 indexed task, uint16 indexed round, address indexed member);

    /// @notice Commitments are closed; those who committed may reveal.
    event RevealOpened(uint256 indexed task, uint16 indexed round, uint96 committed, uint32 deadline);

    /// @notice A client opened its commitment: its update is on record.
    event UpdateRevealed(
        uint256 indexed task, uint16 indexed round, address indexed client, Reveal reveal
    );

    /// @notice Reveals are closed. Those of the cohort who are not absent may attest: who revealed, and who declined.
    event AttestOpened(
        uint256 indexed task,
        uint16 indexed round,
        uint96 revealed,
        uint96 attesters,
        uint32 deadline
    );

    /// @notice A member attested to an aggregate and to the set of updates that went into it.
    event AggregateAttested(
        uint256 indexed task,
        uint16 indexed round,
        address indexed client,
        bytes32 aggregateDigest,
        uint96 included
    );

    /// @notice Members let a deadline pass and are now absent.
    event MembersMissed(uint256 indexed task, uint16 indexed round, uint96 missed);

    /// @notice An absent member is back.
    event MemberRejoined(uint256 indexed task, address indexed member);

    /// @notice Too few were present for a cohort, so that all absences were forgiven.
    event AbsencesForgiven(uint256 indexed task, uint96 forgiven);

    /// @notice A round is final. When nothing was included, or the whole cohort declined, the digest is the parent's.
    event RoundFinalised(
        uint256 indexed task, uint16 indexed round, bytes32 aggregateDigest, uint96 included
    );

    /// @notice A round ended without a result: too few updates, no quorum, or none to be had any more. `phase` says in
    /// which phase.
    event RoundAborted(uint256 indexed task, uint16 indexed round, uint16 attempt, Phase phase);

    /// @notice The last round is final.
    event TaskFinished(uint256 indexed task, bytes32 finalDigest);

    // ---------------------------------------------------------------------------------------------- errors

    /// @notice No such task.
    error TaskUnknown(uint256 task);
    /// @notice A field of the terms is out of range; `field` is its position in `Terms`.
    error TermsInvalid(uint8 field, uint256 value);
    /// @notice Fewer than 1 or more than 96 members.
    error MemberCountInvalid(uint256 count);
    /// @notice Members must ascend strictly and not be zero; `member` does not.
    error MembersUnordered(address member);
    /// @notice Digests of manifest and genesis must not be zero.
    error DigestMissing();
    /// @notice The caller is no member of the task.
    error MemberUnknown(uint256 task, address caller);
    /// @notice The task is in another phase than the call needs.
    error PhaseMismatch(Phase expected, Phase actual);
    /// @notice The task is at another round than the caller believes.
    error RoundMismatch(uint16 expected, uint16 actual);
    /// @notice The caller is not among those who may act in this phase, or it has acted already.
    error NotAwaited(address caller);
    /// @notice The phase is over; `advance` ends it.
    error DeadlinePassed(uint32 deadline);
    /// @notice The phase is not over yet.
    error DeadlineAhead(uint32 deadline);
    /// @notice A deadline beyond February 2106 does not fit.
    error DeadlineInvalid(uint256 deadline);
    /// @notice A commitment must not be zero.
    error CommitmentMissing();
    /// @notice The reveal does not open the commitment.
    error CommitmentMismatch(bytes32 expected, bytes32 actual);
    /// @notice An update of no examples has no weight.
    error ExamplesMissing();
    /// @notice The included set holds members who did not reveal.
    error IncludedInvalid(uint96 included, uint96 revealed);
    /// @notice No model has the digest zero, and of no updates comes the parent and nothing else.
    error AggregateInvalid(bytes32 aggregateDigest);
    /// @notice The member is present already.
    error NotAbsent(address caller);

    // ---------------------------------------------------------------------------------------------- functions

    /// @notice Open a task and its first round. Anyone may; the caller becomes the task's coordinator, which gives no
    /// further right.
    /// @param manifestDigest sha256 of the manifest; not zero.
    /// @param genesisDigest sha256 of the model that round 1 starts from; not zero.
    /// @param members 1 to 96 addresses, strictly ascending.
    /// @return task Its number, counting from 1.
    function openTask(
        bytes32 manifestDigest,
        bytes32 genesisDigest,
        address[] calldata members,
        Terms calldata terms
    ) external returns (uint256 task);

    /// @notice Commit to an update for this round. See `commitmentOf` for the commitment.
    function commit(uint256 task, uint16 round, bytes32 commitment) external;

    /// @notice Decline this round. It counts as an answer: nobody waits for the caller.
    function skip(uint256 task, uint16 round) external;

    /// @notice Open the commitment.
    function reveal(uint256 task, uint16 round, Reveal calldata opening) external;

    /// @notice Attest that aggregating the `included` updates gives the model with this digest. Who declined may too.
    /// The first pair with a quorum is final.
    function attest(uint256 task, uint16 round, bytes32 aggregateDigest, uint96 included) external;

    /// @notice End a phase whose deadline has passed. Anyone may.
    function advance(uint256 task) external;

    /// @notice End the caller's absence, from the next draw on.
    function rejoin(uint256 task) external;

    /// @notice Carry out, in order, what members signed for the round and attempt that the task is at. Anyone may. An act
    /// that is refused is left out, and not the others with it.
    /// @param acts Calls for this task only.
    /// @return taken Bit `i` says whether act `i` was carried out, for the first 256.
    function relay(uint256 task, Act[] calldata acts) external returns (uint256 taken);

    /// @notice Number of tasks opened so far.
    function taskCount() external view returns (uint256);

    /// @notice The task at a glance.
    function taskState(uint256 task) external view returns (TaskState memory);

    /// @notice The index of a member of the task.
    function memberIndex(uint256 task, address member) external view returns (uint8);

    /// @notice The commitment a client must send before it may reveal `opening`:
    /// `keccak256(abi.encode(block.chainid, address(this), task, round, client, opening))`.
    function commitmentOf(uint256 task, uint16 round, address client, Reveal calldata opening)
        external
        view
        returns (bytes32);

    /// @notice The members drawn from `candidates` by `seed`, which is for each attempt at a round
    /// `keccak256(abi.encode(parentDigest, task, round, attempt))`: `size` of them, by the first `size` steps of a
    /// Fisher-Yates shuffle of the candidates in ascending order, in which step `i` swaps position `i` with
    /// `i + uint256(keccak256(abi.encode(seed, i))) % (n - i)`, `i` as uint256.
    function draw(bytes32 seed, uint96 candidates, uint8 size) external pure returns (uint96 cohort);
}
