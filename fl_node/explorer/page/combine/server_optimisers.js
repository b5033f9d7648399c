/** The mean difference as a gradient: momentum, Adagrad, Adam and Yogi. */

import { nearest } from "../exact.js";
import { exact } from "../manifest.js";
import { nameInSlot } from "../state.js";
import { floatsOf, settled } from "../tensors.js";
import { plusMean, Sums, tensorOf } from "./sums.js";

/** @import { Choice } from "../manifest.js" */
/** @import { Tensor } from "../tensors.js" */
/** @import { Rule } from "./combine.js" */

/** @typedef {(difference: number, m: number, v: number) => number} Moment */

/** @type {Rule} */
export const momentum = optimiser(["momentum"], (knobs) => {
  const { beta, rate } = numbers(knobs, "beta", "rate");
  return {
    first: (difference, m) => beta * m + difference,
    second: (_, __, v) => v,
    move: (m) => rate * m,
  };
});

/** @type {Rule} */
export const adagrad = adaptive(() => (squared, v) => v + squared);

/** @type {Rule} */
export const adam = adaptive((knobs) => {
  const [keep, add] = shares(knobs, "beta2");
  return (squared, v) => keep * v + add * squared;
});

/** @type {Rule} */
export const yogi = adaptive((knobs) => {
  const add = shares(knobs, "beta2")[1];
  return (squared, v) => v - add * squared * Math.sign(v - squared);
});

/** @param {(knobs: Choice) => (squared: number, v: number) => number} next the second moment @returns {Rule} */
function adaptive(next) {
  return optimiser(["momentum", "second_moment"], (knobs) => {
    const [keep, add] = shares(knobs, "beta1");
    const { rate, tau } = numbers(knobs, "rate", "tau");
    const second = next(knobs);
    return {
      first: (difference, m) => keep * m + add * difference,
      second: (difference, _, v) => second(difference * difference, v),
      move: (m, v) => (rate * m) / (Math.sqrt(v) + tau),
    };
  });
}

/**
 * @param {readonly string[]} slots
 * @param {(knobs: Choice) => {first: Moment, second: Moment, move: (m: number, v: number) => number}} stepOf
 * @returns {Rule}
 */
function optimiser(slots, stepOf) {
  return (knobs, parent, statistics) => {
    const step = stepOf(knobs);
    const sums = new Sums();
    let examples = 0n;
    const names = [...parent.keys()].filter((name) => !name.startsWith("server."));
    return {
      add({ header, tensors }) {
        examples += header.examples;
        for (const name of names) sums.add(name, tensorOf(tensors, name), Number(header.examples));
      },
      result() {
        const total = Number(examples);
        /** @type {Map<string, Tensor>} */
        const moved = new Map();
        for (const name of names) {
          const tensor = tensorOf(parent, name);
          if (statistics.has(name)) {
            moved.set(name, plusMean(tensor, sums.of(name), total));
            continue;
          }
          const before = slots.map((slot) => tensorOf(parent, nameInSlot(slot, name)));
          const [w, m, v] = [tensor, ...before].map((one) => new Float64Array(floatsOf(one)));
          const sum = sums.of(name);
          for (let i = 0; i < w.length; i++) {
            const difference = sum[i] / total;
            const [oldM, oldV] = [m[i], v ? v[i] : 0];
            m[i] = step.first(difference, oldM, oldV);
            const newV = step.second(difference, oldM, oldV);
            if (v) v[i] = newV;
            // The step uses the moments before they are rounded to F32.
            w[i] = w[i] + step.move(m[i], newV);
          }
          moved.set(name, settled(tensor, w));
          slots.forEach((slot, i) => moved.set(nameInSlot(slot, name), settled(before[i], i ? v : m)));
        }
        return moved;
      },
    };
  };
}

/**
 * @template {string} K
 * @param {Choice} knobs
 * @param {...K} names
 * @returns {Record<K, number>} the float64s nearest to the decimals
 */
function numbers(knobs, ...names) {
  return /** @type {Record<K, number>} */ (Object.fromEntries(names.map((name) => [name, nearest(exact(knobs[name]))])));
}

/** @param {Choice} knobs @param {string} name @returns {[number, number]} beta, and 1 - beta as a decimal first */
function shares(knobs, name) {
  const { over, under } = exact(knobs[name]);
  return [nearest({ over, under }), nearest({ over: under - over, under })];
}
