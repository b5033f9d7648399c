/** Patterns over names: `*` any text, `?` one character, `[a-z]` one of these, `[!a-z]` one that is none of these. */

/** @typedef {"any text" | ((character: string) => boolean)} Part */

/** @param {string} name @param {readonly string[]} patterns @returns {boolean} whether it matches one of them */
export function matches(name, patterns) {
  const characters = [...name];
  return patterns.some((pattern) => fits(characters, parts([...pattern])));
}

/** @param {readonly string[]} name @param {readonly Part[]} pattern @returns {boolean} */
function fits(name, pattern) {
  // reached[i]: whether the parts so far can match the first i characters.
  let reached = [true, ...name.map(() => false)];
  for (const part of pattern) {
    const next = reached.map(() => false);
    for (let i = 0; i < reached.length; i++) {
      if (part === "any text") next[i] = reached[i] || (i > 0 && next[i - 1]);
      else next[i] = i > 0 && reached[i - 1] && part(name[i - 1]);
    }
    reached = next;
  }
  return reached[name.length];
}

/** @param {readonly string[]} pattern its characters @returns {Part[]} */
function parts(pattern) {
  /** @type {Part[]} */
  const found = [];
  for (let at = 0; at < pattern.length; at++) {
    const character = pattern[at];
    const end = character === "[" ? endOfSet(pattern, at) : -1;
    if (character === "*") found.push("any text");
    else if (character === "?") found.push(() => true);
    else if (end < 0) found.push((one) => one === character);
    else found.push(oneOf(pattern.slice(at + 1, end)));
    if (end >= 0) at = end;
  }
  return found;
}

/** @param {readonly string[]} pattern @param {number} at of the bracket @returns {number} of the closing one, or -1 */
function endOfSet(pattern, at) {
  let end = at + 1;
  if (pattern[end] === "!") end++;
  return pattern.indexOf("]", end + 1);
}

/** @param {readonly string[]} inside of the brackets @returns {Part} */
function oneOf(inside) {
  const none = inside[0] === "!";
  const set = none ? inside.slice(1) : inside;
  /** @type {[number, number][]} */
  const ranges = [];
  for (let at = 0; at < set.length; ) {
    const isRange = set[at + 1] === "-" && at + 2 < set.length;
    ranges.push([codePoint(set[at]), codePoint(set[isRange ? at + 2 : at])]);
    at += isRange ? 3 : 1;
  }
  return (character) => {
    const code = codePoint(character);
    return ranges.some(([least, most]) => least <= code && code <= most) !== none;
  };
}

/** @param {string} character @returns {number} */
function codePoint(character) {
  return /** @type {number} */ (character.codePointAt(0));
}
