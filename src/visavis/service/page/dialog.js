// Modal dialogs.

import { $ } from "./dom.js";

// Opens a dialog cloned from a template. `closed` resolves with the value of the button that closed it, "" after Escape.
// Each call has an element of its own: `close` is fired late, so on a shared element it could answer the next question.
export function openDialog(templateId) {
  const dialog = $(templateId).content.firstElementChild.cloneNode(true);
  const closed = new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue);
    }, { once: true });
  });
  document.body.append(dialog);
  dialog.showModal();
  return { dialog, closed };
}
