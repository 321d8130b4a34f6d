// The log viewer: it opens where one wants to look, follows, finds, and links to lines.
import { enabled, typing } from "./keys.js";
import { View } from "./log-view.js";

/** @param {string} label @param {string} key @param {() => void} press */
function button(label, key, press) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = label;
  made.title = `${label} (${key})`;
  made.addEventListener("click", press);
  return made;
}

/** Lines of `#L10` and `#L10-L20`, from zero. @returns {[number, number] | null} */
function hashed() {
  const match = /^#L(\d+)(?:-L?(\d+))?$/.exec(location.hash);
  if (!match) return null;
  const [from, to] = [Number(match[1]) - 1, Number(match[2] ?? match[1]) - 1];
  return [Math.min(from, to), Math.max(from, to)];
}

/** @param {HTMLElement} place */
function start(place) {
  const plain = /** @type {HTMLElement} */ (place.querySelector(".log-plain"));
  plain.scrollTop = plain.scrollHeight;
  const worker = new Worker(new URL("./log-worker.js", import.meta.url), { type: "module" });
  const view = new View(place, (block, from, count) => worker.postMessage({ type: "lines", block, from, count, epoch: view.epoch }));
  view.element.hidden = true;
  let state = { lines: 0, bytes: 0, total: 0, growing: true, done: false };
  /** @type {number[]} */
  let errors = [];
  /** @type {number[]} */
  let found = [];
  let find = 0;
  let opened = false;
  let jump = false;
  let clicked = -1;

  const bar = document.createElement("div");
  bar.className = "log-bar";
  const input = document.createElement("input");
  input.type = "search";
  input.placeholder = "Find in the whole log";
  input.setAttribute("aria-label", "Find in the whole log");
  const count = document.createElement("span");
  count.className = "count";
  count.setAttribute("role", "status");
  const follow = button("Follow", "f", () => setFollow(!view.follow));
  const wrap = button("Wrap", "w", () => {
    const on = view.element.classList.toggle("wrap");
    wrap.setAttribute("aria-pressed", String(on));
    view.later();
  });
  const next = button("Next match", "n", () => match(1));
  const back = button("Previous match", "N", () => match(-1));
  const error = button("Next error", "e", () => toError(1));
  next.hidden = back.hidden = error.hidden = true;
  wrap.setAttribute("aria-pressed", "false");
  bar.append(input, count, back, next, error, wrap, follow);
  place.prepend(bar);
  const note = document.createElement("div");
  note.className = "log-note";
  place.append(note);

  /** @param {boolean} on */
  function setFollow(on) {
    view.follow = on;
    follow.setAttribute("aria-pressed", String(on));
    if (on) view.end();
  }

  function show() {
    opened = true;
    view.element.hidden = false;
    plain.hidden = true;
    view.grow(state.lines);
  }

  /** Opens as soon as the place to open at is known. */
  function open() {
    const chosen = hashed();
    if (chosen) {
      if (state.lines <= chosen[1] && !state.done) return;
      show();
      view.chosen = chosen;
      view.go(chosen[0] - 3);
    } else if (place.dataset.opens === "error" && errors.length && state.lines > errors[0]) {
      show();
      view.now = errors[0];
      view.go(errors[0] - 4);
    } else if (state.done) {
      show();
      if (place.dataset.opens === "error") view.end();
      else setFollow(true);
    }
  }

  function say() {
    const number = state.lines.toLocaleString("en");
    const percent = state.total ? Math.floor((state.bytes / state.total) * 100) : 100;
    const words = [state.done ? `${number} lines` : `Reading: ${percent} %, ${number} lines so far`];
    if (state.growing) words.push("still growing");
    if (errors.length) words.push(errors.length === 1 ? "1 line looks like an error" : `${errors.length.toLocaleString("en")} lines look like errors`);
    if (view.chosen) words.push(`line ${view.chosen[0] + 1}${view.chosen[1] > view.chosen[0] ? `–${view.chosen[1] + 1}` : ""} chosen`);
    note.textContent = words.join(" · ");
    error.hidden = errors.length === 0;
    follow.hidden = !state.growing;
  }

  /** @param {number} step @param {number[]} among */
  function nearest(step, among) {
    const at = view.now >= 0 ? view.now : step > 0 ? view.top() - 1 : view.top() + 1;
    const next = step > 0 ? among.find((line) => line > at) : [...among].reverse().find((line) => line < at);
    return next ?? (step > 0 ? among[0] : among[among.length - 1]);
  }

  /** @param {number} step @param {number[]} among */
  function to(step, among) {
    if (!among.length || !opened) return;
    setFollow(false);
    view.now = nearest(step, among);
    view.reveal(view.now);
  }

  /** @param {number} step */
  function match(step) {
    to(step, found);
    tell(true, 1);
  }

  /** How many were found, and at which one is. @param {boolean} done @param {number} share */
  function tell(done, share) {
    const number = found.length.toLocaleString("en");
    const at = found.indexOf(view.now) + 1;
    const words = at ? `${at.toLocaleString("en")} of ${number} lines` : `${number} lines`;
    count.textContent = !done ? `${words}, ${Math.floor(share * 100)} %` : found.length ? words : "Not found";
  }

  /** @param {number} step */
  function toError(step) {
    to(step, errors);
  }

  function search() {
    find += 1;
    found = [];
    view.words = input.value;
    view.now = -1;
    jump = true;
    next.hidden = back.hidden = !input.value;
    count.textContent = input.value ? "Looking…" : "";
    worker.postMessage({ type: "find", words: input.value, find });
    view.later();
  }

  worker.addEventListener("message", ({ data }) => {
    if (data.type === "progress") {
      state = data;
      if (opened) view.grow(state.lines);
      else open();
      say();
    } else if (data.type === "errors") {
      errors = data.lines;
      view.errors = new Set(errors);
    } else if (data.type === "lines") view.take(data.block, data.lines, data.epoch);
    else if (data.type === "found" && data.find === find) {
      found = data.lines;
      if (jump && found.length && opened) {
        jump = false;
        to(1, found);
      }
      tell(data.done, data.at);
    } else if (data.type === "line") {
      setFollow(false);
      view.now = data.line;
      view.go(data.line);
    } else if (data.type === "failed") note.textContent = `The log could not be read: ${data.message}. What was read stays.`;
  });

  let timer = 0;
  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = window.setTimeout(search, 200);
  });
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter") match(event.shiftKey ? -1 : 1);
  });
  view.element.addEventListener("wheel", (event) => event.deltaY < 0 && setFollow(false), { passive: true });
  view.element.addEventListener("click", (event) => {
    const link = event.target instanceof Element ? event.target.closest("a[data-n]") : null;
    if (!(link instanceof HTMLElement)) return;
    event.preventDefault();
    const line = Number(link.dataset.n) - 1;
    const from = event.shiftKey && clicked >= 0 ? Math.min(clicked, line) : line;
    const until = event.shiftKey && clicked >= 0 ? Math.max(clicked, line) : line;
    if (!event.shiftKey) clicked = line;
    view.chosen = [from, until];
    history.replaceState(null, "", from === until ? `#L${from + 1}` : `#L${from + 1}-L${until + 1}`);
    setFollow(false);
    view.later();
    say();
  });
  window.addEventListener("hashchange", () => {
    const chosen = hashed();
    if (!chosen || !opened) return;
    setFollow(false);
    view.chosen = chosen;
    view.reveal(chosen[0]);
    say();
  });
  document.addEventListener("click", (event) => {
    const step = event.target instanceof Element ? event.target.closest("[data-offset]") : null;
    if (!(step instanceof HTMLElement) || !opened) return;
    event.preventDefault();
    worker.postMessage({ type: "offset", offset: Number(step.dataset.offset) });
    view.element.focus();
  });
  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key === "f" && place.contains(document.activeElement)) {
      event.preventDefault();
      input.select();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event) || !enabled() || document.querySelector("dialog[open]")) return;
    const act = { f: () => setFollow(!view.follow), w: () => wrap.click(), n: () => match(1), N: () => match(-1), e: () => toError(1), E: () => toError(-1), y: () => navigator.clipboard.writeText(location.href) }[event.key];
    if (act) {
      event.preventDefault();
      act();
    }
  });

  worker.postMessage({ type: "open", url: new URL(/** @type {string} */ (place.dataset.url), location.href).href });
  listen();

  function listen() {
    const stream = new EventSource(`/live?topic=${encodeURIComponent(place.dataset.topic ?? "")}`);
    // Asked once a second at most, however often it rings.
    let due = 0;
    const more = () => {
      due ||= window.setTimeout(() => {
        due = 0;
        if (state.growing) worker.postMessage({ type: "more" });
        else stream.close();
      }, 500);
    };
    stream.addEventListener("message", more);
    stream.addEventListener("open", more);
  }
}

const place = document.getElementById("log");
if (place) start(place);
