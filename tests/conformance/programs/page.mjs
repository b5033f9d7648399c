// The page's modules as a program of the suite: node page.mjs VERB FOLDER..., or questions on standard input.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";

import { checksummed } from "../../../fl_node/explorer/page/address.js";
import { aggregateRound, faultsOf, modelFrom } from "../../../fl_node/explorer/page/aggregate.js";
import { audit } from "../../../fl_node/explorer/page/audit.js";
import { readLog } from "../../../fl_node/explorer/page/events.js";
import { BadData, NotCheckedHere } from "../../../fl_node/explorer/page/faults.js";
import { commitmentOf, headOf } from "../../../fl_node/explorer/page/head.js";
import { MAX_MANIFEST, parseManifest } from "../../../fl_node/explorer/page/manifest.js";
import { readLogs } from "../../../fl_node/explorer/page/reading/events_json.js";
import { readState } from "../../../fl_node/explorer/page/reading/state_json.js";
import { finalRounds } from "../../../fl_node/explorer/page/record.js";
import { Store } from "../../../fl_node/explorer/page/store.js";
import { Verdicts } from "../../../fl_node/explorer/page/validity.js";

const DONE = 0;
const NOT_DONE = 2;
const hex = (digits) => `0x${digits}`;

const VERBS = {
  head({ site, view, events }) {
    const head = headOf(site, events);
    return head === view.historyHead ? { head: hex(head) } : { finding: "A2" };
  },

  commitment({ site, events }) {
    const commitments = [];
    const last = new Map();
    for (const event of events) {
      const key = `${event.round} ${event.client}`;
      if (event.name === "UpdateCommitted") last.set(key, event.commitment);
      if (event.name !== "UpdateRevealed") continue;
      const commitment = commitmentOf(site, event.round, event.client, event.reveal);
      if (commitment !== last.get(key)) return { finding: "A3" };
      commitments.push(hex(commitment));
    }
    return { commitments };
  },

  async validate(task) {
    const { manifest, state } = await started(task);
    const updates = [];
    for (const { opened, reveals, abandoned } of finalRounds(task.entries)) {
      const verdicts = new Verdicts(task.store, manifest, opened.parentDigest, state);
      for (const revealed of [...reveals, ...abandoned]) await verdicts.judge(revealed);
      const faults = faultsOf(verdicts, reveals, abandoned);
      for (const { client } of reveals) {
        const rule = faults.get(client)?.rule ?? null;
        updates.push({ client: checksummed(client), left_out_because: rule, round: opened.round });
      }
    }
    return { updates };
  },

  async aggregate(task) {
    const { manifest } = await started(task);
    const rounds = [];
    for (const { opened, reveals, abandoned, finalised } of finalRounds(task.entries)) {
      const digest = opened.parentDigest;
      const parent = modelFrom(digest, await task.store.get(digest, manifest.limits.modelBytes));
      const aggregated = await aggregateRound(task.store, manifest, parent, reveals, abandoned);
      if (aggregated.digest !== finalised.aggregateDigest) return { finding: "A7", round: opened.round };
      const included = aggregated.included.map(checksummed);
      rounds.push({ aggregate: hex(aggregated.digest), included, round: opened.round });
    }
    return { rounds };
  },

  async audit({ site, view, entries, store }) {
    const report = await audit(site, entries, view, store);
    const unchecked = Object.values(report.steps).includes("not checked here");
    if (unchecked) throw new NotCheckedHere(Object.values(report.reasons).flat().join("; "));
    const found = report.findings.map(({ step, round }) => [step, round ?? 0]);
    const once = [...new Set(found.map(String))].sort();
    const findings = once.map((pair) => pair.split(",")).map(([step, round]) => [step, Number(round)]);
    findings.sort(([a, i], [b, k]) => (a < b ? -1 : a > b ? 1 : i - k));
    return { steps: report.steps, findings, final_digest: hex(view.parentDigest), reasons: report.reasons };
  },
};

/** The manifest of a task, and its genesis, whose tensors every update and model of the task follows. */
async function started({ view, store }) {
  const manifest = parseManifest(await store.get(view.manifestDigest, MAX_MANIFEST));
  const genesis = await store.get(view.genesisDigest, manifest.limits.modelBytes);
  return { manifest, state: modelFrom(view.genesisDigest, genesis).tensors };
}

async function answer(verb, folder) {
  const read = (name) => readFile(join(folder, name));
  const blob = async (digest) => {
    try {
      return new Blob([await read(join("blobs", digest))]).stream();
    } catch (error) {
      if (error.code === "ENOENT") return null;
      throw error;
    }
  };
  try {
    const { site, state: view } = readState(new Uint8Array(await read("state.json")));
    const entries = readLog(site.contract, site.task, readLogs(new Uint8Array(await read("events.json"))));
    const events = entries.map((entry) => entry.event);
    return await VERBS[verb]({ site, view, entries, events, store: new Store(blob) });
  } catch (fault) {
    if (fault instanceof BadData && fault.rule === "log") return { invalid: "log" };
    throw fault;
  }
}

async function line(verb, folder) {
  try {
    return verb in VERBS ? await answer(verb, folder) : { not_done: `no verb ${verb}` };
  } catch (fault) {
    if (!(fault instanceof NotCheckedHere)) throw fault;
    return { not_done: fault.message };
  }
}

/** The questions of a call, or, if it has none, of the lines of standard input. */
async function* questions([verb, ...folders]) {
  for (const folder of folders) yield [verb, folder];
  if (verb !== undefined) return;
  for await (const text of createInterface({ input: process.stdin })) {
    const space = text.indexOf(" ");
    yield [text.slice(0, space), text.slice(space + 1)];
  }
}

process.exitCode = DONE;
for await (const [verb, folder] of questions(process.argv.slice(2))) {
  const said = await line(verb, folder);
  process.stdout.write(`${JSON.stringify(said)}\n`);
  if ("not_done" in said) process.exitCode = NOT_DONE;
}
