"use strict";

// Sorting is done by sortable (vendor/): a click on a heading sorts by the cells' data-sort. Here
// headings with data-sort get a button and the direction to begin with; cells carry data-value, and
// those without one (nothing measured) stay last whichever way the column is sorted.
for (const table of document.querySelectorAll("table.sortable")) {
  table.classList.add("n-last");
  for (const row of table.tBodies[0].rows) {
    for (const cell of row.cells) cell.dataset.sort = cell.dataset.value ?? "";
  }
  for (const heading of table.tHead.querySelectorAll("th:not([data-sort])")) {
    heading.classList.add("no-sort");
  }
  const headings = [...table.tHead.querySelectorAll("th[data-sort]")];
  for (const heading of headings) {
    heading.dataset.sortCol = heading.dataset.column;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    const label = heading.querySelector(".label");
    label.replaceWith(button);
    button.append(label);
    // The click goes on to sortable, which turns round what it finds and begins with descending.
    button.addEventListener("click", () => {
      for (const other of headings) if (other !== heading) other.removeAttribute("aria-sort");
      if (!heading.hasAttribute("aria-sort") && heading.dataset.sort === "ascending") {
        heading.setAttribute("aria-sort", "descending");
      }
    });
  }
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
