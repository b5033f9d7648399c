// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {ITrainingLedger} from "./ITrainingLedger.sol";

/// @title The training ledger, carried out
/// @notice `ITrainingLedger` is the specification; read it first. This file reads from top to bottom: what is stored, what
/// members call, what anyone may ask, and how a round moves on.
/// @dev Storage is rewritten round after round and never cleared, so that a write costs 5 000 gas and not 22 100.
/// Every event is followed by the line that folds it into the task's history head.
contract TrainingLedger is ITrainingLedger {
    // ---------------------------------------------------------------------------------------------- storage

    /// @dev All that an act within a phase changes, in one slot. `awaited` is who may act and has not, `done` who has
    /// committed, then who has revealed. `votesMissing` counts down, in the Attest phase, the votes that the pair attested
    /// first still needs; `NO_VOTE` is added until there is one.
    struct Progress {
        uint96 awaited;
        uint96 done;
        uint32 deadline;
        uint16 round;
        Phase phase;
        uint8 votesMissing;
    }

    /// @dev The first slot is `progress`, the second holds the terms up to `absent`.
    /// `place` is a member's index plus one. `commitments` has one slot for each index; an old one cannot be opened,
    /// because a commitment binds its round, and only who committed in this attempt may reveal.
    /// `leadPair` is the hash of the pair attested first in this phase; votes for the rare others are in `otherVotes`.
    struct Task {
        Progress progress;
        uint16 rounds;
        uint24 commitWindow;
        uint24 revealWindow;
        uint24 attestWindow;
        uint16 cohortFraction;
        uint8 cohortFloor;
        uint8 minUpdates;
        uint16 quorum;
        uint8 memberCount;
        uint16 attempt;
        uint96 absent;
        address coordinator;
        uint96 cohort;
        bytes32 manifestDigest;
        bytes32 genesisDigest;
        bytes32 parentDigest;
        bytes32 historyHead;
        bytes32 leadPair;
        mapping(address member => uint256) place;
        mapping(uint256 index => bytes32) commitments;
        mapping(bytes32 roundAttemptPair => uint256) otherVotes;
    }

    uint256 private constant BASIS_POINTS = 10_000;
    uint256 private constant MAX_MEMBERS = 96;
    uint8 private constant NO_VOTE = 128; // more than any number of votes
    bytes32 private constant ACT_TYPE = keccak256("Act(uint16 round,uint16 attempt,bytes call)");
    bytes32 private constant DOMAIN_TYPE = keccak256(
        "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
    );
    bytes32 private constant DOMAIN_NAME = keccak256("ganchor");
    bytes32 private constant DOMAIN_VERSION = keccak256("2");

    /// @inheritdoc ITrainingLedger
    uint256 public override taskCount;

    mapping(uint256 task => Task) private tasks;

    // ---------------------------------------------------------------------------------------------- opening a task

    /// @inheritdoc ITrainingLedger
    function openTask(
        bytes32 manifestDigest,
        bytes32 genesisDigest,
        address[] calldata members,
        Terms calldata terms
    ) external override returns (uint256 task) {
        if (manifestDigest == 0 || genesisDigest == 0) revert DigestMissing();
        if (members.length == 0 || members.length > MAX_MEMBERS) {
            revert MemberCountInvalid(members.length);
        }
        _requireTerms(terms, members.length);

        task = ++taskCount;
        Task storage t = tasks[task];
        _enrol(t, members);
        _setTerms(t, terms);
        t.coordinator = msg.sender;
        t.manifestDigest = manifestDigest;
        t.genesisDigest = genesisDigest;
        t.parentDigest = genesisDigest;

        emit TaskOpened(task, msg.sender, manifestDigest, genesisDigest, members, terms);
        t.historyHead = keccak256(
            abi.encode(
                keccak256(abi.encode(block.chainid, address(this), task)),
                TaskOpened.selector,
                msg.sender,
                manifestDigest,
                genesisDigest,
                members,
                terms
            )
        );
        _openRound(task, t, 1, 0);
    }

    function _requireTerms(Terms calldata terms, uint256 memberCount) private pure {
        _requireWithin(0, terms.rounds, 1, type(uint16).max);
        _requireWithin(1, terms.commitWindow, 1, type(uint24).max);
        _requireWithin(2, terms.revealWindow, 1, type(uint24).max);
        _requireWithin(3, terms.attestWindow, 1, type(uint24).max);
        _requireWithin(4, terms.cohortFraction, 1, BASIS_POINTS);
        _requireWithin(5, terms.cohortFloor, 1, memberCount);
        _requireWithin(6, terms.minUpdates, 1, terms.cohortFloor);
        _requireWithin(7, terms.quorum, BASIS_POINTS / 2, BASIS_POINTS - 1);
    }

    function _requireWithin(uint8 field, uint256 value, uint256 low, uint256 high) private pure {
        if (value < low || value > high) revert TermsInvalid(field, value);
    }

    function _setTerms(Task storage t, Terms calldata terms) private {
        t.rounds = terms.rounds;
        t.commitWindow = terms.commitWindow;
        t.revealWindow = terms.revealWindow;
        t.attestWindow = terms.attestWindow;
        t.cohortFraction = terms.cohortFraction;
        t.cohortFloor = terms.cohortFloor;
        t.minUpdates = terms.minUpdates;
        t.quorum = terms.quorum;
    }

    function _enrol(Task storage t, address[] calldata members) private {
        address previous = address(0);
        for (uint256 i = 0; i < members.length; ++i) {
            if (members[i] <= previous) revert MembersUnordered(members[i]);
            t.place[members[i]] = i + 1;
            previous = members[i];
        }
        t.memberCount = uint8(members.length); // at most MAX_MEMBERS
    }

    // ---------------------------------------------------------------------------------------------- acts of members

    /// @inheritdoc ITrainingLedger
    function commit(uint256 task, uint16 round, bytes32 commitment) external override {
        address caller = _caller();
        Task storage t = tasks[task];
        Progress memory p = t.progress;
        uint256 index = _requireTurn(task, t, p, caller, round, Phase.Commit);
        if (commitment == 0) revert CommitmentMissing();

        t.commitments[index] = commitment;
        emit UpdateCommitted(task, round, caller, commitment);
        t.historyHead = keccak256(
            abi.encode(t.historyHead, UpdateCommitted.selector, round, caller, commitment)
        );
        p.done |= _bit(index);
        _settle(task, t, p);
    }

    /// @inheritdoc ITrainingLedger
    function skip(uint256 task, uint16 round) external override {
        address caller = _caller();
        Task storage t = tasks[task];
        Progress memory p = t.progress;
        _requireTurn(task, t, p, caller, round, Phase.Commit);

        emit RoundSkipped(task, round, caller);
        t.historyHead =
            keccak256(abi.encode(t.historyHead, RoundSkipped.selector, round, caller));
        _settle(task, t, p);
    }

    /// @inheritdoc ITrainingLedger
    function reveal(uint256 task, uint16 round, Reveal calldata opening) external override {
        address caller = _caller();
        Task storage t = tasks[task];
        Progress memory p = t.progress;
        uint256 index = _requireTurn(task, t, p, caller, round, Phase.Reveal);
        if (opening.numExamples == 0) revert ExamplesMissing();
        bytes32 expected = t.commitments[index];
        bytes32 actual = commitmentOf(task, round, caller, opening);
        if (actual != expected) revert CommitmentMismatch(expected, actual);

        emit UpdateRevealed(task, round, caller, opening);
        t.historyHead = keccak256(
            abi.encode(t.historyHead, UpdateRevealed.selector, round, caller, opening)
        );
        p.done |= _bit(index);
        _settle(task, t, p);
    }

    /// @inheritdoc ITrainingLedger
    function attest(uint256 task, uint16 round, bytes32 aggregateDigest, uint96 included)
        external
        override
    {
        address caller = _caller();
        Task storage t = tasks[task];
        Progress memory p = t.progress;
        _requireTurn(task, t, p, caller, round, Phase.Attest);
        if (included & ~p.done != 0) revert IncludedInvalid(included, p.done);
        if (aggregateDigest == 0 || (included == 0 && aggregateDigest != t.parentDigest)) {
            revert AggregateInvalid(aggregateDigest);
        }

        emit AggregateAttested(task, round, caller, aggregateDigest, included);
        t.historyHead = keccak256(
            abi.encode(
                t.historyHead,
                AggregateAttested.selector,
                round,
                caller,
                aggregateDigest,
                included
            )
        );
        bool agreed = _vote(t, p, keccak256(abi.encode(aggregateDigest, included)));
        if (agreed) _finalise(task, t, p.round, aggregateDigest, included);
        else _settle(task, t, p);
    }

    /// @inheritdoc ITrainingLedger
    function rejoin(uint256 task) external override {
        Task storage t = tasks[task];
        Phase phase = t.progress.phase;
        address caller = _caller();
        _requireOpened(task, phase);
        uint96 bit = _bit(_requireMember(task, t, caller));
        _requireRunning(phase);
        if (t.absent & bit == 0) revert NotAbsent(caller);

        t.absent &= ~bit;
        emit MemberRejoined(task, caller);
        t.historyHead = keccak256(abi.encode(t.historyHead, MemberRejoined.selector, caller));
    }

    /// @dev The checks that all acts of a round share, in this order; the model in Python has the same. Whose turn it was
    /// is awaited no more, in the copy of the progress that `_settle` writes.
    function _requireTurn(
        uint256 task,
        Task storage t,
        Progress memory p,
        address caller,
        uint16 round,
        Phase phase
    ) private view returns (uint256 index) {
        _requireOpened(task, p.phase);
        index = _requireMember(task, t, caller);
        if (p.phase != phase) revert PhaseMismatch(phase, p.phase);
        if (p.round != round) revert RoundMismatch(round, p.round);
        if (block.timestamp > p.deadline) revert DeadlinePassed(p.deadline);
        if (p.awaited & _bit(index) == 0) revert NotAwaited(caller);
        p.awaited ^= _bit(index);
    }

    function _requireOpened(uint256 task, Phase phase) private pure {
        if (phase == Phase.None) revert TaskUnknown(task);
    }

    function _requireMember(uint256 task, Task storage t, address caller)
        private
        view
        returns (uint256 index)
    {
        uint256 place = t.place[caller];
        if (place == 0) revert MemberUnknown(task, caller);
        return place - 1;
    }

    function _requireRunning(Phase phase) private pure {
        if (phase == Phase.Finished) revert PhaseMismatch(Phase.Commit, phase);
    }

    /// @dev Counts a vote and says whether its pair now has a quorum.
    function _vote(Task storage t, Progress memory p, bytes32 pair) private returns (bool) {
        if (p.votesMissing >= NO_VOTE) {
            p.votesMissing -= NO_VOTE;
            t.leadPair = pair;
        }
        if (t.leadPair == pair) return --p.votesMissing == 0;
        uint256 votes = ++t.otherVotes[keccak256(abi.encode(p.round, t.attempt, pair))];
        return votes == _votesNeeded(t);
    }

    /// @dev More than the quorum's share of the cohort; at most all of it, because a quorum is below 10 000.
    function _votesNeeded(Task storage t) private view returns (uint8) {
        return uint8(_count(t.cohort) * t.quorum / BASIS_POINTS + 1);
    }

    /// @dev Who revealed, who declined, and who missed a phase of this attempt and is back.
    function _attesters(Task storage t) private view returns (uint96) {
        return t.cohort & ~t.absent;
    }

    // ---------------------------------------------------------------------------------------------- acts that others send

    /// @inheritdoc ITrainingLedger
    /// @dev The contract calls itself here and nowhere else, with the member's address after the call (as in ERC-2771), so
    /// that a relayed act meets every check of a direct one. Never let anybody else make the contract call itself with
    /// bytes of their choice, by a multicall for example: they could then speak for any member.
    function relay(uint256 task, Act[] calldata acts) external override returns (uint256 taken) {
        Task storage t = tasks[task];
        _requireOpened(task, t.progress.phase);
        bytes32 domain = keccak256(
            abi.encode(DOMAIN_TYPE, DOMAIN_NAME, DOMAIN_VERSION, block.chainid, address(this))
        );
        for (uint256 i = 0; i < acts.length; ++i) {
            Act calldata act = acts[i];
            if (!_isFromMember(domain, task, t, act)) continue;
            (bool done,) = address(this).call(abi.encodePacked(act.call, act.member));
            if (done) taken |= 1 << i;
        }
    }

    /// @dev Whether the call is one that members make, for this task, in this round and attempt. Attempts count, or an old
    /// vote would come again in the next; and without the task, an act of another task at the same round and attempt.
    function _isFromMember(bytes32 domain, uint256 task, Task storage t, Act calldata act)
        private
        view
        returns (bool)
    {
        bytes4 selector = bytes4(act.call);
        if (act.call.length != _lengthOf(selector)) return false;
        if (uint256(bytes32(act.call[4:])) != task) return false;
        if (selector == this.reveal.selector) return true;
        bytes32 content =
            keccak256(abi.encode(ACT_TYPE, t.progress.round, t.attempt, keccak256(act.call)));
        bytes32 digest = keccak256(abi.encodePacked(hex"1901", domain, content));
        uint8 v = 27 + uint8(uint256(act.vs) >> 255);
        bytes32 s = bytes32(uint256(act.vs) & type(uint256).max >> 1);
        address signer = ecrecover(digest, v, act.r, s);
        return signer != address(0) && signer == act.member;
    }

    /// @dev Bytes of each call that may be relayed. No call of another function has this length: nothing has.
    function _lengthOf(bytes4 selector) private pure returns (uint256) {
        if (selector == this.commit.selector) return 100;
        if (selector == this.reveal.selector) return 228;
        if (selector == this.attest.selector) return 132;
        if (selector == this.skip.selector) return 68;
        if (selector == this.rejoin.selector) return 36;
        return type(uint256).max;
    }

    /// @dev The member whose act this is: the sender, or behind `relay` the address after the call.
    function _caller() private view returns (address) {
        if (msg.sender != address(this)) return msg.sender;
        return address(bytes20(msg.data[msg.data.length - 20:]));
    }

    // ---------------------------------------------------------------------------------------------- moving on

    /// @inheritdoc ITrainingLedger
    function advance(uint256 task) external override {
        Task storage t = tasks[task];
        Progress memory p = t.progress;
        _requireOpened(task, p.phase);
        _requireRunning(p.phase);
        if (block.timestamp <= p.deadline) revert DeadlineAhead(p.deadline);

        t.absent |= p.awaited; // never empty: a phase in which all have acted is over
        emit MembersMissed(task, p.round, p.awaited);
        t.historyHead =
            keccak256(abi.encode(t.historyHead, MembersMissed.selector, p.round, p.awaited));
        if (_count(_attesters(t)) < _votesNeeded(t)) _abort(task, t, p);
        else _close(task, t, p);
    }

    /// @dev After an act: the phase ends early once everyone who may act in it has.
    function _settle(uint256 task, Task storage t, Progress memory p) private {
        if (p.awaited != 0) {
            t.progress.awaited = p.awaited;
            t.progress.done = p.done;
            t.progress.votesMissing = p.votesMissing;
        } else if (p.done == 0) {
            _finalise(task, t, p.round, t.parentDigest, 0); // all declined
        } else {
            _close(task, t, p);
        }
    }

    function _close(uint256 task, Task storage t, Progress memory p) private {
        if (p.phase == Phase.Attest || _count(p.done) < t.minUpdates) _abort(task, t, p);
        else if (p.phase == Phase.Commit) _openReveal(task, t, p);
        else _openAttest(task, t, p);
    }

    function _openReveal(uint256 task, Task storage t, Progress memory p) private {
        uint32 deadline = _deadline(t.revealWindow);
        t.progress = Progress(p.done, 0, deadline, p.round, Phase.Reveal, 0);
        emit RevealOpened(task, p.round, p.done, deadline);
        t.historyHead = keccak256(
            abi.encode(t.historyHead, RevealOpened.selector, p.round, p.done, deadline)
        );
    }

    function _openAttest(uint256 task, Task storage t, Progress memory p) private {
        uint32 deadline = _deadline(t.attestWindow);
        uint96 attesters = _attesters(t);
        uint8 votesMissing = NO_VOTE + _votesNeeded(t);
        t.progress = Progress(attesters, p.done, deadline, p.round, Phase.Attest, votesMissing);
        emit AttestOpened(task, p.round, p.done, attesters, deadline);
        t.historyHead = keccak256(
            abi.encode(
                t.historyHead, AttestOpened.selector, p.round, p.done, attesters, deadline
            )
        );
    }

    function _abort(uint256 task, Task storage t, Progress memory p) private {
        uint16 attempt = t.attempt;
        emit RoundAborted(task, p.round, attempt, p.phase);
        t.historyHead = keccak256(
            abi.encode(t.historyHead, RoundAborted.selector, p.round, attempt, p.phase)
        );
        _openRound(task, t, p.round, attempt + 1);
    }

    function _finalise(
        uint256 task,
        Task storage t,
        uint16 round,
        bytes32 aggregateDigest,
        uint96 included
    ) private {
        t.parentDigest = aggregateDigest;
        emit RoundFinalised(task, round, aggregateDigest, included);
        t.historyHead = keccak256(
            abi.encode(t.historyHead, RoundFinalised.selector, round, aggregateDigest, included)
        );
        if (round < t.rounds) _openRound(task, t, round + 1, 0);
        else _finish(task, t, round, aggregateDigest);
    }

    function _finish(uint256 task, Task storage t, uint16 round, bytes32 finalDigest) private {
        t.progress = Progress(0, 0, 0, round, Phase.Finished, 0);
        emit TaskFinished(task, finalDigest);
        t.historyHead = keccak256(abi.encode(t.historyHead, TaskFinished.selector, finalDigest));
    }

    function _openRound(uint256 task, Task storage t, uint16 round, uint16 attempt) private {
        bytes32 parentDigest = t.parentDigest;
        // Nobody can try again for a better draw: the seed follows from what is already on record.
        bytes32 seed = keccak256(abi.encode(parentDigest, task, round, attempt));
        uint96 cohort = _drawCohort(task, t, seed);
        uint32 deadline = _deadline(t.commitWindow);
        t.attempt = attempt;
        t.cohort = cohort;
        t.progress = Progress(cohort, 0, deadline, round, Phase.Commit, 0);
        emit RoundOpened(task, round, attempt, parentDigest, seed, cohort, deadline);
        t.historyHead = keccak256(
            abi.encode(
                t.historyHead,
                RoundOpened.selector,
                round,
                attempt,
                parentDigest,
                seed,
                cohort,
                deadline
            )
        );
    }

    function _drawCohort(uint256 task, Task storage t, bytes32 seed) private returns (uint96) {
        uint96 present = uint96((1 << t.memberCount) - 1) & ~t.absent; // memberCount <= 96
        if (_count(present) < t.cohortFloor) {
            present |= t.absent;
            _forgive(task, t);
        }
        uint256 size = _count(present) * t.cohortFraction / BASIS_POINTS;
        if (size < t.cohortFloor) size = t.cohortFloor;
        return draw(seed, present, uint8(size)); // at most the number of members
    }

    function _forgive(uint256 task, Task storage t) private {
        uint96 forgiven = t.absent;
        t.absent = 0;
        emit AbsencesForgiven(task, forgiven);
        t.historyHead = keccak256(abi.encode(t.historyHead, AbsencesForgiven.selector, forgiven));
    }

    function _deadline(uint24 window) private view returns (uint32) {
        uint256 deadline = block.timestamp + window;
        if (deadline > type(uint32).max) revert DeadlineInvalid(deadline);
        return uint32(deadline);
    }

    // ---------------------------------------------------------------------------------------------- questions

    /// @inheritdoc ITrainingLedger
    function taskState(uint256 task) external view override returns (TaskState memory state) {
        Task storage t = tasks[task];
        Progress memory p = t.progress;
        _requireOpened(task, p.phase);
        state.coordinator = t.coordinator;
        state.manifestDigest = t.manifestDigest;
        state.genesisDigest = t.genesisDigest;
        state.terms = Terms(
            t.rounds,
            t.commitWindow,
            t.revealWindow,
            t.attestWindow,
            t.cohortFraction,
            t.cohortFloor,
            t.minUpdates,
            t.quorum
        );
        state.memberCount = t.memberCount;
        state.phase = p.phase;
        state.round = p.round;
        state.attempt = t.attempt;
        state.deadline = p.deadline;
        state.cohort = t.cohort;
        state.awaited = p.awaited;
        if (p.phase == Phase.Commit) state.committed = p.done;
        else if (p.phase == Phase.Reveal) state.committed = p.done | p.awaited;
        if (p.phase != Phase.Commit) state.revealed = p.done;
        state.absent = t.absent;
        if (p.phase == Phase.Attest && p.votesMissing < NO_VOTE) {
            state.leadVotes = _votesNeeded(t) - p.votesMissing;
        }
        state.parentDigest = t.parentDigest;
        state.historyHead = t.historyHead;
    }

    /// @inheritdoc ITrainingLedger
    function memberIndex(uint256 task, address member) external view override returns (uint8) {
        Task storage t = tasks[task];
        _requireOpened(task, t.progress.phase);
        uint256 place = t.place[member];
        if (place == 0) revert MemberUnknown(task, member);
        return uint8(place - 1); // below MAX_MEMBERS
    }

    /// @inheritdoc ITrainingLedger
    function commitmentOf(uint256 task, uint16 round, address client, Reveal calldata opening)
        public
        view
        override
        returns (bytes32)
    {
        return keccak256(abi.encode(block.chainid, address(this), task, round, client, opening));
    }

    /// @inheritdoc ITrainingLedger
    function draw(bytes32 seed, uint96 candidates, uint8 size)
        public
        pure
        override
        returns (uint96 cohort)
    {
        uint256 n = _count(candidates);
        if (size >= n) return candidates;
        uint8[] memory order = _indices(candidates, n);
        for (uint256 i = 0; i < size; ++i) {
            uint256 j = i + uint256(keccak256(abi.encode(seed, i))) % (n - i);
            (order[i], order[j]) = (order[j], order[i]);
            cohort |= _bit(order[i]);
        }
    }

    // ---------------------------------------------------------------------------------------------- bitmaps

    function _bit(uint256 index) private pure returns (uint96) {
        return uint96(1 << index); // an index is below MAX_MEMBERS
    }

    /// @dev Adds up neighbours: bits into pairs, pairs into nibbles, nibbles into bytes, bytes into the answer.
    function _count(uint96 bitmap) private pure returns (uint256 ones) {
        // Nothing overflows: each sum fits the bits it is kept in, and the last product is cut to 96 bits on purpose.
        unchecked {
            uint96 x = bitmap - ((bitmap >> 1) & 0x555555555555555555555555);
            x = (x & 0x333333333333333333333333) + ((x >> 2) & 0x333333333333333333333333);
            x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0f0f0f0f0f;
            return (x * 0x010101010101010101010101) >> 88;
        }
    }

    function _indices(uint96 bitmap, uint256 n) private pure returns (uint8[] memory found) {
        found = new uint8[](n);
        uint256 next = 0;
        for (uint8 i = 0; next < n; ++i) {
            if (bitmap & _bit(i) != 0) found[next++] = i;
        }
    }
}
