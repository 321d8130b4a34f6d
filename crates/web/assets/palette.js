// Ctrl-K: go to anything by a few letters of its name, or by its number.

/** @type {HTMLDialogElement | null} */
let dialog = null;
let asked = 0;

/** @param {HTMLInputElement} input @param {HTMLElement} found */
async function ask(input, found) {
  const mine = ++asked;
  const query = input.value.trim();
  const places = [...document.querySelectorAll(".side a[data-go]")].filter((place) => query === "" || (place.textContent ?? "").toLowerCase().includes(query.toLowerCase()));
  let fresh = null;
  try {
    const response = await fetch(`/palette?q=${encodeURIComponent(query)}`, { headers: { "X-Fragment": "1" } });
    if (response.ok) fresh = new DOMParser().parseFromString(await response.text(), "text/html").querySelector("ul");
  } catch {
    // The places are still there.
  }
  if (mine !== asked) return;
  const list = fresh ?? document.createElement("ul");
  for (const place of places.reverse()) {
    const item = document.createElement("li");
    const link = /** @type {HTMLAnchorElement} */ (place.cloneNode(true));
    link.removeAttribute("data-go");
    link.removeAttribute("aria-current");
    item.append(link);
    list.prepend(item);
  }
  found.replaceChildren(list);
}

function make() {
  const made = document.createElement("dialog");
  made.className = "palette";
  made.setAttribute("aria-label", "Go to");
  const input = document.createElement("input");
  input.type = "search";
  input.placeholder = "Name, number or page";
  input.setAttribute("aria-label", "Name, number or page");
  const found = document.createElement("div");
  made.append(input, found);
  document.body.append(made);
  let timer = 0;
  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = window.setTimeout(() => ask(input, found), 120);
  });
  made.addEventListener("keydown", (event) => {
    const links = [...made.querySelectorAll("a")];
    const now = links.indexOf(/** @type {HTMLAnchorElement} */ (document.activeElement));
    if (event.key === "ArrowDown") links[Math.min(links.length - 1, now + 1)]?.focus();
    else if (event.key === "ArrowUp") (now > 0 ? links[now - 1] : input).focus();
    else if (event.key === "Enter" && document.activeElement === input) links[0]?.click();
    else return;
    event.preventDefault();
  });
  made.addEventListener("click", (event) => event.target === made && made.close());
  ask(input, found);
  return made;
}

function open() {
  dialog ??= make();
  if (!dialog.open) dialog.showModal();
  dialog.querySelector("input")?.select();
}

export function start() {
  document.querySelector("[data-palette]")?.addEventListener("click", open);
  document.addEventListener("keydown", (event) => {
    if (event.key.toLowerCase() === "k" && (event.ctrlKey || event.metaKey) && !event.altKey) {
      event.preventDefault();
      open();
    }
  });
}
