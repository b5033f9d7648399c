/** The contract's rules for one task: what each call requires, and what follows from it. */

import { cohortSeed, count, draw } from "./cohort.js";
import { CallRefused } from "./faults.js";
import { commitmentOf } from "./head.js";

/** @import { LedgerEvent, Opening, Terms } from "./events.js" */
/** @import { Site } from "./head.js" */

export const Phase = Object.freeze({ NONE: 0, COMMIT: 1, REVEAL: 2, ATTEST: 3, FINISHED: 4 });

const MAX_MEMBERS = 96;
const BASIS_POINTS = 10_000;
const NO_BYTES = "0".repeat(64);
const NOBODY = 0n;

/** One task from its opening on. Each public method is a call. One that throws ends the task. */
export class Task {
  /** @type {LedgerEvent[]} what the calls have emitted */
  recorded = [];
  /** @type {Map<number, string>} by the member's index */
  #commitments = new Map();
  /** @type {Map<string, number>} votes by pair */
  #votes = new Map();
  phase = 0;
  round = 0;
  attempt = 0;
  deadline = 0;
  cohort = NOBODY;
  awaited = NOBODY;
  committed = NOBODY;
  revealed = NOBODY;
  absent = NOBODY;

  /**
   * Open a task and its first round.
   *
   * @param {Site} site
   * @param {string} coordinator
   * @param {number} now the block's time
   * @param {string} manifestDigest
   * @param {string} genesisDigest
   * @param {readonly string[]} members
   * @param {Terms} terms
   */
  constructor(site, coordinator, now, manifestDigest, genesisDigest, members, terms) {
    if (manifestDigest === NO_BYTES || genesisDigest === NO_BYTES) throw new CallRefused("DigestMissing");
    if (members.length < 1 || members.length > MAX_MEMBERS) {
      throw new CallRefused("MemberCountInvalid", members.length);
    }
    requireTerms(terms, members.length);
    requireAscending(members);
    this.site = site;
    this.members = members;
    this.terms = terms;
    this.parentDigest = genesisDigest;
    this.#record("TaskOpened", { coordinator, manifestDigest, genesisDigest, members, terms });
    this.#openRound(now, 1, 0);
  }

  /** @param {string} caller @param {number} now @param {number} round @param {string} commitment */
  commit(caller, now, round, commitment) {
    const index = this.#requireTurn(caller, now, round, Phase.COMMIT);
    if (commitment === NO_BYTES) throw new CallRefused("CommitmentMissing");
    this.#commitments.set(index, commitment);
    this.#record("UpdateCommitted", { round, client: caller, commitment });
    this.committed |= bit(index);
    this.#settle(now, index);
  }

  /** @param {string} caller @param {number} now @param {number} round */
  skip(caller, now, round) {
    const index = this.#requireTurn(caller, now, round, Phase.COMMIT);
    this.#record("RoundSkipped", { round, member: caller });
    this.#settle(now, index);
  }

  /** @param {string} caller @param {number} now @param {number} round @param {Opening} opening */
  reveal(caller, now, round, opening) {
    const index = this.#requireTurn(caller, now, round, Phase.REVEAL);
    if (opening.numExamples === 0n) throw new CallRefused("ExamplesMissing");
    const expected = this.#commitments.get(index) ?? NO_BYTES;
    const actual = commitmentOf(this.site, round, caller, opening);
    if (actual !== expected) throw new CallRefused("CommitmentMismatch", expected, actual);
    this.#record("UpdateRevealed", { round, client: caller, reveal: opening });
    this.revealed |= bit(index);
    this.#settle(now, index);
  }

  /**
   * @param {string} caller
   * @param {number} now
   * @param {number} round
   * @param {string} aggregateDigest
   * @param {bigint} included
   */
  attest(caller, now, round, aggregateDigest, included) {
    const index = this.#requireTurn(caller, now, round, Phase.ATTEST);
    if (included & ~this.revealed) throw new CallRefused("IncludedInvalid", included, this.revealed);
    if (aggregateDigest === NO_BYTES || (!included && aggregateDigest !== this.parentDigest)) {
      throw new CallRefused("AggregateInvalid", aggregateDigest);
    }
    this.#record("AggregateAttested", { round, client: caller, aggregateDigest, included });
    const pair = `${aggregateDigest} ${included}`;
    const votes = (this.#votes.get(pair) ?? 0) + 1;
    this.#votes.set(pair, votes);
    if (this.#isQuorum(votes)) this.#finalise(now, aggregateDigest, included);
    else this.#settle(now, index);
  }

  /** @param {string} caller */
  rejoin(caller) {
    const index = this.#requireMember(caller);
    this.#requireRunning();
    if (!(this.absent & bit(index))) throw new CallRefused("NotAbsent", caller);
    this.absent &= ~bit(index);
    this.#record("MemberRejoined", { member: caller });
  }

  /** @param {number} now */
  advance(now) {
    this.#requireRunning();
    if (now <= this.deadline) throw new CallRefused("DeadlineAhead", this.deadline);
    this.absent |= this.awaited;
    this.#record("MembersMissed", { round: this.round, missed: this.awaited });
    if (this.#isQuorum(count(this.#attesters()))) this.#close(now);
    else this.#abort(now);
  }

  // ---------------------------------------------------------------------------------- checks

  /** @param {string} caller @param {number} now @param {number} round @param {number} phase @returns {number} */
  #requireTurn(caller, now, round, phase) {
    const index = this.#requireMember(caller);
    if (this.phase !== phase) throw new CallRefused("PhaseMismatch", phase, this.phase);
    if (this.round !== round) throw new CallRefused("RoundMismatch", round, this.round);
    if (now > this.deadline) throw new CallRefused("DeadlinePassed", this.deadline);
    if (!(this.awaited & bit(index))) throw new CallRefused("NotAwaited", caller);
    return index;
  }

  /** @param {string} caller @returns {number} the member's index */
  #requireMember(caller) {
    const index = this.members.indexOf(caller);
    if (index < 0) throw new CallRefused("MemberUnknown", this.site.task, caller);
    return index;
  }

  #requireRunning() {
    if (this.phase === Phase.FINISHED) throw new CallRefused("PhaseMismatch", Phase.COMMIT, this.phase);
  }

  // ---------------------------------------------------------------------------------- what follows

  /** @param {number} votes @returns {boolean} */
  #isQuorum(votes) {
    return votes * BASIS_POINTS > count(this.cohort) * this.terms.quorum;
  }

  #attesters() {
    return this.cohort & ~this.absent;
  }

  /** @param {number} now @param {number} index who has acted */
  #settle(now, index) {
    this.awaited &= ~bit(index);
    if (this.awaited) return;
    // Nobody is left, and nobody has committed: all have declined.
    if (!(this.committed | this.revealed)) this.#finalise(now, this.parentDigest, NOBODY);
    else this.#close(now);
  }

  /** @param {number} now */
  #close(now) {
    const done = this.phase === Phase.COMMIT ? this.committed : this.revealed;
    if (this.phase === Phase.ATTEST || count(done) < this.terms.minUpdates) this.#abort(now);
    else if (this.phase === Phase.COMMIT) this.#openReveal(now);
    else this.#openAttest(now);
  }

  /** @param {number} now */
  #openReveal(now) {
    this.phase = Phase.REVEAL;
    this.awaited = this.committed;
    this.deadline = deadlineAfter(now, this.terms.revealWindow);
    this.#record("RevealOpened", { round: this.round, committed: this.committed, deadline: this.deadline });
  }

  /** @param {number} now */
  #openAttest(now) {
    this.phase = Phase.ATTEST;
    this.awaited = this.#attesters();
    this.committed = NOBODY;
    this.#votes = new Map();
    this.deadline = deadlineAfter(now, this.terms.attestWindow);
    const { round, revealed, awaited, deadline } = this;
    this.#record("AttestOpened", { round, revealed, attesters: awaited, deadline });
  }

  /** @param {number} now */
  #abort(now) {
    const { round, attempt, phase } = this;
    if (attempt === 65_535) throw new CallRefused("Panic", "the attempt is a uint16");
    this.#record("RoundAborted", { round, attempt, phase });
    this.#openRound(now, round, attempt + 1);
  }

  /** @param {number} now @param {string} aggregateDigest @param {bigint} included */
  #finalise(now, aggregateDigest, included) {
    const round = this.round;
    this.parentDigest = aggregateDigest;
    this.#record("RoundFinalised", { round, aggregateDigest, included });
    if (round < this.terms.rounds) this.#openRound(now, round + 1, 0);
    else this.#finish(aggregateDigest);
  }

  /** @param {string} finalDigest */
  #finish(finalDigest) {
    this.phase = Phase.FINISHED;
    this.awaited = this.committed = this.revealed = NOBODY;
    this.deadline = 0;
    this.#record("TaskFinished", { finalDigest });
  }

  /** @param {number} now @param {number} round @param {number} attempt */
  #openRound(now, round, attempt) {
    const seed = cohortSeed(this.parentDigest, this.site.task, round, attempt);
    const cohort = this.#drawCohort(seed);
    this.phase = Phase.COMMIT;
    this.round = round;
    this.attempt = attempt;
    this.cohort = this.awaited = cohort;
    this.committed = this.revealed = NOBODY;
    this.deadline = deadlineAfter(now, this.terms.commitWindow);
    const { parentDigest, deadline } = this;
    this.#record("RoundOpened", { round, attempt, parentDigest, seed, cohort, deadline });
  }

  /** @param {string} seed @returns {bigint} */
  #drawCohort(seed) {
    const everyone = bit(this.members.length) - 1n;
    let present = everyone & ~this.absent;
    if (count(present) < this.terms.cohortFloor) {
      present = everyone;
      const forgiven = this.absent;
      this.absent = NOBODY;
      this.#record("AbsencesForgiven", { forgiven });
    }
    const size = Math.floor((count(present) * this.terms.cohortFraction) / BASIS_POINTS);
    return draw(seed, present, Math.max(size, this.terms.cohortFloor));
  }

  /** @param {string} name @param {Record<string, any>} values */
  #record(name, values) {
    this.recorded.push({ name, task: this.site.task, ...values });
  }
}

/** @param {number} index @returns {bigint} */
function bit(index) {
  return 1n << BigInt(index);
}

/** @param {number} now @param {number} window @returns {number} */
function deadlineAfter(now, window) {
  if (now + window >= 2 ** 32) throw new CallRefused("DeadlineInvalid", now + window);
  return now + window;
}

/** @param {Terms} terms @param {number} members */
function requireTerms(terms, members) {
  /** @type {[number, number, number][]} value, least and greatest, by position */
  const ranges = [
    [terms.rounds, 1, 2 ** 16 - 1],
    [terms.commitWindow, 1, 2 ** 24 - 1],
    [terms.revealWindow, 1, 2 ** 24 - 1],
    [terms.attestWindow, 1, 2 ** 24 - 1],
    [terms.cohortFraction, 1, BASIS_POINTS],
    [terms.cohortFloor, 1, members],
    [terms.minUpdates, 1, terms.cohortFloor],
    [terms.quorum, BASIS_POINTS / 2, BASIS_POINTS - 1],
  ];
  ranges.forEach(([value, least, most], position) => {
    if (value < least || value > most) throw new CallRefused("TermsInvalid", position, value);
  });
}

/** @param {readonly string[]} members */
function requireAscending(members) {
  let previous = `0x${"0".repeat(40)}`;
  for (const member of members) {
    if (member <= previous) throw new CallRefused("MembersUnordered", member);
    previous = member;
  }
}
