// The ledger and its proof, the container engine, and what this warden can and cannot promise here.

import { busy, button, el, facts } from "./dom.js";
import { get, post } from "./api.js";
import { counting, duration, moment, visible } from "./show.js";
import { listen, state } from "./state.js";
import { session } from "./session.js";

/** Milliseconds between looks at a proof that is under way. */
const EVERY = 500;

export function show(main) {
  const body = el("div", { class: "grid wide-grid" });
  const proof = el("section", { class: "card stack", id: "proof" }, el("h2", {}, "Proof"));
  main.append(el("div", { class: "page-head" }, el("h1", {}, "Ledger and warden")), body);
  const ledger = el("section", { class: "card stack" });
  const rest = el("div", { class: "shown-through" });
  body.append(ledger, proof, rest);
  const leave = prove(proof);
  const draw = () => {
    const { status } = state;
    if (!status) return;
    const { engine } = status;
    ledger.replaceChildren(el("h2", {}, "Ledger"), facts([
      ["file", status.ledger.path ? el("code", {}, ...visible(status.ledger.path)) : null],
      ["newest record", status.ledger.sequence.toLocaleString()],
      ["state", status.ledger.error ? el("span", { class: "problem" }, ...visible(status.ledger.error)) : el("span", { class: "chip good" }, "written")],
    ]));
    rest.replaceChildren(
      el("section", { class: "card stack" }, el("h2", {}, "Container engine"), facts([
        ["address", engine.address ? el("code", {}, ...visible(engine.address)) : "none"],
        ["answers as", engine.version ? el("span", {}, ...visible(`${engine.version}, API ${engine.api}`)) : null],
        ["problem", engine.error ? el("span", {}, ...visible(engine.error)) : null],
      ])),
      el("section", { class: "card stack" }, el("h2", {}, "Warden"), facts([
        ["version", status.version], ["process", `pid ${status.pid}, uid ${status.uid}`], ["started", counting(status.started_ms, "ago")],
        ...Object.entries(status.methods).map(([name, how]) => [name.replaceAll("_", " "), how]),
      ])),
      status.no_approver ? el("section", { class: "card stack" }, el("h2", {}, "Nobody could answer"), el("p", {}, ...visible(`${status.no_approver.count} denied since the start because nobody who may answer could; the last by ${status.no_approver.rule ?? "the default action"}: ${status.no_approver.why}`))) : "",
      status.cautions.length ? el("section", { class: "card stack" }, el("h2", {}, "How far its promises hold here"), el("ul", { class: "points" }, status.cautions.map((text) => el("li", {}, ...visible(text))))) : "");
  };
  const deaf = listen(draw);
  draw();
  return () => {
    deaf();
    leave();
  };
}

/** The box that proves the ledger and says what came of it. */
function prove(box) {
  const told = el("div", { class: "stack tight", role: "status" });
  let timer = null;
  let on = true;
  const act = button("Verify now", "first", () => busy(act, async () => draw(await post("/api/audit/verify"))));
  const draw = (proof) => {
    const { running_since_ms: since, last } = proof;
    told.replaceChildren(...(since ? [el("p", {}, "Reading all of it, ", counting(since, "since"), ".")] : last ? came(last) : [el("p", { class: "soft" }, "It was not proved since the warden started.")]));
    act.hidden = Boolean(since);
    clearTimeout(timer);
    if (since && on) timer = setTimeout(look, EVERY);
  };
  const look = async () => {
    try {
      const proof = await get("/api/audit/verify");
      if (on) draw(proof);
    } catch (error) {
      // Who is bounded to some jails is told nothing of the ledger.
      if (on) told.replaceChildren(el("p", { class: "soft" }, error.message));
    }
  };
  box.append(told, el("div", { class: "dialog-end", data: { problems: "" } }, session.role === "admin" ? act : null));
  look();
  return () => {
    on = false;
    clearTimeout(timer);
  };
}

function came(last) {
  const head = el("p", { class: "answer" }, last.holds ? el("span", { class: "chip good" }, "holds") : el("span", { class: "chip bad" }, last.unread ? "could not be read" : "does not hold"), " as of ", moment(last.ended_ms));
  if (!last.holds) return [head, el("p", { class: "problem" }, ...visible(last.why ?? ""))];
  return [head, facts([
    ["records", `${last.records.toLocaleString()}, ${last.first.toLocaleString()} to ${last.last.toLocaleString()}, ${(last.bytes / 1e6).toFixed(1)} MB`],
    ["signed", last.signed_to ? `up to record ${last.signed_to.toLocaleString()}` : "nothing of it yet: whoever can write the file can rewrite it"],
    ["head", el("code", {}, last.head)],
    ["took", duration(last.took_ms)],
    ["notes", last.notes.length ? el("ul", { class: "plain-list" }, last.notes.map((text) => el("li", {}, ...visible(text)))) : null],
  ]), el("p", { class: "soft" }, "Proved here, by the warden's own files and key. Elsewhere, clawrden audit verify proves a copy by a key that its machine cannot change.")];
}
