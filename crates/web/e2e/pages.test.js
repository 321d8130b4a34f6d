// Every page in both themes, wide and narrow: nothing is reported, nothing overflows, nothing is hard to read.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { after, before, test } from "node:test";
import { PAGES, SHOTS, axe, context, launch, open, reports, serve } from "./world.js";

let browser;
const servers = {};
before(async () => {
  browser = await launch();
  for (const mood of ["calm", "hostile", "empty"]) servers[mood] = await serve(mood);
  if (SHOTS) mkdirSync(SHOTS, { recursive: true });
});
after(async () => {
  await browser?.close();
  for (const server of Object.values(servers)) server.stop();
});

async function settled(page, path) {
  await page.goto(path);
  await page.waitForLoadState("load");
  if (await page.locator("#log").count()) await page.locator(".log-view:not([hidden]) .row-line").first().waitFor();
  if (await page.locator("[data-editor]").count()) await page.locator("#found .note").first().waitFor();
}

async function look(mood, colorScheme, width, list) {
  const made = await context(browser, servers[mood], { colorScheme, viewport: { width, height: 900 } });
  const problems = [];
  for (const [name, path] of Object.entries(list)) {
    const { page, wrong } = await open(made);
    await settled(page, path);
    problems.push(...wrong.map((one) => `${name}: ${one}`));
    problems.push(...(await axe(page)).map((one) => `${name}: ${one}`));
    const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    if (over > 0) problems.push(`${name}: ${over} px wider than the window`);
    if (await page.evaluate(() => "tripped" in window)) problems.push(`${name}: a script of the corpus ran`);
    if (SHOTS) await page.screenshot({ path: `${SHOTS}/${mood}-${name}-${colorScheme}-${width}.png`, fullPage: width < 1000 });
    await page.close();
  }
  await made.close();
  return problems;
}

// QUICK takes each mood, theme and width once.
const views = process.env.QUICK
  ? [["calm", "dark", 1280], ["hostile", "light", 320]]
  : ["calm", "hostile"].flatMap((mood) => ["light", "dark"].flatMap((theme) => [1280, 320].map((width) => [mood, theme, width])));
for (const [mood, colorScheme, width] of views) {
  test(`${mood}, ${colorScheme}, ${width} px`, { timeout: 400_000 }, async () => {
    assert.deepEqual(await look(mood, colorScheme, width, PAGES), []);
    assert.equal(await reports(servers[mood]), 0);
  });
}

test("empty lists say what to do", { timeout: 200_000 }, async () => {
  const lists = Object.fromEntries(["home", "executions", "jobs", "actions", "campaigns", "saved-searches", "repositories", "code-hosts", "runners", "botlist"].map((name) => [name, PAGES[name]]));
  assert.deepEqual(await look("empty", "light", 1280, lists), []);
  const made = await context(browser, servers.empty);
  const { page } = await open(made);
  for (const path of Object.values(lists)) {
    await page.goto(path);
    assert.ok((await page.locator(".empty").count()) > 0, path);
  }
  await made.close();
});

test("the tripwire and the reports work", async () => {
  const made = await context(browser, servers.calm);
  const { page, wrong } = await open(made);
  const before = await reports(servers.calm);
  await page.goto("/settings");
  await page.evaluate(() => document.body.insertAdjacentHTML("beforeend", '<img src=x onerror="window.tripped=1"><p style="color:red">x</p>'));
  await assert.doesNotReject(page.waitForFunction(() => performance.now() > 0));
  await page.evaluate(() => fetch("/csp-report", { method: "POST", body: "{}" }));
  assert.ok((await reports(servers.calm)) > before);
  assert.ok(wrong.some((one) => /Content Security Policy/.test(one)), String(wrong));
  assert.equal(await page.evaluate(() => "tripped" in window), false, "the policy holds even where escaping does not");
  await made.close();
});

test("without scripts", { timeout: 200_000 }, async () => {
  const made = await context(browser, servers.calm, { javaScriptEnabled: false });
  const { page } = await open(made);
  for (const [name, path] of Object.entries(PAGES)) {
    await page.goto(path);
    assert.ok(await page.locator("main h1").isVisible(), name);
  }
  await page.goto("/jobs/1");
  assert.match(await page.locator(".log-plain").innerText(), /exit code 1/);
  if (SHOTS) await page.screenshot({ path: `${SHOTS}/plain-job-light-1280.png` });
  await page.getByRole("link", { name: "Read it from the start" }).click();
  assert.match(await page.locator(".log-plain").innerText(), /^Step 1 go mod edit/);
  await page.goto("/actions/upgrade-go-1-26/edit");
  await page.locator("textarea").fill("steps:\n  - runn: x\n");
  await page.getByRole("button", { name: "Check" }).click();
  assert.match(await page.locator("#found").innerText(), /unknown field/);
  await page.goto("/executions/7");
  await page.getByText("Cancel…").click();
  await page.locator(".pop button").click();
  assert.equal(new URL(page.url()).pathname, "/executions/7");
  await made.close();
});
