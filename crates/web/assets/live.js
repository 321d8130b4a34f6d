// The page asks itself again when the server says that something changed, and puts in place what is different.

const MOST_OFTEN_MS = 1000;

/** What the server sent for a region; the page changes it a little. @type {WeakMap<Element, string>} */
const sent = new WeakMap();
/** @type {EventSource | null} */
let stream = null;
let due = 0;
let asked = 0;
let failures = 0;

/** @param {string} words */
function say(words) {
  const place = document.querySelector(".live-state");
  if (place && place.textContent !== words) place.textContent = words;
}

/** Which element has the focus, in words that hold in the new content too. @param {Element} region */
function focusOf(region) {
  const active = document.activeElement;
  if (!active || active === region || !region.contains(active)) return null;
  const all = [...region.querySelectorAll("a, button, input, select, textarea, summary, [tabindex]")];
  return { at: all.indexOf(active), href: active.getAttribute("href") };
}

/** @param {Element} region @param {{at: number, href: string | null} | null} had */
function focus(region, had) {
  if (!had) return;
  const all = [...region.querySelectorAll("a, button, input, select, textarea, summary, [tabindex]")];
  const same = had.href === null ? null : all.find((element) => element.getAttribute("href") === had.href);
  const to = same ?? all[had.at];
  if (to instanceof HTMLElement) to.focus({ preventScroll: true });
}

/** Whether somebody typed or chose something there that is not sent yet. @param {Element} region */
function touched(region) {
  return [...region.querySelectorAll("input:not([data-tick]), select, textarea")].some((control) => {
    if (control instanceof HTMLSelectElement) {
      const first = [...control.options].findIndex((option) => option.defaultSelected);
      return control.selectedIndex !== Math.max(first, 0);
    }
    const input = /** @type {HTMLInputElement} */ (control);
    return input.value !== input.defaultValue || input.checked !== input.defaultChecked;
  });
}

/** @param {Element} old @param {Element} fresh */
function replace(old, fresh) {
  const had = focusOf(old);
  const scrolled = [...old.querySelectorAll(".scroll")].map((element) => element.scrollLeft);
  const opened = [...old.querySelectorAll("details")].map((details) => details.open);
  const ticked = new Set([...old.querySelectorAll("[data-tick]:checked")].map((box) => /** @type {HTMLInputElement} */ (box).value));
  const details = [...fresh.querySelectorAll("details")];
  if (details.length === opened.length) details.forEach((one, at) => (one.open = opened[at]));
  old.replaceWith(fresh);
  [...fresh.querySelectorAll(".scroll")].forEach((element, at) => (element.scrollLeft = scrolled[at] ?? 0));
  for (const box of fresh.querySelectorAll("[data-tick]")) {
    const input = /** @type {HTMLInputElement} */ (box);
    input.checked = ticked.has(input.value);
  }
  focus(fresh, had);
}

async function refresh() {
  due = 0;
  asked = Date.now();
  let response;
  try {
    response = await fetch(location.href, { headers: { "X-Fragment": "1" }, redirect: "error" });
  } catch {
    return;
  }
  if (response.status === 401) {
    say("You were logged out. Load the page again.");
    stream?.close();
    return;
  }
  if (!response.ok) return;
  const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
  for (const old of document.querySelectorAll("[data-live]")) {
    const now = fresh.getElementById(old.id);
    if (now && now.outerHTML !== sent.get(old) && !touched(old)) {
      sent.set(now, now.outerHTML);
      replace(old, now);
    }
  }
  document.title = fresh.title;
  document.dispatchEvent(new Event("phalanx:replaced"));
}

function ring() {
  if (due || document.hidden) return;
  due = window.setTimeout(refresh, Math.max(0, asked + MOST_OFTEN_MS - Date.now()));
}

/** @param {string} topic */
function open(topic) {
  stream?.close();
  stream = new EventSource(`/live?topic=${encodeURIComponent(topic)}`);
  stream.addEventListener("open", () => {
    // What changed while the stream was closed was not heard.
    if (failures > 0) ring();
    failures = 0;
    say("Live");
  });
  stream.addEventListener("message", ring);
  stream.addEventListener("error", () => {
    stream?.close();
    stream = null;
    failures += 1;
    const wait = Math.min(30, 2 ** failures);
    say(`Not live: the server cannot be reached. Next try in ${wait} s.`);
    setTimeout(() => !stream && !document.hidden && open(topic), wait * 1000);
  });
}

export function start() {
  const topic = document.body.dataset.topic;
  if (!topic) return;
  open(topic);
  // Browsers allow few connections to one server: a page that nobody sees gives its own back.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      stream?.close();
      stream = null;
    } else if (!stream) {
      open(topic);
      ring();
    }
  });
}
