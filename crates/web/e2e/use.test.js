// People at work: the log of 100 MB, the keys, the editor, what is live.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { PAGES, SHOTS, axe, context, launch, open, serve } from "./world.js";

let browser, server, made;
before(async () => {
  browser = await launch();
  server = await serve("calm");
  made = await context(browser, server);
});
after(async () => {
  await browser?.close();
  server?.stop();
});

const first = (page) => page.locator(".row-line a").first().getAttribute("data-n").then(Number);

test("a log of 100 MB", { timeout: 120_000 }, async () => {
  const { page, wrong } = await open(made);
  const start = Date.now();
  await page.goto("/jobs/9");
  await page.locator(".log-plain").waitFor();
  assert.equal(await page.locator(".log-note", { hasText: "1,000,000 lines" }).count(), 0, "its end is in the page before it is read");
  await page.locator(".log-note", { hasText: "1,000,000 lines" }).waitFor({ timeout: 60_000 });
  const read = Date.now() - start;
  assert.ok((await page.locator(".row-line").count()) < 200, "only what is seen is there");
  await page.waitForFunction(() => document.querySelector(".row-line:last-child a")?.getAttribute("data-n") === "1000000");

  await page.keyboard.press("e");
  await page.locator(".row-line.now.err", { hasText: "the linker gave up" }).waitFor();
  const input = page.getByLabel("Find in the whole log");
  const looked = Date.now();
  await input.fill("needle-in");
  await page.locator(".log-bar .count", { hasText: /^1 of 1 lines$/ }).waitFor({ timeout: 60_000 });
  await page.locator(".row-line.now mark", { hasText: "needle-in" }).waitFor();
  console.log(`# read 100 MB in ${read} ms, looked through it in ${Date.now() - looked} ms`);
  if (SHOTS) await page.screenshot({ path: `${SHOTS}/calm-log-100mb-light-1280.png` });
  await input.fill("straw");
  await page.locator(".log-bar .count", { hasText: /^\d+ of 10 lines$/ }).waitFor({ timeout: 60_000 });
  await page.locator(".log-view").focus();
  await page.keyboard.press("n");
  const at = await page.locator(".row-line.now a").getAttribute("data-n");
  await page.keyboard.press("n");
  await page.waitForFunction((before) => document.querySelector(".row-line.now a")?.getAttribute("data-n") !== before, at);
  // A line that was not near is there a moment later.
  await page.locator(".row-line.now .text", { hasText: "haystack straw" }).waitFor();
  await page.evaluate(() => (document.querySelector(".log-view").scrollTop = 0));
  await page.waitForFunction(() => document.querySelector(".row-line a")?.getAttribute("data-n") === "1");
  await page.locator(".row-line", { hasText: "000000000 compiling" }).waitFor();
  // The page answers while all this is so.
  const frame = await page.evaluate(() => new Promise((done) => { const before = performance.now(); requestAnimationFrame(() => done(performance.now() - before)); }));
  console.log(`# a frame took ${frame} ms`);
  assert.deepEqual(wrong, []);
  await page.close();
});

test("permalinks", { timeout: 60_000 }, async () => {
  const { page } = await open(made);
  await page.goto("/jobs/9#L500000-L500003");
  await page.locator(".row-line.chosen").first().waitFor({ timeout: 30_000 });
  await page.waitForFunction(() => document.querySelectorAll(".row-line.chosen").length === 4);
  assert.equal(await page.locator(".row-line.chosen a").first().getAttribute("data-n"), "500000");
  await page.locator(".row-line.chosen", { hasText: "000499999" }).waitFor();
  await page.locator('.row-line a[data-n="500005"]').click();
  await page.locator('.row-line a[data-n="500007"]').click({ modifiers: ["Shift"] });
  assert.equal(new URL(page.url()).hash, "#L500005-L500007");
  await page.keyboard.press("w");
  await page.locator(".log-view.wrap .row-line.chosen").first().waitFor();
  assert.deepEqual(await axe(page), []);
  await page.close();
});

test("a failed job opens at its first error", { timeout: 30_000 }, async () => {
  const { page } = await open(made);
  await page.goto("/jobs/1");
  await page.locator(".row-line.err", { hasText: "tests failed in acme/web/retry" }).waitFor();
  assert.equal(await page.locator(".row-line .f1", { hasText: "3 retries" }).count(), 1, "colours are classes");
  assert.equal(await page.getByText("fetching  50%").count(), 0, "what was written over is gone");
  await page.close();
});

test("a running job's log follows its end", { timeout: 30_000 }, async () => {
  const { page } = await open(made);
  await page.goto("/jobs/2");
  await page.locator(".row-line").first().waitFor();
  const follow = page.getByRole("button", { name: "Follow" });
  assert.equal(await follow.getAttribute("aria-pressed"), "true");
  const last = () => page.locator(".row-line a").last().getAttribute("data-n").then(Number);
  const before = await last();
  await page.waitForFunction((before) => Number([...document.querySelectorAll(".row-line a")].at(-1)?.getAttribute("data-n")) > before + 5, before);
  await page.keyboard.press("f");
  assert.equal(await follow.getAttribute("aria-pressed"), "false");
  const top = await first(page);
  await page.locator(".log-note").evaluate((note) => new Promise((done) => new MutationObserver(done).observe(note, { childList: true })));
  assert.equal(await first(page), top, "it stays where one reads");
  await page.close();
});

test("keys", { timeout: 60_000 }, async () => {
  const { page, wrong } = await open(made);
  await page.goto("/executions");
  await page.keyboard.press("?");
  await page.getByRole("dialog", { name: "Keyboard" }).waitFor();
  assert.deepEqual(await axe(page), []);
  if (SHOTS) await page.screenshot({ path: `${SHOTS}/calm-keys-light-1280.png` });
  await page.keyboard.press("Escape");
  await page.keyboard.press("j");
  await page.keyboard.press("j");
  const row = await page.evaluate(() => document.activeElement.closest("tr").rowIndex);
  assert.equal(row, 2);
  const target = await page.evaluate(() => document.activeElement.getAttribute("href"));
  await page.keyboard.press("Enter");
  await page.waitForURL(`**${target}`);
  await page.keyboard.press("/");
  assert.equal(await page.evaluate(() => document.activeElement.name), "q");
  await page.keyboard.type("gj?");
  assert.equal(await page.inputValue("[data-filter]"), "gj?", "no key acts while one types");
  await page.keyboard.press("Escape");
  await page.keyboard.press("g");
  await page.keyboard.press("c");
  await page.waitForURL("**/campaigns");
  await page.keyboard.press("Control+k");
  const box = page.getByLabel("Name, number or page");
  await box.fill("77");
  await page.getByRole("link", { name: "Execution #77" }).waitFor();
  assert.deepEqual(await axe(page), []);
  if (SHOTS) await page.screenshot({ path: `${SHOTS}/calm-palette-light-1280.png` });
  await page.keyboard.press("Enter");
  await page.waitForURL("**/executions/77");
  await page.goto("/settings");
  await page.getByLabel("Single-key shortcuts in this browser").uncheck();
  await page.locator("h1").click();
  await page.keyboard.press("g");
  await page.keyboard.press("h");
  assert.equal(await page.getByRole("dialog").count(), 0);
  assert.equal(new URL(page.url()).pathname, "/settings", "switched off");
  assert.deepEqual(wrong, []);
  await page.evaluate(() => localStorage.clear());
  await page.close();
});

test("every control can be reached with Tab, and is seen", { timeout: 60_000 }, async () => {
  const { page } = await open(made);
  await page.goto("/campaigns/go-1-26");
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.className), "skip");
  const seen = new Set();
  for (let step = 0; step < 60; step += 1) {
    await page.keyboard.press("Tab");
    const at = await page.evaluate(() => {
      const active = document.activeElement;
      const box = active.getBoundingClientRect();
      return { name: active.outerHTML.slice(0, 80), outline: getComputedStyle(active).outlineStyle, shown: box.width > 0 && box.height > 0 };
    });
    assert.ok(at.shown && at.outline !== "none", `${at.name} shows no focus`);
    seen.add(at.name);
  }
  assert.ok(seen.size > 30);
  await page.close();
});

test("the editor says mistakes at their line", { timeout: 30_000 }, async () => {
  const { page, wrong } = await open(made);
  await page.goto("/actions/upgrade-go-1-26/edit");
  await page.locator("#found", { hasText: "No mistakes" }).waitFor();
  const text = page.locator("#definition");
  await text.fill((await text.inputValue()).replace("run:", "runn:"));
  await page.locator("#found", { hasText: "unknown field" }).waitFor();
  assert.equal(await page.locator(".gutter .bad").innerText(), "6");
  await page.getByRole("link", { name: "Line 6:5" }).click();
  assert.match(await text.evaluate((area) => area.value.slice(area.selectionStart, area.selectionEnd)), /runn:/);
  if (SHOTS) await page.screenshot({ path: `${SHOTS}/calm-editor-mistake-light-1280.png` });
  assert.deepEqual(await axe(page), []);
  await page.goto("/actions/upgrade-go-1-26/settings", { waitUntil: "load" }).catch(() => {});
  assert.deepEqual(wrong.filter((one) => !one.startsWith("dialog")), []);
  await page.close();
});

test("what an action would run on is read page by page", { timeout: 30_000 }, async () => {
  const { page, wrong } = await open(made);
  await page.goto("/actions/new");
  const found = page.locator("#found");
  await found.getByText("1–12 of 214", { exact: true }).waitFor();
  await found.getByRole("button", { name: "Next page" }).click();
  await found.getByText("13–24 of 214", { exact: true }).waitFor();
  await page.waitForFunction(() => document.activeElement?.textContent === "Next page");
  await page.keyboard.press("Enter");
  await found.getByText("25–36 of 214", { exact: true }).waitFor();
  if (SHOTS) await page.screenshot({ path: `${SHOTS}/calm-editor-page-light-1280.png` });
  await found.getByRole("button", { name: "First page" }).click();
  await found.getByText("1–12 of 214", { exact: true }).waitFor();
  assert.equal(new URL(page.url()).pathname, "/actions/new", "the form was not sent");
  assert.deepEqual(await axe(page), []);
  assert.deepEqual(wrong, []);
  await page.close();
});

test("the page renews itself and keeps the focus", { timeout: 30_000 }, async () => {
  const { page } = await open(made);
  await page.goto("/executions/7");
  await page.locator(".live-state", { hasText: "Live" }).waitFor();
  await page.locator("#jobs tbody a").nth(4).focus();
  const focused = () => page.evaluate(() => document.activeElement.getAttribute("href"));
  const before = await focused();
  await page.evaluate(() => (document.querySelector("#jobs").dataset.old = "yes"));
  await page.waitForFunction(() => document.querySelector("#jobs").dataset.old === undefined);
  assert.equal(await focused(), before);
  await page.close();
});

test("what was chosen stays while the page renews itself", { timeout: 30_000 }, async () => {
  const { page } = await open(made);
  await page.goto("/");
  await page.locator(".live-state", { hasText: "Live" }).waitFor();
  const choice = page.locator("#buttons select");
  await choice.selectOption({ index: 2 });
  const chosen = await choice.inputValue();
  // Another region tells that the page was renewed.
  await page.evaluate(() => (document.querySelector("#running").dataset.old = "yes"));
  await page.waitForFunction(() => document.querySelector("#running").dataset.old === undefined);
  assert.equal(await choice.inputValue(), chosen);
  await page.close();
});

test("a closed server is said", { timeout: 30_000 }, async () => {
  const other = await serve("calm");
  const there = await context(browser, other);
  const page = await there.newPage();
  await page.goto("/executions/7");
  await page.locator(".live-state", { hasText: "Live" }).waitFor();
  other.stop();
  await page.locator(".live-state", { hasText: "Not live" }).waitFor();
  await there.close();
});

test("the log in, the theme, the log out", { timeout: 30_000 }, async () => {
  const fresh = await browser.newContext({ baseURL: server.url, colorScheme: "light" });
  const { page, wrong } = await open(fresh);
  await page.goto("/executions/7");
  assert.match(page.url(), /\/login\?next=/);
  assert.deepEqual(await axe(page), []);
  if (SHOTS) await page.screenshot({ path: `${SHOTS}/calm-login-light-1280.png` });
  await page.getByLabel("Access token").fill("admin-token");
  await page.getByRole("button", { name: "Log in" }).click();
  await page.waitForURL("**/executions/7");
  assert.equal(await page.evaluate(() => document.cookie.includes("phalanx_session")), false, "scripts cannot read it");
  await page.getByRole("button", { name: "Dark or light" }).click();
  await page.waitForFunction(() => document.documentElement.dataset.theme === "dark");
  assert.equal(new URL(page.url()).pathname, "/executions/7");
  await page.getByRole("button", { name: "Log out" }).click();
  await page.waitForURL("**/login");
  await page.goto("/login?token=admin-token");
  assert.equal(page.url(), `${server.url}/`, "the token is not in the address");
  assert.deepEqual(wrong, []);
  await fresh.close();
});

test("a renewal of what did not change takes nothing away", { timeout: 60_000 }, async () => {
  const { page } = await open(made);
  await page.goto("/executions/7");
  const { differ, compared } = await page.evaluate(async (pages) => {
    const differ = [];
    let compared = 0;
    for (const [name, path] of Object.entries(pages)) {
      const ask = async (headers) => {
        const response = await fetch(path, { headers });
        const text = new DOMParser().parseFromString(await response.text(), "text/html");
        // They move on with the clock.
        for (const time of text.querySelectorAll("time, [data-since]")) time.remove();
        return { status: response.status, text };
      };
      const [whole, renewed] = [await ask({}), await ask({ "X-Fragment": "1" })];
      if (whole.status !== renewed.status) differ.push(`${name}: ${whole.status} ⇒ ${renewed.status}`);
      for (const region of whole.text.querySelectorAll("[data-live]")) {
        const fresh = renewed.text.getElementById(region.id);
        if (!fresh) continue;
        compared += 1;
        const [before, after] = [region, fresh].map((part) => part.textContent.replace(/\d+/g, "0"));
        if (after !== before) differ.push(`${name} #${region.id}: ${before} ⇒ ${after}`);
      }
    }
    return { differ, compared };
  }, PAGES);
  assert.deepEqual(differ, []);
  assert.ok(compared > 50, `${compared} regions were compared`);
  await page.close();
});

test("bots and tasks: filter, columns, keys, output", { timeout: 60_000 }, async () => {
  const made = await context(browser, server);
  const { page, wrong } = await open(made);
  await page.goto("/botlist");
  await page.keyboard.press("/");
  await page.keyboard.type("os:Ubuntu-24.04");
  await page.keyboard.press("Enter");
  await page.waitForURL(/f=os%3AUbuntu-24\.04/);
  assert.match(await page.locator(".chips").innerText(), /os:Ubuntu-24\.04/);
  await page.locator(".columns-pick summary").click();
  await page.locator(".columns-pick input[value=cpu]").check();
  await page.getByRole("button", { name: "Show" }).click();
  await page.waitForURL(/c=cpu/);
  assert.ok(await page.getByRole("columnheader", { name: "cpu" }).isVisible());
  await page.locator(".chips a").first().click();
  await page.waitForURL((url) => !url.search.includes("f="));
  await page.keyboard.press("g");
  await page.keyboard.press("k");
  await page.waitForURL("**/tasklist");
  await page.goto("/tasklist?f=pool:default");
  await page.getByText("Cancel all…").click();
  await page.getByRole("button", { name: /kill what runs/ }).click();
  await page.waitForURL(/canceled=1037/);
  assert.match(await page.locator(".note.good").innerText(), /1,037 tasks were told to stop/);
  await page.goto("/task?id=6bd1c0de00000010");
  await page.locator(".log-view .row-line").first().waitFor();
  assert.deepEqual(wrong, []);
  await made.close();
});
