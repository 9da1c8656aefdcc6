// The frame: which page is shown, whether the warden answers, what is stopped.

import { announce, dialog, el, button, redraw } from "./dom.js";
import { counting, visible } from "./show.js";
import { listen, refresh, start, state, stop } from "./state.js";
import { whenSignedOut } from "./api.js";
import * as session from "./session.js";
import { kill, resume } from "./kill.js";
import { settings, wanted } from "./settings.js";
import { alarm } from "./alarm.js";
import * as queue from "./queue.js";
import * as running from "./running.js";
import * as history from "./history.js";
import * as jails from "./jails.js";
import * as policy from "./policy.js";
import * as ledger from "./ledger.js";
import * as overview from "./overview.js";
import * as tokens from "./tokens.js";

const PAGES = { queue, running, history, overview, jails, policy, tokens, ledger };
const NAMES = { queue: "Queue", running: "Running", history: "History", overview: "Overview", jails: "Jails", policy: "Policy", tokens: "Tokens", ledger: "Ledger" };

const nav = document.getElementById("nav");
const main = document.getElementById("main");
const live = document.getElementById("live");
const banners = document.getElementById("banners");
let leave = () => {};
let shown = "";


/** The page that the address names, and what stands behind it. */
function address() {
  const [path, text = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [name, ...rest] = path.split("/");
  return { name: name in PAGES ? name : "queue", rest, query: new URLSearchParams(text) };
}

function show() {
  const at = address();
  leave();
  main.replaceChildren();
  for (const link of nav.children) {
    if (link.dataset.page === at.name) {
      link.setAttribute("aria-current", "page");
      link.scrollIntoView({ block: "nearest", inline: "nearest" });
    } else link.removeAttribute("aria-current");
  }
  document.title = `${NAMES[at.name]} · Clawrden`;
  leave = PAGES[at.name].show(main, at) ?? (() => {});
  if (shown && shown !== at.name) main.focus({ preventScroll: true });
  shown = at.name;
}

function frame() {
  live.dataset.state = state.live;
  live.textContent = { on: "Live", off: "No answer", wait: "Connecting" }[state.live];
  const waiting = state.queue.length;
  const link = nav.querySelector('[data-page="queue"]');
  // Whoever is signed out has no pages.
  link?.replaceChildren("Queue", ...(waiting ? [el("span", { class: "count", "aria-label": `, ${waiting} waiting` }, String(waiting))] : []));
  document.title = document.title.replace(/^(\(\d+\) )?/, waiting ? `(${waiting}) ` : "");
  const { status } = state;
  redraw(banners, [state.live === "off", state.why, status?.stopped, status?.held, status?.ledger.error, Boolean(status?.policy.error), status?.dry_run], above);
}

/** What stands above every page. */
function above() {
  const lines = [];
  const { status } = state;
  if (state.live === "off") {
    if (state.why) lines.push(el("div", { class: "banner bad", role: "alert" }, el("strong", {}, "The warden tells this page nothing."),
      el("span", { class: "grow" }, ...visible(state.why), " What is shown is from before.")));
    else lines.push(el("div", { class: "banner bad", role: "alert" }, el("strong", {}, "The warden does not answer."),
      el("span", { class: "grow" }, "What is shown is from before. This page goes on as soon as it is back; no command starts without it.")));
  }
  if (status?.stopped) {
    const { by, since_ms: since, paused } = status.stopped;
    lines.push(el("div", { class: "banner bad", role: "alert" }, el("strong", {}, paused ? "Everything is paused." : "Everything is stopped."),
      el("span", { class: "grow" }, "By ", ...visible(by), ", ", counting(since, "ago"), ". Every new command is denied."),
      session.mayAnswer() ? button("Resume…", "bad", () => resume({})) : null));
  }
  for (const held of status?.held ?? []) {
    const what = held.jail ? `jail ${held.jail}` : `container ${held.container?.name}`;
    lines.push(el("div", { class: "banner wait" }, el("span", { class: "grow" }, ...visible(`The ${what} is ${held.stopped.paused ? "paused" : "stopped"} by ${held.stopped.by}.`)),
      session.mayAnswer() ? button("Resume…", "small", () => resume(held.jail ? { jail: held.jail } : { container: held.container.id })) : null));
  }
  if (status?.ledger.error) {
    lines.push(el("div", { class: "banner bad", role: "alert" }, el("strong", {}, "The ledger cannot be written, so nothing runs."), el("span", { class: "grow" }, ...visible(status.ledger.error))));
  }
  if (status?.policy.error) {
    lines.push(el("div", { class: "banner wait" }, el("span", { class: "grow" }, "The changed policy does not load; the last good one is in force."), el("a", { href: "#/policy" }, "See why")));
  }
  if (status?.dry_run) {
    lines.push(el("div", { class: "banner wait" }, "Dry run: decisions are recorded, and everything but disasters is let through."));
  }
  return lines;
}

function help() {
  const keys = [["j, k", "next and previous request"], ["a", "approve"], ["A", "approve for a session, a time or what it starts"], ["d", "deny, with a reason"], ["x", "mark for answering together"], ["c", "copy the exact command"], ["/", "search"], ["?", "this list"]];
  dialog("Keys", (close) => [
    el("dl", { class: "facts" }, keys.map(([key, does]) => [el("dt", {}, el("kbd", {}, key)), el("dd", {}, does)])),
    el("div", { class: "dialog-end" }, button("Close", "first", close)),
  ]);
}

function look() {
  if (!document.hidden) refresh();
}

/** Shows the pages, once it is known who looks. */
function begin() {
  for (const name of Object.keys(PAGES)) {
    if (name === "tokens" && session.session.role !== "admin") continue;
    nav.append(el("a", { href: `#/${name}`, data: { page: name } }, NAMES[name]));
  }
  document.getElementById("kill").hidden = !session.mayAnswer();
  document.getElementById("settings").hidden = false;
  addEventListener("hashchange", show);
  addEventListener("keydown", typed);
  document.addEventListener("visibilitychange", look);
  listen(frame);
  alarm(listen, state, wanted, announce);
  frame();
  show();
  start();
}

function typed(event) {
  const typing = event.target.closest?.("input, textarea, select, dialog");
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "?") help();
  else if (event.key === "/") {
    const search = main.querySelector('input[type="search"]');
    if (search) {
      event.preventDefault();
      search.focus();
    }
  } else PAGES[shown]?.key?.(event);
}

/** Asks who it is. The page is loaded anew after it, so that nothing of another session is left. */
function ask(why) {
  stop();
  removeEventListener("hashchange", show);
  removeEventListener("keydown", typed);
  document.removeEventListener("visibilitychange", look);
  leave();
  leave = () => {};
  banners.replaceChildren();
  nav.replaceChildren();
  document.title = "Sign in · Clawrden";
  session.login(main, why, () => location.reload());
}

document.getElementById("kill").addEventListener("click", kill);
document.getElementById("settings").addEventListener("click", settings);
try {
  if (await session.find()) {
    whenSignedOut(() => ask("The session has ended."));
    begin();
  } else ask("");
} catch (error) {
  ask(error.message);
}
