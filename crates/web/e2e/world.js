// The world of these tests: a fixture server of one mood, a browser, and pages that notice what must not happen.
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
const BINARY = process.env.FIXTURE_SERVER ?? `${process.env.CARGO_TARGET_DIR ?? `${ROOT}/target`}/debug/examples/fixture-server`;
const AXE = readFileSync(fileURLToPath(new URL("node_modules/axe-core/axe.min.js", import.meta.url)), "utf8");
export const SHOTS = process.env.SCREENSHOTS;

const job = "jobs/1";
/** Every page; each name is also the name of its screenshot. */
export const PAGES = {
  home: "/",
  executions: "/executions",
  "execution-running": "/executions/7",
  "execution-failed": "/executions/8",
  "execution-filtered": "/executions/8?state=ERRORED&q=acme",
  "execution-done": "/executions/6",
  "execution-not-planned": "/executions/5",
  jobs: "/jobs",
  "job-log": `/${job}`,
  "job-diff": `/${job}?tab=diff`,
  "job-diff-split": `/${job}?tab=diff&view=split`,
  "job-details": `/${job}?tab=details`,
  "job-queued": "/jobs/3",
  "job-running": "/jobs/2",
  "log-piece": "/jobs/1/log?offset=100",
  actions: "/actions",
  "action-new": "/actions/new",
  action: "/actions/upgrade-go-1-26",
  "action-edit": "/actions/upgrade-go-1-26/edit",
  "action-versions": "/actions/upgrade-go-1-26/versions",
  "action-settings": "/actions/upgrade-go-1-26/settings",
  campaigns: "/campaigns",
  "campaign-new": "/campaigns/new?patchSet=UGF0Y2hTZXQ6Mw",
  campaign: "/campaigns/go-1-26",
  "campaign-preview": "/campaigns/go-1-26/preview?patchSet=UGF0Y2hTZXQ6Mw",
  "campaign-edit": "/campaigns/go-1-26/edit",
  "campaign-track": "/campaigns/go-1-26/track",
  changeset: "/changesets/Q2FtcGFpZ25DaGFuZ2VzZXQ6MQ%3D%3D",
  "changeset-diverged": "/changesets/Q2FtcGFpZ25DaGFuZ2VzZXQ6Mw%3D%3D",
  "patch-set": "/patch-sets/UGF0Y2hTZXQ6Mw",
  patch: "/patches/UGF0Y2g6MQ%3D%3D",
  "saved-searches": "/saved-searches",
  "saved-search": "/saved-searches/go-1-21-users",
  repositories: "/repositories",
  repository: "/repositories/github.com/acme/web",
  "code-hosts": "/code-hosts",
  runners: "/runners",
  runner: "/runners/runner-eu-1",
  search: "/search?q=go+1.21",
  "search-wrong": "/search?q=file:+x",
  "search-help": "/search",
  settings: "/settings",
  botlist: "/botlist",
  fleet: "/fleet",
  "botlist-filtered": "/botlist?f=os:Ubuntu-24.04&f=status:quarantined&c=id&c=status&c=os&c=cpu&s=os&d=desc",
  bot: "/bot?id=bot-eu-1",
  "bot-events": "/bot?id=bot-eu-2&tab=events",
  "bot-state": "/bot?id=bot-eu-3&tab=state",
  tasklist: "/tasklist?f=pool:default",
  "task-pending": "/task?id=6bd1c0de00000000",
  "task-running": "/task?id=6bd1c0de00000010",
  "task-failed": "/task?id=6bd1c0de00000030",
  "task-deduplicated": "/task?id=6bd1c0de000000a0",
  query: "/executions/7?view=query",
  missing: "/no/such/page",
};

export async function serve(mood) {
  const child = spawn(BINARY, ["0", mood], { stdio: ["ignore", "pipe", "inherit"] });
  const line = await new Promise((found, lost) => {
    child.stdout.once("data", (data) => found(String(data)));
    child.once("error", lost);
    child.once("exit", (code) => lost(new Error(`the fixture server ended with ${code}`)));
  });
  const url = new URL(line.trim());
  return { url: url.origin, stop: () => child.kill() };
}

export const launch = () => chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });

/** A context that is logged in. */
export async function context(browser, server, options = {}) {
  const made = await browser.newContext({ baseURL: server.url, viewport: { width: 1280, height: 900 }, ...options });
  const cookies = [{ name: "phalanx_session", value: options.token ?? "admin-token", url: server.url, httpOnly: true, sameSite: "Strict" }];
  if (options.colorScheme) cookies.push({ name: "phalanx_theme", value: options.colorScheme, url: server.url });
  await made.addCookies(cookies);
  return made;
}

/** A page with a list of what went wrong on it. */
export async function open(made) {
  const page = await made.newPage();
  const wrong = [];
  page.on("pageerror", (error) => wrong.push(`error: ${error.message}`));
  page.on("console", (message) => {
    // The answer 404 of a page that is not there is what is asked for.
    if (message.type() === "error" && !/status of 4(04|22)/.test(message.text())) wrong.push(`console: ${message.text()}`);
  });
  page.on("dialog", (dialog) => {
    wrong.push(`dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  return { page, wrong };
}

/** What axe finds. It is run by the debugger, so our policy need not allow it. */
export async function axe(page) {
  const found = await page.evaluate(`${AXE}; axe.run(document, { resultTypes: ["violations"] })`);
  return found.violations.map((one) => `${one.id}: ${one.nodes.slice(0, 3).map((node) => `${node.html.slice(0, 160)} (${node.any[0]?.message ?? node.failureSummary})`).join(" | ")}`);
}

export const reports = async (server) => Number(await (await fetch(`${server.url}/csp-report`)).text());
