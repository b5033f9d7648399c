/** A few bits for each element, and a scale for each bucket of them. */

import { BadData } from "../faults.js";
import { elements, floatsOf } from "../tensors.js";

/** @import { Spec } from "../tensors.js" */
/** @import { Codec } from "./codecs.js" */

/** @type {Codec} */
export const quantise = {
  layout(knobs, shape) {
    const size = elements({ dtype: "F32", shape });
    const scale = { dtype: "F32", shape: [Math.ceil(size / Number(knobs.bucket))] };
    const packed = { dtype: "U8", shape: [Math.ceil((size * Number(knobs.bits)) / 8)] };
    /** @type {Record<string, Spec>} */
    const side = knobs.spread === "range" ? { low: scale, scale } : { scale };
    return { values: packed, side };
  },
  decode(knobs, values, side, shape) {
    const [bits, bucket] = [Number(knobs.bits), Number(knobs.bucket)];
    const decoded = new Float32Array(elements({ dtype: "F32", shape }));
    const packed = values.bytes;
    const used = (decoded.length * bits) % 8;
    if (used && packed[packed.length - 1] >> used) throw new BadData("malformed", "bits where none belong");
    const scale = floatsOf(side.scale);
    const low = side.low && floatsOf(side.low);
    const levels = 2 ** (bits - 1) - 1;
    const highest = 2 ** bits - 1;
    for (let i = 0; i < decoded.length; i++) {
      const bit = i * bits;
      const height = (packed[Math.floor(bit / 8)] >> bit % 8) & highest;
      const at = Math.floor(i / bucket);
      if (low) {
        decoded[i] = Math.fround(height * scale[at]) + low[at];
      } else {
        if (height > 2 * levels) throw new BadData("malformed", "a level that does not exist");
        decoded[i] = (height - levels) * scale[at];
      }
    }
    return decoded;
  },
};
