"use strict";
// Everything here adds to a page that can be read without it.

const root = document.documentElement;
const themes = ["auto", "light", "dark"];
let theme = "auto";
try {
  theme = localStorage.getItem("agf-theme") || "auto";
} catch {
  // A page opened from a file may have no storage.
}

function applyTheme() {
  if (theme === "auto") delete root.dataset.theme;
  else root.dataset.theme = theme;
}

function addThemeButton() {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "theme";
  const name = () => {
    button.textContent = `Theme: ${theme}`;
  };
  button.addEventListener("click", () => {
    theme = themes[(themes.indexOf(theme) + 1) % themes.length];
    applyTheme();
    name();
    try {
      localStorage.setItem("agf-theme", theme);
    } catch {
      // As above.
    }
  });
  name();
  document.querySelector(".top .inner").append(button);
}

// Sorting. A first click sorts numbers and names upwards, the next one downwards; missing values stay last.
function sortTable(table, column, ascending) {
  const body = table.tBodies[0];
  const value = (row) => {
    const cell = row.cells[column];
    return cell.dataset.sort ?? cell.textContent.trim();
  };
  const numeric = table.tHead.rows[0].cells[column].classList.contains("numeric");
  const compare = numeric
    ? (a, b) => Number(a) - Number(b)
    : (a, b) => a.localeCompare(b, "en", { numeric: true });
  const rows = [...body.rows];
  rows.sort((a, b) => {
    const [x, y] = [value(a), value(b)];
    if (x === "" || y === "") return (x === "") - (y === "");
    return ascending ? compare(x, y) : compare(y, x);
  });
  body.append(...rows);
}

function makeSortable(table) {
  const headers = [...table.tHead.rows[0].cells];
  headers.forEach((header, column) => {
    if (!header.textContent.trim()) return;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    button.append(...header.childNodes);
    header.append(button);
    header.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      const ascending = header.getAttribute("aria-sort") !== "ascending";
      for (const other of headers) {
        if (other.hasAttribute("aria-sort")) other.setAttribute("aria-sort", "none");
      }
      header.setAttribute("aria-sort", ascending ? "ascending" : "descending");
      sortTable(table, column, ascending);
    });
  });
}

// Marks of a drawing say what they are when pointed at or reached by key: one stop of Tab for each drawing, arrows within.
function addTips() {
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.setAttribute("role", "tooltip");
  tip.hidden = true;
  document.body.append(tip);

  const mark = (name, on) => {
    if (!name) return;
    for (const other of document.querySelectorAll(`[data-case="${CSS.escape(name)}"]`)) {
      other.classList.toggle("pointed", on);
    }
  };
  const show = (point) => {
    tip.textContent = point.dataset.tip;
    tip.hidden = false;
    const box = point.getBoundingClientRect();
    const middle = box.left + box.width / 2 - tip.offsetWidth / 2;
    const left = Math.max(8, Math.min(middle, root.clientWidth - tip.offsetWidth - 8));
    const above = box.top - tip.offsetHeight - 6;
    tip.style.left = `${left + window.scrollX}px`;
    tip.style.top = `${(above < 4 ? box.bottom + 6 : above) + window.scrollY}px`;
    mark(point.dataset.case, true);
  };
  const hide = (point) => {
    tip.hidden = true;
    mark(point.dataset.case, false);
  };

  for (const svg of document.querySelectorAll("svg")) {
    const points = [...svg.querySelectorAll(".point")];
    const title = svg.querySelector(":scope > title");
    if (title) {
      // The browser would show it over every mark.
      svg.setAttribute("aria-label", title.textContent);
      svg.removeAttribute("aria-labelledby");
      title.remove();
    }
    for (const point of points) {
      const own = point.querySelector(":scope > title");
      if (!own) continue;
      point.dataset.tip = own.textContent;
      own.remove();
      point.addEventListener("pointerenter", () => show(point));
      point.addEventListener("pointerleave", () => hide(point));
    }
    if (svg.getAttribute("role") !== "group") continue;
    points.forEach((point, i) => {
      point.setAttribute("tabindex", i ? "-1" : "0");
      point.setAttribute("role", "img");
      point.setAttribute("aria-label", point.dataset.tip);
      point.addEventListener("focus", () => show(point));
      point.addEventListener("blur", () => hide(point));
      point.addEventListener("keydown", (event) => {
        const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
        if (event.key === "Escape") hide(point);
        if (!step) return;
        event.preventDefault();
        const next = points[(i + step + points.length) % points.length];
        point.setAttribute("tabindex", "-1");
        next.setAttribute("tabindex", "0");
        next.focus();
      });
    });
  }
}

function followContents() {
  const contents = document.querySelector(".contents details");
  if (!window.matchMedia("(min-width: 68rem)").matches) contents.open = false;
  const links = new Map(
    [...contents.querySelectorAll("a")].map((link) => [link.hash.slice(1), link]),
  );
  const seen = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        if (!entry.isIntersecting) continue;
        for (const link of links.values()) link.removeAttribute("aria-current");
        links.get(entry.target.id).setAttribute("aria-current", "true");
      }
    },
    { rootMargin: "-15% 0px -75% 0px" },
  );
  for (const section of document.querySelectorAll("main > section")) seen.observe(section);
}

function openForPrint() {
  const opened = [];
  window.addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("main details:not([open])")) {
      details.open = true;
      opened.push(details);
    }
  });
  window.addEventListener("afterprint", () => {
    for (const details of opened.splice(0)) details.open = false;
  });
}

applyTheme();
document.addEventListener("DOMContentLoaded", () => {
  addThemeButton();
  document.querySelectorAll("table.sortable").forEach(makeSortable);
  addTips();
  followContents();
  openForPrint();
});
