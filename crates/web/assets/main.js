// What every page has: fresh times, copy buttons, selection counts, the live stream, keys and the palette.
import { start as live } from "./live.js";
import { start as keys } from "./keys.js";
import { start as palette } from "./palette.js";

/** @param {number} seconds */
function span(seconds) {
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86400) {
    const minutes = Math.floor((seconds % 3600) / 60);
    return `${Math.floor(seconds / 3600)} h${minutes ? ` ${minutes} min` : ""}`;
  }
  return `${Math.floor(seconds / 86400)} d`;
}

/** @param {HTMLElement} element @param {string} words */
function say(element, words) {
  if (element.textContent !== words) element.textContent = words;
}

function times() {
  const now = Date.now();
  for (const time of document.querySelectorAll("time[data-ago]")) {
    const element = /** @type {HTMLTimeElement} */ (time);
    const at = new Date(element.dateTime);
    const seconds = Math.round((now - at.getTime()) / 1000);
    say(element, Math.abs(seconds) < 10 ? "just now" : seconds > 0 ? `${span(seconds)} ago` : `in ${span(-seconds)}`);
    element.title = `${at.toLocaleString()} (${at.toISOString().slice(0, 19).replace("T", " ")} UTC)`;
  }
  for (const took of document.querySelectorAll("[data-since]")) {
    const element = /** @type {HTMLElement} */ (took);
    const seconds = Math.max(0, Math.round((now - Date.parse(element.dataset.since ?? "")) / 1000));
    say(element, seconds >= 60 && seconds < 3600 ? `${Math.floor(seconds / 60)} min ${seconds % 60} s` : span(seconds));
  }
}

/** What the server hides because it does nothing without scripts. */
function reveal() {
  for (const element of document.querySelectorAll("[data-copy], [data-palette], [data-keys]")) {
    /** @type {HTMLElement} */ (element).hidden = false;
  }
}

document.addEventListener("click", (event) => {
  const target = event.target instanceof Element ? event.target : null;
  const copy = target?.closest("[data-copy]");
  if (copy instanceof HTMLElement) {
    navigator.clipboard.writeText(copy.dataset.copy ?? "").then(() => {
      const before = copy.textContent;
      copy.textContent = "Copied";
      setTimeout(() => (copy.textContent = before), 1500);
    });
  }
  for (const open of document.querySelectorAll("details.grave[open]")) {
    if (!target || !open.contains(target)) open.removeAttribute("open");
  }
});

document.addEventListener("change", () => {
  const ticked = document.querySelectorAll("[data-tick]:checked").length;
  const says = document.querySelector("[data-selected]");
  if (says) says.textContent = ticked ? ` · ${ticked} ticked` : "";
});

document.addEventListener("phalanx:replaced", () => {
  reveal();
  times();
});
reveal();
times();
setInterval(times, 1000);
live();
keys();
palette();
