/** Makes elements. Text from others is only ever text: nothing here reads HTML. */

/** @typedef {Node | string | number | null | undefined} Part */

/**
 * @param {string} name
 * @param {Record<string, string | boolean | ((event: Event) => void)>} [attributes] `onclick` and the like take functions
 * @param {...Part} parts
 * @returns {HTMLElement}
 */
export function element(name, attributes = {}, ...parts) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(key.slice(2), value);
    else if (value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...parts.filter((part) => part !== null && part !== undefined).map(plain));
  return made;
}

/** @param {Part} part @returns {Node | string} */
function plain(part) {
  return part instanceof Node ? part : shown(String(part));
}

/** @param {string} id @returns {HTMLElement} */
export function byId(id) {
  return /** @type {HTMLElement} */ (document.getElementById(id));
}

/** @param {string} id @param {...Part} parts put in place of what is there */
export function fill(id, ...parts) {
  byId(id).replaceChildren(...parts.filter((part) => part !== null && part !== undefined).map(plain));
}

/** @param {string} text of somebody else @returns {string} without what controls a screen, and not too long */
export function shown(text) {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, "\uFFFD").slice(0, 500);
}

/** @param {string} digest @returns {HTMLElement} all of it, to be copied */
export function whole(digest) {
  return element("span", { class: "digest" }, digest);
}

/** @param {string} digest or address @returns {HTMLElement} its beginning; the rest on hovering */
export function brief(digest) {
  return element("span", { class: "digest brief", title: digest }, `${digest.slice(0, 8)}…`);
}

/** @param {readonly Part[]} headings @param {readonly (readonly Part[])[]} rows @returns {HTMLElement} */
export function table(headings, rows) {
  const cells = (/** @type {readonly Part[]} */ row) => row.map((cell) => element("td", {}, cell));
  return element(
    "table",
    {},
    element("thead", {}, element("tr", {}, ...headings.map((heading) => element("th", { scope: "col" }, heading)))),
    element("tbody", {}, ...rows.map((row) => element("tr", {}, ...cells(row)))),
  );
}
