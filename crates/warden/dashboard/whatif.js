// "What if the agent ran …", and "what if the policy said …". Nothing here is run or put in force.

import { busy, button, el, facts, field } from "./dom.js";
import { get, post, query } from "./api.js";
import { copyable, count, duration, line, visible, visibleLines } from "./show.js";
import { session, mayAnswer } from "./session.js";
import { state } from "./state.js";

const KINDS = { allow: "good", ask: "wait", deny: "bad" };
const DAY = 86400000;

const chip = (action) => el("span", { class: `chip ${KINDS[action] ?? ""}` }, action);

/** A table with a title, for those who cannot see it as well. */
function table(title, heads, rows) {
  return el("div", { class: "table-box", tabindex: "0", role: "region", "aria-label": title },
    el("table", {}, el("thead", {}, el("tr", {}, heads.map((name) => el("th", { scope: "col" }, name)))), el("tbody", {}, rows.map((cells) => el("tr", {}, cells.map((cell) => el("td", {}, cell)))))));
}

/** The box that explains a line, or the request of the history with this id. */
export function explain(id = null) {
  if (!mayAnswer()) return "";
  const text = el("input", { type: "text", class: "mono", required: true, autocomplete: "off", spellcheck: "false", placeholder: "rm -rf build && npm ci" });
  const cwd = el("input", { type: "text", class: "mono", autocomplete: "off", spellcheck: "false", placeholder: "not known", pattern: "/.*", title: "a whole path, from /" });
  const jails = state.status?.jails.map((jail) => jail.name) ?? ["default"];
  const jail = el("select", {}, jails.map((name) => el("option", { value: name, selected: name === "default" }, name)));
  const act = el("button", { type: "submit", class: "button first" }, "Explain");
  const told = el("div", { class: "stack tight", role: "status" });
  /** What was asked before: judged word by word, as long as nobody writes another line. */
  let past = null;
  async function ask() {
    const isPast = past && past.shown === text.value;
    const asked = isPast ? { argv: past.argv, uid: past.uid } : { line: text.value };
    const found = await post("/api/policy/explain", { ...asked, cwd: cwd.value.trim() || null, jail: jail.value });
    const note = isPast ? el("p", { class: "soft" }, "The words that the history keeps, by the policy that is in force. What surrounded them, such as variables and links, is not known any more.") : "";
    told.replaceChildren(...explained(found), note);
  }
  async function look() {
    const { entries: [entry] } = await get(query("/api/history", { id, limit: 1 }));
    if (!entry) throw new Error("That request is not in the history, or not any more.");
    past = { shown: copyable(entry.argv), argv: entry.argv, uid: entry.caller.uid };
    text.value = past.shown;
    cwd.value = entry.cwd ?? "";
    if (!jails.includes(entry.jail)) jail.append(el("option", { value: entry.jail }, entry.jail));
    jail.value = entry.jail;
    await ask();
  }
  const form = el("form", { class: "filters", on: { submit: (event) => {
    event.preventDefault();
    busy(act, ask);
  } } },
  el("label", { class: "field wide" }, "What if the agent ran …", text), field("In the folder", cwd), field("From the jail", jail), act);
  const box = el("section", { class: "card stack", id: "explain" }, el("h2", {}, "Explain a command"), el("div", { data: { problems: "" } }, form), told);
  if (id) busy(act, look);
  return box;
}

function explained(found) {
  const verdicts = { matched: "matches", overmatched: "may match", passed: "passed over" };
  return [
    el("p", { class: "answer" }, chip(found.action), " ", el("span", {}, ...visible(found.reason))),
    facts([
      ["rule", found.rule ? el("span", {}, ...visible(found.rule)) : "none"],
      ["would run", found.action === "deny" ? null : `${found.executor}${found.run_as ? ` as ${found.run_as}` : ""}${found.timeout_ms ? `, for ${duration(found.timeout_ms)} at most` : ""}`],
      ["answered by", found.approvers?.length ? el("ul", { class: "plain-list" }, found.approvers.map((one) => el("li", {}, ...visible(answeredBy(one))))) : null],
      ["limits", found.action === "deny" || !found.limits ? null : limits(found.limits)],
      ["noticed", found.noticed.length ? el("ul", { class: "plain-list" }, found.noticed.map((text) => el("li", {}, ...visible(text)))) : null],
      ["policy", el("span", {}, ...visible(found.policy))],
    ]),
    found.inside.length ? table("What it would run", ["What it would run", "By", "Decision", "Why"], found.inside.map((one) => [
      el("code", { class: `depth-${Math.min(one.depth, 4)}` }, ...visible(one.command || "not understood")), el("span", {}, ...visible(one.through)), one.action ? chip(one.action) : "",
      el("span", {}, ...visible(one.why || one.rule || ""))])) : "",
    found.steps.length ? el("details", {}, el("summary", {}, `Rules that were looked at: ${found.steps.length}`),
      table("Rules that were looked at", ["Rule", "Says", "Here it", "Why"], found.steps.map((step) => [
        el("span", {}, ...visible(step.rule)), chip(step.action), step.rule === found.rule ? el("strong", {}, "decides") : verdicts[step.verdict] ?? step.verdict, el("span", {}, ...visible(step.why))]))) : "",
    found.others ? el("p", { class: "soft" }, `${count(found.others, "other rule does", "other rules do")} not speak of it, or ${found.others === 1 ? "comes" : "come"} later.`) : "",
  ];
}

/** Whose yes it would take, in words. */
function answeredBy({ count: wanted, from, require_reason: reasoned, confirm_on_page: confirmed, escalate }) {
  const who = from.length ? `${wanted} of ${from.join(", ")}` : wanted === 1 ? "anybody who may answer" : `${wanted} different people`;
  const later = escalate.map(({ after_ms: after, to }) => `; after ${duration(after)} ${to.join(", ")} as well`);
  return [who, reasoned ? ", with a reason" : "", confirmed ? ", not by a chat alone" : "", ...later].join("");
}

/** What a command is kept to, a line for what it uses and one for each quota. */
function limits(found) {
  const used = [["memory", found.memory, "bytes"], ["processors", found.milli_cpus === null ? null : found.milli_cpus / 1000, ""], ["processes", found.pids, ""], ["output", found.output, "bytes"]]
    .filter(([, value]) => value !== null).map(([name, value, unit]) => `${name} ${value.toLocaleString()} ${unit}`.trim());
  const quotas = found.quotas.map((quota) => [
    quota.rate_starts === null ? null : `${count(quota.rate_starts, "start")} in any ${duration(quota.rate_ms)}`,
    quota.concurrent === null ? null : `${quota.concurrent} at once`,
  ].filter(Boolean).join(", ") + ` in a jail, by ${quota.rule}`);
  return el("ul", { class: "plain-list" }, [used.join(", "), ...quotas].filter(Boolean).map((text) => el("li", {}, ...visible(text))));
}

/** The box that holds a candidate against the history. */
export function simulate(layers) {
  if (session.role !== "admin") return "";
  const host = layers.find((layer) => layer.layer === "host");
  const text = el("textarea", { class: "mono candidate", spellcheck: "false", "aria-label": "The candidate policy", value: host?.text ?? "" });
  const days = el("select", {}, [[1, "of the last day"], [7, "of the last 7 days"], [30, "of the last 30 days"], [0, "of all time"]].map(([value, name]) => el("option", { value, selected: value === 7 }, name)));
  const told = el("div", { class: "stack tight", role: "status" });
  const check = button("Check", "", () => busy(check, async () => {
    told.replaceChildren(...checked(await post("/api/policy/check", { text: text.value })));
  }));
  const act = button("Hold against the history", "first", () => busy(act, async () => {
    told.replaceChildren(el("p", { class: "soft" }, "Judging…"));
    try {
      const since = Number(days.value) ? Date.now() - Number(days.value) * DAY : null;
      told.replaceChildren(...simulated(await post("/api/policy/simulate", { text: text.value, since_ms: since })));
    } catch (error) {
      if (error.code !== "bad_policy") {
        told.replaceChildren();
        throw error;
      }
      told.replaceChildren(...checked(await post("/api/policy/check", { text: text.value })));
    }
  }));
  return el("section", { class: "card stack", id: "simulate" }, el("h2", {}, "What if the policy said …"),
    el("p", { class: "soft" }, "A candidate in the place of the policy file. It is judged, and put in force nowhere."), text,
    el("div", { class: "filters", data: { problems: "" } }, field("Requests", days), check, act), told);
}

function checked(found) {
  if (found.ok) return [el("p", { class: "answer" }, el("span", { class: "chip good" }, "loads"), ` with ${count(found.rules, "rule")}`)];
  return [el("p", { class: "answer" }, el("span", { class: "chip bad" }, "does not load")),
    table("What is wrong", ["File", "Line", "What is wrong", "What would be right"], found.errors.map((one) => [el("span", {}, ...visible(one.file ?? "")), one.line === null ? "" : `${one.line}:${one.column}`, el("span", {}, ...visible(one.message)), el("span", {}, ...visible(one.help))])),
    found.omitted ? el("p", { class: "soft" }, `${found.omitted} more ${found.omitted === 1 ? "is" : "are"} not shown.`) : ""];
}

function simulated(found) {
  const rank = { allow: 0, ask: 1, deny: 2 };
  const milder = found.changes.filter((change) => rank[change.now] < rank[change.was]).length;
  const head = found.changes.length
    ? `${count(found.changes.length, "command")} would be decided otherwise: ${milder} milder, ${found.changes.length - milder} stricter.` : "Nothing would be decided otherwise.";
  return [
    el("p", { class: "answer" }, head),
    el("p", { class: "soft" }, `${count(found.judged, "request")} judged again, ${found.unchanged.toLocaleString()} alike${found.skipped ? `, ${found.skipped.toLocaleString()} left out that no policy decided` : ""}.${found.complete ? "" : " There was no time for older ones."}${found.limited ? ` ${found.limited.toLocaleString()} ${found.limited === 1 ? "counts" : "count"} towards a rate or a number at once, which are not replayed.` : ""}${found.omitted ? ` ${count(found.omitted, "further request")} would be decided otherwise and ${found.omitted === 1 ? "is" : "are"} not listed.` : ""}`),
    found.changes.length ? table("What would be decided otherwise", ["Times", "Was", "Would be", "Command", "By"], found.changes.slice(0, 200).map((change) => [
      change.times.toLocaleString(), chip(change.was), chip(change.now), el("code", { title: change.cwd }, ...visible(line(change.argv))), el("span", {}, ...visible(change.rule ?? change.reason))])) : "",
    found.changes.length > 200 ? el("p", { class: "soft" }, "The 200 most frequent are shown; clawrden policy simulate shows all.") : "",
  ];
}

/** The files of the policy, to be opened. */
export function files(layers) {
  const names = { ceiling: "ceiling", host: "policy", rules: "further rules", repository: "repository's own" };
  return el("section", { class: "card stack tight" }, el("h2", {}, "Layers, the highest first"), layers.map((layer) =>
    el("details", {}, el("summary", {}, el("span", { class: "chip note" }, names[layer.layer] ?? layer.layer), " ", ...visible(layer.name)),
      el("pre", { class: "command policy-text", tabindex: "0" }, ...visibleLines(layer.text)))));
}
