// Tabs by the ARIA practices: one tab stop, arrow keys between tabs.

import { $ } from "./dom.js";

export function startTabs() {
  const tabs = [...document.querySelectorAll("[role=tab]")];
  const select = (selected) => {
    for (const tab of tabs) {
      tab.setAttribute("aria-selected", String(tab === selected));
      tab.tabIndex = tab === selected ? 0 : -1;
      $(tab.getAttribute("aria-controls")).hidden = tab !== selected;
    }
  };
  tabs.forEach((tab, index) => {
    tab.addEventListener("click", () => select(tab));
    tab.addEventListener("keydown", (event) => {
      const target = { ArrowRight: index + 1, ArrowLeft: index - 1, Home: 0, End: tabs.length - 1 }[event.key];
      if (target === undefined) return;
      event.preventDefault();
      const next = tabs[(target + tabs.length) % tabs.length];
      select(next);
      next.focus();
    });
  });
}
