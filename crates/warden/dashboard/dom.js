// Making elements. Text only ever becomes text: nothing here reads markup.

/** An element. `props`: `class`, `on` (handlers by event), `data`, `text`, else attributes; false and null leave one out. */
export function el(name, props = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (key === "class") made.className = value;
    else if (key === "text") made.textContent = value;
    else if (key === "on") for (const [event, act] of Object.entries(value)) made.addEventListener(event, act);
    else if (key === "data") Object.assign(made.dataset, value);
    else if (key === "value" || key === "checked" || key === "disabled" || key === "selected") made[key] = value;
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

/** A button that does something. */
export function button(text, kind, act, props = {}) {
  return el("button", { type: "button", class: `button ${kind}`, on: { click: act }, ...props }, text);
}

/** A labelled field. */
export function field(label, input) {
  return el("label", { class: "field" }, label, input);
}

/** Term and description pairs; pairs without a description are left out. */
export function facts(pairs) {
  const kept = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return el("dl", { class: "facts" }, kept.map(([term, value]) => [el("dt", {}, term), el("dd", {}, value)]));
}

/** Says something to those who do not see the page. */
export function announce(text) {
  document.getElementById("announce").textContent = text;
}

/** Shows a dialog; `fill` gets a function that closes it. The focus goes back to where it was. */
export function dialog(title, fill) {
  const heading = el("h2", { id: "dialog-title" }, title);
  const box = el("dialog", { "aria-labelledby": "dialog-title" });
  const close = () => box.close();
  box.append(el("div", { class: "dialog-body" }, heading, fill(close)));
  box.addEventListener("close", () => box.remove());
  document.body.append(box);
  box.showModal();
  return box;
}

/** Runs a promise of a button: it cannot be pressed twice, and what goes wrong is said beside it. */
export async function busy(pressed, work) {
  const box = pressed.closest("[data-problems]") ?? pressed.parentElement;
  box.querySelector(":scope > .problem")?.remove();
  pressed.disabled = true;
  try {
    return await work();
  } catch (error) {
    box.append(el("p", { class: "problem", role: "alert" }, error.message));
    return undefined;
  } finally {
    pressed.disabled = false;
  }
}
