/** What each member did in each round, read from the log. */

import { bitmapOf, membersIn } from "../cohort.js";

/** @import { Entry, LedgerEvent } from "../events.js" */

/**
 * @typedef {object} ShownRound
 * @property {number} round
 * @property {LedgerEvent} opened of the latest attempt
 * @property {number} aborted how many attempts were aborted before it
 * @property {Map<string, string>} acts what each member did in it, in a word
 * @property {LedgerEvent[]} reveals
 * @property {LedgerEvent | null} finalised null while it runs
 * @property {number} began when it was first opened, in seconds since 1970
 * @property {number} ended 0 while it runs
 */

/** @param {readonly Entry[]} entries @param {readonly string[]} members @returns {ShownRound[]} */
export function roundsOf(entries, members) {
  /** @type {ShownRound[]} */
  const rounds = [];
  for (const { event, timestamp } of entries) {
    const last = rounds[rounds.length - 1];
    if (event.name === "RoundOpened") open(rounds, event, members, timestamp);
    else if (last) note(last, event, members, timestamp);
  }
  return rounds;
}

/** @param {ShownRound[]} rounds @param {LedgerEvent} opened @param {readonly string[]} members @param {number} now */
function open(rounds, opened, members, now) {
  const again = rounds[rounds.length - 1]?.round === opened.round ? rounds.pop() : undefined;
  const drawn = membersIn(members, opened.cohort);
  rounds.push({
    round: opened.round,
    opened,
    aborted: again ? again.aborted + 1 : 0,
    acts: new Map(members.map((member) => [member, drawn.includes(member) ? "expected" : "not drawn"])),
    reveals: [],
    finalised: null,
    began: again ? again.began : now,
    ended: 0,
  });
}

/** @param {ShownRound} round @param {LedgerEvent} event @param {readonly string[]} members @param {number} now */
function note(round, event, members, now) {
  switch (event.name) {
    case "UpdateCommitted":
      round.acts.set(event.client, "committed");
      break;
    case "RoundSkipped":
      round.acts.set(event.member, "declined");
      break;
    case "UpdateRevealed":
      round.acts.set(event.client, "revealed");
      round.reveals.push(event);
      break;
    case "MembersMissed":
      for (const member of membersIn(members, event.missed)) round.acts.set(member, missed(round.acts.get(member)));
      break;
    case "RoundFinalised":
      [round.finalised, round.ended] = [event, now];
      for (const { client } of round.reveals) {
        const counted = bitmapOf([members.indexOf(client)]) & event.included;
        round.acts.set(client, counted ? "included" : "left out");
      }
  }
}

/** @param {string | undefined} act before the deadline @returns {string} */
function missed(act) {
  if (act === "revealed" || act === "included" || act === "left out" || act === "declined") return act;
  return act === "committed" ? "did not reveal" : "missed";
}

/** @param {ShownRound} round @param {"trainingLoss" | "heldOutLoss"} which @returns {number | null} mean over what was included */
export function meanLoss(round, which) {
  const counted = round.reveals.filter(({ client }) => round.acts.get(client) === "included");
  const examples = counted.reduce((sum, { reveal }) => sum + reveal.numExamples, 0n);
  if (!examples) return null;
  const weighted = counted.map(({ reveal }) => BigInt(reveal.numExamples) * BigInt(reveal[which]));
  const total = weighted.reduce((sum, loss) => sum + loss, 0n);
  return Number(total) / Number(examples) / 1e6;
}
