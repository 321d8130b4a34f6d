// The editor: numbers beside the lines, mistakes marked at them, and a check while one types.

const WAIT_MS = 500;

/** @param {HTMLFormElement} form @param {string} address @param {string} [page] */
async function post(form, address, page = "") {
  const data = new URLSearchParams();
  for (const [name, value] of new FormData(form)) data.append(name, String(value));
  if (page) data.append("page", page);
  const response = await fetch(address, { method: "POST", body: data, headers: { "X-Fragment": "1" } });
  return response.ok ? new DOMParser().parseFromString(await response.text(), "text/html").body : null;
}

/** Runs what was asked last, a moment after the last key. @param {() => Promise<void>} run */
function later(run) {
  let timer = 0;
  return () => {
    clearTimeout(timer);
    timer = window.setTimeout(run, WAIT_MS);
  };
}

/** @param {HTMLElement} box */
function editor(box) {
  const text = /** @type {HTMLTextAreaElement} */ (box.querySelector("textarea"));
  const found = /** @type {HTMLElement} */ (document.getElementById("found"));
  const form = /** @type {HTMLFormElement} */ (text.form);
  const gutter = document.createElement("div");
  gutter.className = "gutter";
  gutter.setAttribute("aria-hidden", "true");
  box.prepend(gutter);

  const numbers = () => {
    const lines = text.value.split("\n").length;
    while (gutter.childElementCount > lines) gutter.lastElementChild?.remove();
    while (gutter.childElementCount < lines) {
      const number = document.createElement("div");
      number.textContent = String(gutter.childElementCount + 1);
      gutter.append(number);
    }
    gutter.scrollTop = text.scrollTop;
  };
  const marks = () => {
    for (const number of gutter.children) number.className = "";
    for (const mistake of found.querySelectorAll("[data-line]")) {
      const { line, tone } = /** @type {HTMLElement} */ (mistake).dataset;
      const number = gutter.children[Number(line) - 1];
      if (number && tone) number.className = tone;
    }
    text.setAttribute("aria-invalid", String(found.querySelector('[data-tone="bad"]') !== null));
  };
  let asked = 0;
  /** @param {string} [page] */
  const ask = async (page) => {
    const mine = ++asked;
    const answer = await post(form, box.dataset.editor ?? "", page).catch(() => null);
    if (!answer || mine !== asked) return;
    found.replaceChildren(...answer.childNodes);
    marks();
  };
  const check = later(() => ask());
  text.addEventListener("input", () => {
    numbers();
    check();
  });
  text.addEventListener("scroll", () => (gutter.scrollTop = text.scrollTop));
  found.addEventListener("click", (event) => {
    const page = event.target instanceof Element ? event.target.closest('button[name="page"]') : null;
    if (page instanceof HTMLButtonElement) {
      event.preventDefault();
      // What was under the finger is gone then; the keyboard goes on from the new one.
      ask(page.value).then(() => {
        const next = found.querySelector("[data-scope-pages] button:last-child");
        if (next instanceof HTMLElement) next.focus();
      });
      return;
    }
    const mistake = event.target instanceof Element ? event.target.closest("[data-line]") : null;
    if (!(mistake instanceof HTMLElement)) return;
    event.preventDefault();
    const before = text.value.split("\n").slice(0, Number(mistake.dataset.line) - 1);
    const start = before.reduce((sum, line) => sum + line.length + 1, 0);
    const end = text.value.indexOf("\n", start);
    text.focus();
    text.setSelectionRange(start, end < 0 ? text.value.length : end);
  });
  window.addEventListener("beforeunload", (event) => {
    if (text.value !== text.defaultValue && !leaving) event.preventDefault();
  });
  let leaving = false;
  form.addEventListener("submit", () => (leaving = true));
  numbers();
  check();
}

/** @param {HTMLElement} row */
function schedule(row) {
  const form = /** @type {HTMLFormElement} */ (row.closest("form"));
  const times = document.getElementById("times");
  const ask = later(async () => {
    const answer = await post(form, row.dataset.schedule ?? "").catch(() => null);
    if (answer && times) times.replaceChildren(...answer.childNodes);
  });
  row.addEventListener("input", ask);
}

for (const box of document.querySelectorAll("[data-editor]")) editor(/** @type {HTMLElement} */ (box));
for (const row of document.querySelectorAll("[data-schedule]")) schedule(/** @type {HTMLElement} */ (row));
