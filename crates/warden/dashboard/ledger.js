// The ledger, the container engine, and what this warden can and cannot promise here.

import { el, facts } from "./dom.js";
import { counting, visible } from "./show.js";
import { listen, state } from "./state.js";

export function show(main) {
  const body = el("div", { class: "grid wide-grid" });
  main.append(el("div", { class: "page-head" }, el("h1", {}, "Ledger and warden")), body);
  const draw = () => {
    const { status } = state;
    if (!status) return;
    const { ledger, engine } = status;
    body.replaceChildren(
      el("section", { class: "card stack" }, el("h2", {}, "Ledger"), facts([
        ["file", el("code", {}, ...visible(ledger.path))],
        ["newest record", ledger.sequence.toLocaleString()],
        ["state", ledger.error ? el("span", { class: "problem" }, ...visible(ledger.error)) : el("span", { class: "chip good" }, "written")],
      ])),
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
      status.cautions.length ? el("section", { class: "card stack" }, el("h2", {}, "How far its promises hold here"), el("ul", {}, status.cautions.map((text) => el("li", {}, ...visible(text))))) : "");
  };
  const deaf = listen(draw);
  draw();
  return deaf;
}
