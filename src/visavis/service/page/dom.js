// Makes elements; text is always text.

export function element(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

export function drawn(name, attributes = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
}

function filled(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "onclick") made.addEventListener("click", value);
    else if (value !== null && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

export const $ = (id) => document.getElementById(id);

export const warning = (text) => element("p", { class: "warn" }, text);

// Runs work that fills a place, tells what happens meanwhile, and drops the answer if the question has changed since.
const latest = new WeakMap();

export async function filling(place, text, work) {
  const turn = Symbol(text);
  latest.set(place, turn);
  place.setAttribute("aria-busy", "true");
  place.replaceChildren(element("p", { class: "hint" }, text));
  let children;
  try {
    children = await work();
  } catch (error) {
    children = [warning(error.message)];
  }
  if (latest.get(place) !== turn) return false;
  place.removeAttribute("aria-busy");
  place.replaceChildren(...children);
  return true;
}

export function empty(place) {
  latest.delete(place);
  place.removeAttribute("aria-busy");
  place.replaceChildren();
}
