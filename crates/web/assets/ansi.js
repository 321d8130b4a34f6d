// A line of a terminal as parts of text with classes. Colours of any depth become one of sixteen, so that all can be read;
// every other control sequence is dropped.

// A control sequence; a string (title, link, device) up to BEL or ESC \; any other escape.
const SEQUENCE = /\x1b(?:\[[0-?]*[ -/]*([@-~])?|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~]?)/g;
const CONTROLS = /[\x00-\x08\x0b-\x1f\x7f-\x9f]/g;
const BIDI = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** What was written over by `\r` is left out. @param {string} line */
export function fold(line) {
  let end = line.length;
  while (end > 0 && line[end - 1] === "\r") end -= 1;
  const at = line.lastIndexOf("\r", end - 1);
  return line.slice(end > 0 && at >= 0 ? at + 1 : 0, end);
}

/** @param {string} text */
export function clean(text) {
  return text.replace(CONTROLS, "").replace(BIDI, (c) => `⟨U+${c.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`);
}

/** Without colours: what find looks at. @param {string} line */
export function plain(line) {
  const folded = fold(line);
  return clean(folded.includes("\x1b") ? folded.replace(SEQUENCE, "") : folded);
}

const RGB = [[0, 0, 0], [187, 0, 0], [0, 187, 0], [187, 187, 0], [0, 0, 187], [187, 0, 187], [0, 187, 187], [187, 187, 187], [85, 85, 85], [255, 85, 85], [85, 255, 85], [255, 255, 85], [85, 85, 255], [255, 85, 255], [85, 255, 255], [255, 255, 255]];

/** The nearest of the sixteen. @param {number} r @param {number} g @param {number} b */
function nearest(r, g, b) {
  let best = 7;
  let least = Infinity;
  RGB.forEach(([x, y, z], at) => {
    const far = (r - x) ** 2 + (g - y) ** 2 + (b - z) ** 2;
    if (far < least) [least, best] = [far, at];
  });
  return best;
}

/** @param {number} code of 256 */
function of256(code) {
  if (code < 16) return code;
  if (code >= 232) return nearest((code - 232) * 10 + 8, (code - 232) * 10 + 8, (code - 232) * 10 + 8);
  const level = (/** @type {number} */ part) => (part ? part * 40 + 55 : 0);
  const cube = code - 16;
  return nearest(level(Math.floor(cube / 36)), level(Math.floor(cube / 6) % 6), level(cube % 6));
}

/** @typedef {{front: number, back: number, marks: Set<string>}} Style */

/** @param {Style} style @param {string} codes */
function apply(style, codes) {
  const all = codes.split(/[;:]/).map((code) => Number(code) || 0);
  for (let at = 0; at < all.length; at += 1) {
    const code = all[at];
    if (code === 38 || code === 48) {
      let colour = -1;
      if (all[at + 1] === 5) [colour, at] = [of256(Math.min(255, all[at + 2] ?? 7)), at + 2];
      else if (all[at + 1] === 2) [colour, at] = [nearest(all[at + 2] ?? 0, all[at + 3] ?? 0, all[at + 4] ?? 0), at + 4];
      if (colour >= 0) style[code === 38 ? "front" : "back"] = colour;
    } else if (code === 0) Object.assign(style, { front: -1, back: -1, marks: new Set() });
    else if (code === 1) style.marks.add("b");
    else if (code === 2) style.marks.add("fa");
    else if (code === 3) style.marks.add("it");
    else if (code === 4) style.marks.add("u");
    else if (code === 9) style.marks.add("st");
    else if (code === 22) ["b", "fa"].forEach((mark) => style.marks.delete(mark));
    else if (code === 23) style.marks.delete("it");
    else if (code === 24) style.marks.delete("u");
    else if (code === 29) style.marks.delete("st");
    else if (code >= 30 && code <= 37) style.front = code - 30;
    else if (code === 39) style.front = -1;
    else if (code >= 40 && code <= 47) style.back = code - 40;
    else if (code === 49) style.back = -1;
    else if (code >= 90 && code <= 97) style.front = code - 82;
    else if (code >= 100 && code <= 107) style.back = code - 92;
  }
}

/** A back's own text colour goes with it: two that are free can hide what is written. @param {Style} style */
function classes(style) {
  const names = [...style.marks];
  if (style.back >= 0) names.push(`g${style.back}`);
  else if (style.front >= 0) names.push(`f${style.front}`);
  return names.join(" ");
}

/** @param {string} line @returns {{text: string, classes: string}[]} */
export function parts(line) {
  const folded = fold(line);
  /** @type {Style} */
  const style = { front: -1, back: -1, marks: new Set() };
  /** @type {{text: string, classes: string}[]} */
  const found = [];
  const add = (/** @type {string} */ text) => text && found.push({ text: clean(text), classes: classes(style) });
  let at = 0;
  for (const match of folded.matchAll(SEQUENCE)) {
    add(folded.slice(at, match.index));
    at = match.index + match[0].length;
    if (match[1] === "m") apply(style, match[0].slice(2, -1));
  }
  add(folded.slice(at));
  return found;
}
