// The lines that are seen, and no others: a window over a log of any length. A line is as high as any other, so its place
// is its number; where long lines are wrapped, the first line seen is still the one that the scroll bar says.
import { parts } from "./ansi.js";

const HEIGHT = 18;
const BLOCK = 200;
/** Browsers lose count of taller elements. */
const TALLEST = 8_000_000;
const KEPT_BLOCKS = 60;

export class View {
  /** @param {HTMLElement} place @param {(block: number, from: number, count: number) => void} want */
  constructor(place, want) {
    this.want = want;
    this.lines = 0;
    this.epoch = 0;
    /** @type {Map<number, string[]>} */
    this.blocks = new Map();
    /** @type {Set<number>} */
    this.asked = new Set();
    /** @type {[number, number] | null} */
    this.chosen = null;
    /** @type {Set<number>} */
    this.errors = new Set();
    this.words = "";
    this.now = -1;
    this.follow = false;
    this.frame = 0;
    this.element = document.createElement("div");
    this.element.className = "log-view";
    this.element.tabIndex = 0;
    this.element.setAttribute("role", "region");
    this.element.setAttribute("aria-label", "Lines of the log");
    this.space = document.createElement("div");
    this.space.className = "log-space";
    this.rows = document.createElement("div");
    this.rows.className = "log-rows";
    this.space.append(this.rows);
    this.element.append(this.space);
    place.append(this.element);
    this.element.addEventListener("scroll", () => this.later());
    new ResizeObserver(() => (this.follow ? this.end() : this.later())).observe(this.element);
  }

  seen() {
    return Math.max(1, Math.floor(this.element.clientHeight / HEIGHT));
  }

  furthest() {
    return Math.max(0, this.lines - this.seen());
  }

  /** How far the bar can go. */
  room() {
    return Math.max(1, this.space.offsetHeight - this.element.clientHeight);
  }

  top() {
    const exact = this.lines * HEIGHT <= TALLEST;
    const top = exact ? Math.round(this.element.scrollTop / HEIGHT) : Math.round((this.element.scrollTop / this.room()) * this.furthest());
    return Math.min(top, this.furthest());
  }

  /** @param {number} line */
  go(line) {
    const top = Math.min(this.furthest(), Math.max(0, line));
    const exact = this.lines * HEIGHT <= TALLEST;
    this.element.scrollTop = exact ? top * HEIGHT : (top / Math.max(1, this.furthest())) * this.room();
    this.later();
  }

  /** So that it is seen with what is around it. @param {number} line */
  reveal(line) {
    const top = this.top();
    if (line < top || line >= top + this.seen() - 1) this.go(line - Math.floor(this.seen() / 3));
    this.later();
  }

  end() {
    this.element.scrollTop = this.element.scrollHeight;
    this.later();
  }

  atEnd() {
    return this.element.scrollTop + this.element.clientHeight >= this.element.scrollHeight - HEIGHT;
  }

  /** One line of room more than there are, or the last would be cut when the window is not a whole number of lines high.
   * @param {number} lines */
  grow(lines) {
    if (lines === this.lines) return;
    // The last line may have been a part of one.
    this.blocks.delete(Math.floor(Math.max(0, this.lines - 1) / BLOCK));
    this.asked.delete(Math.floor(Math.max(0, this.lines - 1) / BLOCK));
    this.epoch += 1;
    const top = this.top();
    this.lines = lines;
    this.space.style.height = `${Math.max(this.element.clientHeight, Math.min(TALLEST, (lines + 1) * HEIGHT))}px`;
    this.rows.style.setProperty("--digits", `${String(lines).length}ch`);
    // The same place of the bar is another line now, when the log is taller than browsers can count.
    if (this.follow) this.end();
    else this.go(top);
  }

  /** @param {number} block @param {string[]} lines @param {number} epoch */
  take(block, lines, epoch) {
    this.asked.delete(block);
    // Asked before the log grew: a whole block is as it was, the last may be short.
    if (epoch !== this.epoch && lines.length < BLOCK && (block + 1) * BLOCK <= this.lines) {
      this.later();
      return;
    }
    this.blocks.delete(block);
    this.blocks.set(block, lines);
    if (this.blocks.size > KEPT_BLOCKS) this.blocks.delete(/** @type {number} */ (this.blocks.keys().next().value));
    this.later();
  }

  /** @param {number} line */
  text(line) {
    const block = Math.floor(line / BLOCK);
    const lines = this.blocks.get(block);
    if (lines) return lines[line - block * BLOCK] ?? "";
    if (!this.asked.has(block)) {
      this.asked.add(block);
      this.want(block, block * BLOCK, BLOCK);
    }
    return null;
  }

  later() {
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.render();
    });
  }

  render() {
    const top = this.top();
    const end = Math.min(this.lines, top + this.seen() + (this.element.classList.contains("wrap") ? 1 : 0));
    this.element.classList.toggle("at-end", this.atEnd() && this.lines > this.seen());
    const rows = [];
    for (let line = top; line < end; line += 1) rows.push(this.row(line));
    this.rows.replaceChildren(...rows);
  }

  /** @param {number} line */
  row(line) {
    const row = document.createElement("div");
    row.className = "row-line";
    const [from, to] = this.chosen ?? [-1, -1];
    if (line >= from && line <= to) row.classList.add("chosen");
    if (this.errors.has(line)) row.classList.add("err");
    if (line === this.now) row.classList.add("now");
    const number = document.createElement("a");
    number.href = `#L${line + 1}`;
    number.dataset.n = String(line + 1);
    number.tabIndex = -1;
    number.setAttribute("aria-label", `Line ${line + 1}`);
    const text = document.createElement("span");
    text.className = "text";
    const said = this.text(line);
    if (said === null) text.textContent = "…";
    else for (const part of parts(said)) text.append(this.part(part));
    row.append(number, text);
    return row;
  }

  /** @param {{text: string, classes: string}} part */
  part(part) {
    const span = document.createElement("span");
    if (part.classes) span.className = part.classes;
    const words = this.words;
    if (!words) {
      span.textContent = part.text;
      return span;
    }
    const exact = words !== words.toLowerCase();
    const all = exact ? part.text : part.text.toLowerCase();
    const wanted = exact ? words : words.toLowerCase();
    let at = 0;
    for (let hit = all.indexOf(wanted); hit >= 0; hit = all.indexOf(wanted, at)) {
      const mark = document.createElement("mark");
      mark.textContent = part.text.slice(hit, hit + wanted.length);
      span.append(part.text.slice(at, hit), mark);
      at = hit + wanted.length;
    }
    span.append(part.text.slice(at));
    return span;
  }
}
