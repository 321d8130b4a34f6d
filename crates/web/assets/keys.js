// Keys. They do nothing while one types, and can be switched off (WCAG 2.1.4).

const SWITCH = "phalanx.keys";

/** @type {[string, string][]} */
const HELP = [
  ["?", "this list"],
  ["/", "to the filter or search box"],
  ["Ctrl K", "go to anything"],
  ["g h", "home"],
  ["g e", "executions"],
  ["g j", "jobs"],
  ["g a", "actions"],
  ["g c", "campaigns"],
  ["g s", "saved searches"],
  ["g r", "repositories"],
  ["g o", "code hosts"],
  ["g b", "runners"],
  ["g m", "bots"],
  ["g k", "tasks"],
  ["g t", "settings"],
  ["j k", "next and previous row"],
  ["Enter", "open the row"],
  ["x", "tick the row"],
  ["r", "retry"],
  [".", "to the page's buttons"],
  ["Esc", "leave a box; back to the page"],
  ["f", "log: follow its end"],
  ["n N", "log: next and previous match"],
  ["e E", "log: next and previous error"],
  ["w", "log: wrap long lines"],
  ["y", "log: copy a link to the chosen lines"],
];

export function enabled() {
  return localStorage.getItem(SWITCH) !== "off";
}

/** @param {Event} event */
export function typing(event) {
  const target = event.target;
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName)) && !(target instanceof HTMLInputElement && target.type === "checkbox");
}

function help() {
  let dialog = /** @type {HTMLDialogElement | null} */ (document.getElementById("keys"));
  if (!dialog) {
    dialog = document.createElement("dialog");
    dialog.id = "keys";
    dialog.setAttribute("aria-labelledby", "keys-title");
    const title = document.createElement("h2");
    title.id = "keys-title";
    title.textContent = "Keyboard";
    const list = document.createElement("dl");
    for (const [key, does] of HELP) {
      // A place that this server has not.
      if (key.startsWith("g ") && !document.querySelector(`[data-go="${key[2]}"]`)) continue;
      const term = document.createElement("dt");
      for (const part of key.split(" ")) {
        const kbd = document.createElement("kbd");
        kbd.textContent = part;
        term.append(kbd, " ");
      }
      const said = document.createElement("dd");
      said.textContent = does;
      list.append(term, said);
    }
    const label = document.createElement("label");
    label.className = "check";
    const box = document.createElement("input");
    box.type = "checkbox";
    box.dataset.keysSwitch = "";
    label.append(box, "Single-key shortcuts in this browser");
    const form = document.createElement("form");
    form.method = "dialog";
    const close = document.createElement("button");
    close.textContent = "Close";
    form.append(close);
    dialog.append(title, list, label, form);
    document.body.append(dialog);
    switches();
  }
  dialog.showModal();
}

function switches() {
  for (const element of document.querySelectorAll("[data-keys-switch]")) {
    const box = /** @type {HTMLInputElement} */ (element);
    box.disabled = false;
    box.checked = enabled();
    box.onchange = () => localStorage.setItem(SWITCH, box.checked ? "on" : "off");
  }
}

/** @param {number} step */
function row(step) {
  const rows = [...document.querySelectorAll("main tbody tr, main .cards > li")].filter((one) => one.querySelector("a"));
  const now = rows.findIndex((one) => one.contains(document.activeElement));
  const to = rows[now < 0 ? (step > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, now + step))];
  to?.querySelector("a")?.focus();
  to?.scrollIntoView({ block: "nearest" });
}

let waiting = 0;

/** @param {KeyboardEvent} event */
function press(event) {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape" && typing(event)) {
    /** @type {HTMLElement} */ (event.target).blur();
    return;
  }
  if (typing(event) || document.querySelector("dialog[open]") || !enabled()) return;
  if (Date.now() - waiting < 1200) {
    waiting = 0;
    const place = document.querySelector(`[data-go="${CSS.escape(event.key)}"]`);
    if (place instanceof HTMLAnchorElement) {
      event.preventDefault();
      location.assign(place.href);
    }
    return;
  }
  const done = act(event.key);
  if (done) event.preventDefault();
}

/** @param {string} key */
function act(key) {
  const active = document.activeElement;
  switch (key) {
    case "g":
      waiting = Date.now();
      return true;
    case "?":
      help();
      return true;
    case "/": {
      const box = document.querySelector("[data-filter]") ?? document.querySelector(".find input");
      if (box instanceof HTMLInputElement) {
        box.focus();
        box.select();
      }
      return true;
    }
    case "j":
    case "k":
      row(key === "j" ? 1 : -1);
      return true;
    case "x": {
      const box = active?.closest("tr")?.querySelector("[data-tick]");
      if (box instanceof HTMLInputElement) box.click();
      return true;
    }
    case "r": {
      const retry = document.querySelector('form[action^="/do/retry"] button, form[action="/do/swarming/retry"] button');
      if (retry instanceof HTMLElement) retry.focus();
      return retry !== null;
    }
    case ".": {
      const first = document.querySelector(".title .buttons button, .title .buttons a, .title .buttons summary");
      if (first instanceof HTMLElement) first.focus();
      return true;
    }
    case "Escape":
      if (active instanceof HTMLElement) active.blur();
      return false;
    default:
      return false;
  }
}

export function start() {
  document.addEventListener("keydown", press);
  document.querySelector("[data-keys]")?.addEventListener("click", help);
  switches();
}
