// What happened lately, in numbers.

import { el, field } from "./dom.js";
import { get, query } from "./api.js";
import { bars, columns } from "./chart.js";
import { duration, line, span, visible } from "./show.js";

const HOUR = 3600000;
const BACK = [[HOUR, "the last hour"], [24 * HOUR, "the last day"], [7 * 24 * HOUR, "the last 7 days"], [30 * 24 * HOUR, "the last 30 days"]];
/** Milliseconds between looks. */
const EVERY = 15000;
const PARTS = [
  { name: "allowed", kind: "good", of: (step) => step.allow },
  { name: "asked", kind: "wait", of: (step) => step.ask },
  { name: "denied", kind: "bad", of: (step) => step.deny },
];

function when(ms, back) {
  const at = new Date(ms);
  const two = (number) => String(number).padStart(2, "0");
  const clock = `${two(at.getHours())}:${two(at.getMinutes())}`;
  return back > 2 * 24 * HOUR ? `${two(at.getMonth() + 1)}-${two(at.getDate())} ${clock}` : clock;
}

function tile(name, value, note, kind = "") {
  return el("div", { class: `card tile ${kind}` }, el("span", { class: "soft" }, name), el("strong", {}, value), note ? el("span", { class: "soft" }, note) : null);
}

function panel(title, ...content) {
  return el("section", { class: "card stack tight" }, el("h2", {}, title), content);
}

export function show(main, at) {
  const given = Number(at.query.get("back"));
  const chosen = BACK.some(([ms]) => ms === given) ? given : 24 * HOUR;
  const back = el("select", { on: { change: () => { location.hash = query("#/overview", { back: back.value }); } } },
    BACK.map(([ms, text]) => el("option", { value: ms, selected: ms === chosen }, text)));
  const problem = el("p", { class: "problem", role: "alert", hidden: true });
  const body = el("div", { class: "stack" }, el("p", { class: "soft" }, "Reading…"));
  main.append(el("div", { class: "page-head" }, el("h1", {}, "Overview"), el("span", { class: "grow" }), field("Time", back)), problem, body);

  let timer = null;
  let on = true;
  async function look() {
    try {
      const told = await get(query("/api/overview", { back_ms: chosen }));
      if (!on) return;
      problem.hidden = true;
      // What is open or has the focus is left alone.
      if (!body.querySelector("details[open]")) draw(body, told, chosen);
    } catch (error) {
      if (!on) return;
      problem.textContent = error.message;
      problem.hidden = false;
    }
    timer = setTimeout(look, document.hidden ? 4 * EVERY : EVERY);
  }
  look();
  return () => {
    on = false;
    clearTimeout(timer);
  };
}

function draw(body, told, back) {
  const sum = (of) => told.decisions.reduce((all, step) => all + of(step), 0);
  const { answers, waiting, durations } = told;
  const answered = answers.approved + answers.denied;
  const oldest = waiting.oldest_ms === null ? "nothing waits" : `the oldest for ${span(Date.now() - waiting.oldest_ms)}`;
  body.replaceChildren(
    told.complete ? "" : el("p", { class: "banner wait" }, `There were too many requests to count them all: these are the ones since ${when(told.counted_from_ms, 7 * 24 * HOUR)}.`),
    el("div", { class: "tiles" },
      tile("requests", told.requests.toLocaleString()),
      tile("asked a person", sum((step) => step.ask).toLocaleString(), `${answered.toLocaleString()} answered`, "wait"),
      tile("denied by policy", sum((step) => step.deny).toLocaleString(), null, "bad"),
      tile("waiting", waiting.count.toLocaleString(), oldest),
      tile("half take at most", durations.count ? duration(durations.p50_ms) : "–", durations.count ? `19 of 20 at most ${duration(durations.p95_ms)}` : null)),
    panel("Decisions over time", columns("Decisions over time", told.decisions, PARTS, (step) => when(step.time_ms, back))),
    el("div", { class: "grid wide-grid" },
      panel("Most asked for", bars(told.top.map((row) => ({ name: visible(row.tool), value: row.times, part: row.denied, note: row.denied ? `${row.denied.toLocaleString()} denied` : "" })), "Nothing was asked for.")),
      panel("Most denied", bars(told.denied.map((row) => ({ name: [el("code", {}, ...visible(line(row.argv, 90))), el("span", { class: "soft" }, " ", ...visible(`${row.jail}${row.rule ? `, ${row.rule}` : ""}`))], value: row.times, kind: "bad" })), "Nothing was denied.")),
      panel("How long it waits by now", bars(["less than a minute", "1 to 5 minutes", "5 to 15 minutes", "longer"].map((name, i) => ({ name, value: waiting.ages[i], kind: "wait" })), "")),
      panel("What people answered", bars([
        { name: "approved", value: answers.approved, kind: "good" }, { name: "denied", value: answers.denied, kind: "bad" },
        { name: "nobody answered", value: answers.expired, kind: "wait" }, { name: "the caller left", value: answers.caller_left, kind: "wait" }], ""))));
}
