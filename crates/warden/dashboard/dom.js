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

/** What each place was drawn from last. */
const drawn = new WeakMap();

/** Fills `place` with what `make` gives, where it was drawn from something else than `from`, which JSON can say. What did not change stays as
 * it is: it keeps the focus, and a press that has begun. */
export function redraw(place, from, make) {
  const told = JSON.stringify(from);
  if (drawn.get(place) === told) return;
  drawn.set(place, told);
  place.replaceChildren(...make().flat(Infinity).filter(Boolean));
}

/** Leaves in `list` one element for each of these keys, in their order; `make` gives one that is not there yet. Those that stay are not touched,
 * nor are they moved while their order is the same. */
export function keep(list, keys, make) {
  const there = new Map([...list.children].map((one) => [one.dataset.key, one]));
  for (const [key, one] of there) if (!keys.includes(key)) one.remove();
  let before = null;
  for (const key of keys) {
    let one = there.get(key);
    if (!one) {
      one = make(key);
      one.dataset.key = key;
    }
    const place = before ? before.nextSibling : list.firstChild;
    if (one !== place) list.insertBefore(one, place);
    before = one;
  }
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
