// Reads a log by pieces, knows where its lines are, and looks for errors and for words, away from the page.
// Kept: where every 256th line starts, and the pieces that were read last.
import { plain } from "./ansi.js";

const PIECE = 1024 * 1024;
const STEP = 256;
const KEPT_PIECES = 128;
const LINE_BYTES = 16 * 1024;
const MOST_ERRORS = 10_000;
const MOST_FOUND = 100_000;
const COLOURS = /\x1b\[[0-9;:]*m/g;
const ERROR = /##\[error\]|^::error[ :]|\berror(?:\[\w+\])?: |\bfatal: |\bpanicked at |^Traceback \(|\bnpm ERR!|\bexit(?:ed)?(?: with)? (?:code|status)[ :]+[1-9]/gim;

let url = "";
let total = 0;
let growing = true;
let scanned = 0;
/** Newlines so far. */
let newlines = 0;
/** @type {number[]} where line 0, 256, 512, … start */
let starts = [0];
/** @type {number[]} */
let errors = [];
let carry = "";
let scanning = false;
let searching = 0;
/** @type {Map<number, Uint8Array>} */
const pieces = new Map();
const decoder = new TextDecoder();

/** Where the line after the last newline starts. */
let lastStart = 0;
const lineCount = () => newlines + (scanned > lastStart ? 1 : 0);

/** @param {number} offset @param {number} bytes */
async function get(offset, bytes) {
  const response = await fetch(`${url}&offset=${offset}&bytes=${bytes}`);
  if (!response.ok) throw new Error(response.status === 401 ? "you were logged out" : `the server said ${response.status}`);
  total = Number(response.headers.get("x-log-total"));
  growing = response.headers.get("x-log-growing") === "true";
  return new Uint8Array(await response.arrayBuffer());
}

/** The piece as far as it is there now. @param {number} number */
async function piece(number) {
  const start = number * PIECE;
  let bytes = pieces.get(number) ?? new Uint8Array(0);
  pieces.delete(number);
  const end = Math.min(start + PIECE, total || start + PIECE);
  while (start + bytes.length < end) {
    const more = await get(start + bytes.length, end - start - bytes.length);
    if (more.length === 0) break;
    const joined = new Uint8Array(bytes.length + more.length);
    joined.set(bytes);
    joined.set(more, bytes.length);
    bytes = joined;
  }
  pieces.set(number, bytes);
  if (pieces.size > KEPT_PIECES) pieces.delete(/** @type {number} */ (pieces.keys().next().value));
  return bytes;
}

function report() {
  postMessage({ type: "progress", lines: lineCount(), bytes: scanned, total, growing, done: scanned >= total });
}

/** @param {Uint8Array} bytes a piece, or the rest of one */
function index(bytes) {
  const before = newlines;
  for (let at = bytes.indexOf(10); at >= 0; at = bytes.indexOf(10, at + 1)) {
    newlines += 1;
    lastStart = scanned + at + 1;
    if (newlines % STEP === 0) starts.push(lastStart);
  }
  scanned += bytes.length;
  if (errors.length < MOST_ERRORS) markers(bytes, before);
}

/** @param {Uint8Array} bytes @param {number} line the number of newlines before them */
function markers(bytes, line) {
  let text = carry + decoder.decode(bytes);
  const end = text.lastIndexOf("\n") + 1;
  carry = text.slice(end).slice(-LINE_BYTES);
  text = text.slice(0, end);
  if (text.includes("\x1b")) text = text.replace(COLOURS, "");
  let at = 0;
  for (const match of text.matchAll(ERROR)) {
    for (let next = text.indexOf("\n", at); next >= 0 && next < match.index; next = text.indexOf("\n", at)) {
      line += 1;
      at = next + 1;
    }
    if (errors[errors.length - 1] !== line) errors.push(line);
  }
  postMessage({ type: "errors", lines: errors });
}

async function scan() {
  if (scanning) return;
  scanning = true;
  try {
    do {
      const number = Math.floor(scanned / PIECE);
      // Asks for what is new even when all that was known is read.
      if (scanned >= total) await get(scanned, 0);
      if (scanned >= total) break;
      const bytes = await piece(number);
      const fresh = bytes.subarray(scanned - number * PIECE);
      if (fresh.length === 0) break;
      index(fresh);
      report();
    } while (scanned < total);
    report();
  } catch (error) {
    postMessage({ type: "failed", message: String(/** @type {Error} */ (error).message) });
  }
  scanning = false;
}

/** @param {number} from @param {number} count */
async function lines(from, count) {
  const found = [];
  let line = Math.floor(from / STEP) * STEP;
  let offset = starts[Math.floor(from / STEP)];
  let part = "";
  let long = 0;
  while (found.length < count && offset < scanned) {
    const number = Math.floor(offset / PIECE);
    const bytes = (await piece(number)).subarray(offset - number * PIECE);
    if (bytes.length === 0) break;
    let at = 0;
    while (at < bytes.length && found.length < count) {
      const next = bytes.indexOf(10, at);
      const end = next < 0 ? bytes.length : next;
      if (line >= from) {
        const room = Math.max(0, LINE_BYTES - part.length);
        part += decoder.decode(bytes.subarray(at, Math.min(end, at + room)));
        long += Math.max(0, end - at - room);
      }
      at = end + 1;
      if (next < 0) break;
      if (line >= from) found.push(long ? `${part} … ${long} more bytes` : part);
      [part, long] = ["", 0];
      line += 1;
    }
    offset += Math.min(at, bytes.length);
  }
  if (found.length < count && part) found.push(long ? `${part} … ${long} more bytes` : part);
  return found;
}

/** @param {string} words @param {number} mine */
async function find(words, mine) {
  const exact = words !== words.toLowerCase();
  const wanted = exact ? words : words.toLowerCase();
  /** @type {number[]} */
  const found = [];
  let line = 0;
  let rest = new Uint8Array(0);
  for (let number = 0; number * PIECE < scanned; number += 1) {
    const bytes = (await piece(number)).subarray(0, scanned - number * PIECE);
    if (searching !== mine) return;
    const last = (number + 1) * PIECE >= scanned;
    const cut = last ? bytes.length : bytes.lastIndexOf(10) + 1;
    const head = new Uint8Array(rest.length + cut);
    head.set(rest);
    head.set(bytes.subarray(0, cut), rest.length);
    rest = bytes.slice(cut).slice(-LINE_BYTES);
    line = look(decoder.decode(head), wanted, exact, line, found);
    if (last || number % 8 === 0) {
      postMessage({ type: "found", find: mine, lines: found, done: last, at: Math.min(1, ((number + 1) * PIECE) / scanned) });
      await new Promise((next) => setTimeout(next));
    }
    if (found.length >= MOST_FOUND) break;
  }
  postMessage({ type: "found", find: mine, lines: found, done: true, at: 1 });
}

/** @param {string} text @param {string} wanted @param {boolean} exact @param {number} line @param {number[]} found */
function look(text, wanted, exact, line, found) {
  // Most logs have no escapes: then the text is looked through as a whole.
  if (/[\x1b\r]/.test(text)) {
    for (const one of text.split("\n")) {
      const said = plain(one);
      if ((exact ? said : said.toLowerCase()).includes(wanted)) found.push(line);
      line += 1;
    }
    return line - 1;
  }
  const all = exact ? text : text.toLowerCase();
  let at = 0;
  let hit = all.indexOf(wanted);
  for (let next = all.indexOf("\n"); next >= 0; next = all.indexOf("\n", at)) {
    if (hit >= 0 && hit < next) {
      found.push(line);
      hit = all.indexOf(wanted, next + 1);
    }
    line += 1;
    at = next + 1;
  }
  if (hit >= at) found.push(line);
  return line;
}

/** The line that holds a byte. @param {number} offset */
async function lineOf(offset) {
  let low = 0;
  let high = starts.length - 1;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (starts[middle] <= offset) low = middle;
    else high = middle - 1;
  }
  let line = low * STEP;
  for (let at = starts[low]; at < Math.min(offset, scanned); ) {
    const number = Math.floor(at / PIECE);
    const bytes = await piece(number);
    const next = bytes.indexOf(10, at - number * PIECE);
    const end = next < 0 ? (number + 1) * PIECE : number * PIECE + next + 1;
    if (next >= 0 && end <= offset) line += 1;
    at = end;
  }
  return line;
}

addEventListener("message", async (event) => {
  const asked = event.data;
  try {
    if (asked.type === "open") {
      url = asked.url;
      await scan();
    } else if (asked.type === "more") await scan();
    else if (asked.type === "lines") postMessage({ type: "lines", block: asked.block, epoch: asked.epoch, lines: await lines(asked.from, asked.count) });
    else if (asked.type === "find") {
      searching = asked.find;
      if (asked.words) await find(asked.words, asked.find);
    } else if (asked.type === "offset") postMessage({ type: "line", line: await lineOf(asked.offset), known: scanned > asked.offset });
  } catch (error) {
    postMessage({ type: "failed", message: String(/** @type {Error} */ (error).message) });
  }
});
