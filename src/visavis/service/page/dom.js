// Creates elements; text is always inserted as text, never as HTML.

export const $ = (id) => document.getElementById(id);

export function element(name, attributes = {}, ...children) {
  return build(document.createElement(name), attributes, children);
}

export function svgElement(name, attributes = {}, ...children) {
  return build(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
}

function build(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "onclick") node.addEventListener("click", value);
    else if (value !== null && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

export const warning = (text) => element("p", { class: "warn" }, text);

const latestTasks = new WeakMap();

// Shows `progress` in a container, then the nodes that `task` resolves with, or its error. A result that is out of date, because
// another task was started for the container or it was cleared, is dropped. Returns whether the result of `task` is shown.
export async function showResult(container, progress, task) {
  latestTasks.set(container, task);
  container.setAttribute("aria-busy", "true");
  container.replaceChildren(element("p", { class: "hint" }, progress));
  let nodes;
  let succeeded = true;
  try {
    nodes = await task();
  } catch (error) {
    nodes = [warning(error.message)];
    succeeded = false;
  }
  if (latestTasks.get(container) !== task) return false;
  container.removeAttribute("aria-busy");
  container.replaceChildren(...nodes);
  return succeeded;
}

export function clearResult(container) {
  latestTasks.delete(container);
  container.removeAttribute("aria-busy");
  container.replaceChildren();
}
