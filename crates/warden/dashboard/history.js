// The history: what was asked, decided and done, with search, filters and details.

import { announce, busy, button, dialog, el, facts, field } from "./dom.js";
import { get, query } from "./api.js";
import { download, player } from "./player.js";
import { caller, command, copyable, count, duration, line, moment, visible } from "./show.js";
import { mayAnswer } from "./session.js";

const PAGE = 100;
/** Rows that there are at most: further ones take the place of the first. */
const ROWS = 1000;
/** Requests that are saved at most, and asked for at once. */
const SAVED = 20000;
const SAVED_PAGE = 1000;
const DECISIONS = ["", "allow", "ask", "deny", "approved", "denied", "expired", "caller_left"];

export function show(main, at) {
  const given = at.query;
  const text = el("input", { type: "search", value: given.get("command") ?? "", placeholder: "A tool, or a part of the command line" });
  const decision = el("select", {}, DECISIONS.map((value) => el("option", { value, selected: given.get("decision") === value }, value ? value.replace("_", " ") : "any decision")));
  const jail = el("input", { type: "text", value: given.get("jail") ?? "", placeholder: "any" });
  const who = el("input", { type: "text", value: given.get("caller") ?? "", placeholder: "1000, pid:7, container:NAME", title: "a uid, pid:N, container:NAME or a prisoner's id" });
  const words = el("input", { type: "text", value: given.get("text") ?? "", placeholder: "any", title: "Words that stand somewhere: in the command, its folder, the reasons, the answer" });
  const since = el("input", { type: "datetime-local", step: "1", value: given.get("since") ?? "" });
  const until = el("input", { type: "datetime-local", step: "1", value: given.get("until") ?? "" });
  const body = el("tbody");
  const problem = el("p", { class: "problem", role: "alert", hidden: true });
  const foot = el("div", { class: "list-foot" });
  const newer = el("p", { class: "list-foot", hidden: true }, "Newer ones are not shown any more. ", button("Back to the newest", "small", () => read()));
  const form = el("form", { class: "filters", role: "search", on: { submit: (event) => { event.preventDefault(); go(); } } },
    el("label", { class: "field line" }, "Command", text), field("Decision", decision), field("Jail", jail), field("Caller", who), field("Words", words), field("From", since), field("To", until),
    el("button", { type: "submit", class: "button first" }, "Search"));
  main.append(el("div", { class: "page-head" }, el("h1", {}, "History"), el("span", { class: "grow" }), el("div", { class: "chips", data: { problems: "" } }, save("json"), save("csv"))), form, problem, newer,
    el("div", { class: "table-box", tabindex: "0", role: "region", "aria-label": "Requests" }, el("table", {}, el("thead", {}, el("tr", {}, ["When", "Command", "Jail", "Decision", "Where", "End", "Took"].map((name, i) => el("th", { scope: "col", class: i === 6 ? "number" : null }, name)))), body)), foot);

  const ms = (input, more = 0) => (input.value ? new Date(input.value).getTime() + more : "");
  // That a caller left is no decision of anybody's.
  const left = () => decision.value === "caller_left";
  const values = () => ({ command: text.value.trim(), decision: left() ? "" : decision.value, outcome: left() ? decision.value : "", jail: jail.value.trim(), caller: who.value.trim(), text: words.value.trim(), since_ms: ms(since), until_ms: ms(until, 999) });

  function save(kind) {
    const act = button(`Save as ${kind.toUpperCase()}`, "small", () => busy(act, async () => {
      const all = [];
      let cursor = null;
      do {
        const found = await get(query("/api/history", { ...values(), limit: SAVED_PAGE, cursor }));
        all.push(...found.entries);
        cursor = found.next;
      } while (cursor !== null && cursor !== undefined && all.length < SAVED);
      const text = kind === "csv" ? csv(all) : all.map((entry) => `${JSON.stringify(entry)}\n`).join("");
      download(new Blob([text], { type: kind === "csv" ? "text/csv" : "application/x-ndjson" }), `history.${kind === "csv" ? "csv" : "jsonl"}`);
      announce(`${count(all.length, "request")} saved`);
    }), { title: `What the search finds, the newest ${SAVED.toLocaleString()} at most` });
    return act;
  }

  function go() {
    const kept = { command: text.value.trim(), decision: decision.value, jail: jail.value.trim(), caller: who.value.trim(), text: words.value.trim(), since: since.value, until: until.value };
    const address = query("#/history", kept);
    if (location.hash === address) read();
    else location.hash = address;
  }

  let reading = 0;
  async function read(cursor = null) {
    const mine = ++reading;
    if (cursor === null) {
      body.replaceChildren();
      newer.hidden = true;
    }
    foot.replaceChildren(el("p", { class: "soft" }, "Reading…"));
    problem.hidden = true;
    try {
      const found = await get(query("/api/history", { ...values(), limit: PAGE, cursor }));
      if (mine !== reading) return;
      body.append(...found.entries.map(row));
      const over = body.children.length - ROWS;
      for (let n = 0; n < over; n += 1) body.firstChild.remove();
      if (over > 0) newer.hidden = false;
      const nothing = !body.children.length;
      foot.replaceChildren(found.next === null || found.next === undefined
        ? el("p", { class: "soft" }, nothing ? "Nothing matches." : "That is all.")
        : button("Older", "", () => read(found.next)));
    } catch (error) {
      if (mine !== reading) return;
      problem.textContent = error.message;
      problem.hidden = false;
      foot.replaceChildren();
    }
  }

  read();
  const wanted = at.rest[0];
  if (wanted) open(wanted);
  return () => { reading += 1; };
}

/** Cells of a spreadsheet; what it would take for a formula begins with an apostrophe. */
function csv(entries) {
  const names = ["time", "id", "jail", "uid", "pid", "argv", "cwd", "decision", "outcome", "rule", "reason", "approver", "answered_from", "answer", "executor", "exit_code", "signal", "duration_ms", "error"];
  const cell = (value) => {
    const text = String(value ?? "");
    return `"${(/^[=+\-@\t\r]/.test(text) ? `'${text}` : text).replaceAll('"', '""')}"`;
  };
  const row = (entry) => names.map((name) => cell({ time: new Date(entry.time_ms).toISOString(), uid: entry.caller.uid, pid: entry.caller.pid, argv: JSON.stringify(entry.argv) }[name] ?? entry[name])).join(",");
  return `${[names.join(","), ...entries.map(row)].join("\r\n")}\r\n`;
}

/** What became of it, as a chip. */
export function verdict(entry) {
  const kinds = { allow: "good", approved: "good", deny: "bad", denied: "bad", expired: "bad", ask: "wait", caller_left: "wait" };
  const word = entry.outcome ?? entry.decision ?? "failed";
  return el("span", { class: `chip ${kinds[word] ?? ""}` }, word.replace("_", " "));
}

/** How it ended. */
export function end(entry) {
  if (entry.timed_out) return el("span", { class: "chip bad" }, "timed out");
  if (entry.signal !== null && entry.signal !== undefined) return el("span", { class: "chip bad" }, `signal ${entry.signal}`);
  if (entry.exit_code !== null && entry.exit_code !== undefined) return el("span", { class: `chip ${entry.exit_code === 0 ? "good" : "bad"}` }, `exit ${entry.exit_code}`);
  if (entry.error) return el("span", { class: "chip bad" }, "failed");
  return entry.started ? el("span", { class: "chip wait" }, "running, or unknown") : "";
}

function row(entry) {
  return el("tr", {},
    el("td", {}, moment(entry.time_ms)),
    el("td", {}, el("button", { type: "button", class: "row-link mono", on: { click: () => detail(entry) } }, line(entry.argv))),
    el("td", {}, ...visible(entry.jail)),
    el("td", {}, verdict(entry)),
    el("td", {}, entry.executor ?? ""),
    el("td", {}, end(entry)),
    el("td", { class: "number" }, duration(entry.duration_ms)));
}

async function open(id) {
  try {
    const { entries: [entry] } = await get(query("/api/history", { id, limit: 1 }));
    if (entry) detail(entry);
    else announce("That request is not in the history, or not any more");
  } catch (error) {
    announce(error.message);
  }
}

/** Whether it may have been recorded: what is, is not handed off. */
const mayBeRecorded = (entry) => entry.started && !["kernel", "shim"].includes(entry.exit_source);

function detail(entry) {
  let playing = null;
  const link = `${location.origin}${location.pathname}#/history/${entry.id}`;
  const stage = el("div", {});
  const play = button("Recording", "", () => {
    playing ??= player(entry.id, entry.exit_source === null && !entry.error);
    stage.replaceChildren(playing.made);
    play.hidden = true;
    box.classList.add("wide");
  });
  const copy = (text, name) => {
    const act = button(name, "", () => busy(act, async () => {
      await navigator.clipboard.writeText(text);
      announce("Copied");
    }));
    return act;
  };
  const box = dialog("One request", (close) => [
    command(entry.argv),
    facts([
      ["when", moment(entry.time_ms)],
      ["decision", el("span", { class: "chips" }, verdict(entry), end(entry))],
      ["rule", entry.rule ? el("span", {}, ...visible(entry.rule)) : null],
      ["why", entry.reason ? el("span", {}, ...visible(entry.reason)) : null],
      ["answered by", entry.approver ? el("span", {}, ...visible(`${entry.approver}${entry.kept_answer ? ", to an earlier request" : ""}`)) : null],
      ["from", entry.answered_from ? el("span", {}, ...visible(entry.answered_from)) : null],
      ["saying", entry.answer ? el("span", {}, ...visible(entry.answer)) : null],
      ["jail", el("span", {}, ...visible(entry.jail))],
      ["caller", el("span", {}, caller(entry.caller))],
      ["directory", entry.cwd ? el("code", {}, ...visible(entry.cwd)) : null],
      ["ran", entry.executor ? `${entry.executor}${entry.run_as ? ` as ${entry.run_as}` : ""}` : null],
      ["took", duration(entry.duration_ms)],
      ["end known from", entry.exit_source],
      ["failed", entry.error ? el("span", {}, ...visible(entry.error)) : null],
      ["id", el("code", {}, entry.id)],
    ]),
    stage,
    el("div", { class: "dialog-end", data: { problems: "" } },
      mayBeRecorded(entry) ? play : null,
      mayAnswer() ? el("a", { class: "button", href: `#/policy?explain=${entry.id}`, on: { click: close } }, "Explain") : null,
      copy(copyable(entry.argv), "Copy command"),
      copy(link, "Copy link"),
      button("Close", "first", close)),
  ]);
  box.addEventListener("close", () => playing?.end());
}
