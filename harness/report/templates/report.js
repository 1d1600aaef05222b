"use strict";

// Sorting: every heading with data-sort becomes a button. Cells carry data-value; cells without
// one (nothing measured) stay last whichever way the column is sorted.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const headings = [...table.querySelectorAll("th[data-sort]")];
  for (const heading of headings) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    const label = heading.querySelector(".label");
    label.replaceWith(button);
    button.append(label);
    button.addEventListener("click", () => {
      const now = heading.getAttribute("aria-sort");
      const first = heading.dataset.sort;
      const order = now === null ? first : now === "ascending" ? "descending" : "ascending";
      for (const other of headings) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", order);
      sortRows(body, Number(heading.dataset.column), order === "ascending" ? 1 : -1);
    });
  }
}

function sortRows(body, column, sign) {
  const keyed = [...body.rows].map((row) => [row.cells[column].dataset.value, row]);
  keyed.sort(([a], [b]) => {
    if (a === undefined || b === undefined) return (a === undefined) - (b === undefined);
    const difference = Number(a) - Number(b);
    return sign * (Number.isNaN(difference) ? a.localeCompare(b) : difference);
  });
  body.append(...keyed.map(([, row]) => row));
}

// Filtering: items (table rows or docs) whose text holds the words and that each list wants: a list
// with data-by="verdict" looks at data-verdict, which may hold several names.
for (const tools of document.querySelectorAll(".tools")) {
  tools.hidden = false;
  const words = tools.querySelector("input[type=search]");
  const lists = [...tools.querySelectorAll("select")];
  const said = tools.querySelector("output");
  const items = [...document.querySelectorAll(tools.dataset.items)];
  const texts = new Map();
  const textOf = (item) => {
    if (!texts.has(item)) texts.set(item, item.textContent.toLowerCase());
    return texts.get(item);
  };
  const wanted = (item) =>
    lists.every((list) => !list.value || item.dataset[list.dataset.by].split(" ").includes(list.value));
  const apply = () => {
    const sought = words.value.trim().toLowerCase();
    let shown = 0;
    for (const item of items) {
      item.hidden = !wanted(item) || (sought !== "" && !textOf(item).includes(sought));
      shown += item.hidden ? 0 : 1;
    }
    said.value = `${shown.toLocaleString("en")} of ${items.length.toLocaleString("en")} shown`;
  };
  let waiting = 0;
  words.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(apply, 150);
  });
  for (const list of lists) list.addEventListener("change", apply);
  apply();
}
