// Review: marks on docs, kept in this page (and, where the browser lets a page keep things, beyond
// it), downloaded as one file for `harness marks import`. Texts go in as text, never as markup.
for (const bar of document.querySelectorAll(".review")) {
  const run = JSON.parse(bar.dataset.run);
  const docs = [...document.querySelectorAll(".doc")];
  const markers = document.querySelector("template.markers");
  const [reviewer, keys] = [bar.querySelector(".reviewer"), bar.querySelector(".keys")];
  const said = bar.querySelector(".count");
  const VERDICTS = ["good", "bad", "unsafe"];
  const KEYS = { g: "good", b: "bad", u: "unsafe" };

  // Some browsers refuse to keep anything for a page that was opened from disk.
  const kept = (() => {
    try {
      localStorage.setItem("harness probe", "1");
      localStorage.removeItem("harness probe");
      return localStorage;
    } catch {
      return null;
    }
  })();
  const place = `harness marks ${run}`;

  const placeOf = (doc) => ({
    task: JSON.parse(doc.closest("[data-task]").dataset.task),
    doc_id: JSON.parse(doc.dataset.doc),
  });
  const marks = new Map(); // doc element to its mark here
  let unsaved = false;
  let refused = !kept; // marks are in this page only
  let here = []; // the list of them then

  // A mark is of the name under which it was made; one without a name is of whoever downloads it.
  const name = () => reviewer.value.trim();
  const own = ({ by }) => by === "" || by === name();

  const byPlace = new Map(docs.map((doc) => [JSON.stringify(placeOf(doc)), doc]));
  const placed = ({ task, doc_id }) => JSON.stringify({ task, doc_id });
  const docOf = (entry) => byPlace.get(placed(entry));
  // Marks that were kept before they had names are of the reviewer whom the browser knows.
  const former = kept?.getItem("harness reviewer")?.trim() ?? "";
  const stored = () => {
    if (refused) return here;
    try {
      return JSON.parse(kept.getItem(place) ?? "[]")
        .map((entry) => {
          const { task, doc_id, mark, note, at, by = former } = entry;
          return { task, doc_id, mark, note, at, by };
        })
        .filter(
          ({ task, doc_id, mark, note, at, by }) =>
            [task, doc_id, note, at, by].every((text) => typeof text === "string") &&
            [...VERDICTS, "note"].includes(mark),
        );
    } catch {
      return []; // nothing kept, or nothing that this page wrote
    }
  };
  // A run has several pages and reviewers, and one place for all marks: read anew, for another
  // window may have written there.
  const elsewhere = () => stored().filter((entry) => !docOf(entry) || !own(entry));
  const others = () => stored().filter((entry) => !own(entry)).length;

  const restore = () => {
    const before = [...marks.keys()];
    marks.clear();
    for (const entry of stored()) if (docOf(entry) && own(entry)) marks.set(docOf(entry), entry);
    for (const doc of new Set([...before, ...marks.keys()])) draw(doc);
  };
  const keep = (key, value) => {
    try {
      kept.setItem(key, value);
    } catch {
      refused = true; // full, or not allowed: the marks are in this page, and can be downloaded
    }
  };
  const keepAll = (list) => {
    here = list;
    if (!refused) keep(place, JSON.stringify(list));
  };
  // Only what was changed here: what another window wrote of other docs stays.
  const keepMark = (doc) => {
    const rest = stored().filter((entry) => docOf(entry) !== doc || !own(entry));
    const entry = marks.get(doc);
    keepAll(entry ? [...rest, entry] : rest);
  };
  const say = (words = "") => {
    const count = marks.size === 1 ? "1 doc marked here" : `${marks.size} docs marked here`;
    const further = elsewhere().filter(own).length;
    const beside = further ? `, ${further} on other pages` : "";
    const left = unsaved ? ", not downloaded yet" : "";
    const apart = others() ? `, ${others()} of other reviewers left out` : "";
    said.value = `${words ? `${words} ` : ""}${count}${beside}${left}${apart}.`;
  };

  // A doc's tag and buttons follow its mark.
  const draw = (doc) => {
    const entry = marks.get(doc);
    const imported = doc.dataset.stored ? doc.dataset.stored.split(" ") : [];
    doc.querySelector(".tag.own")?.remove();
    if (entry && !imported.includes(entry.mark)) {
      const tag = document.createElement("span");
      tag.className = `tag own mark-${entry.mark}`;
      tag.textContent = entry.mark;
      doc.querySelector(".tags").append(tag);
    }
    const both = new Set(entry ? [...imported, entry.mark] : imported);
    doc.dataset.mark = both.size ? [...both].join(" ") : "none";
    for (const button of doc.querySelectorAll("[data-mark]:is(button)"))
      button.setAttribute("aria-pressed", String(entry?.mark === button.dataset.mark));
    const field = doc.querySelector(".marking textarea");
    if (field && field !== document.activeElement) field.value = entry?.note ?? "";
  };
  const set = (doc, mark, note) => {
    if (mark === "note" && !note.trim()) marks.delete(doc);
    else marks.set(doc, { ...placeOf(doc), mark, note, at: new Date().toISOString(), by: name() });
    unsaved = marks.size > 0;
    keepMark(doc);
    draw(doc);
  };
  const toggle = (doc, mark) => {
    const entry = marks.get(doc);
    const back = entry?.mark === mark;
    set(doc, back ? "note" : mark, entry?.note ?? "");
    say(`Doc ${doc.querySelector(".number").textContent}: ${back ? "mark taken back" : mark}.`);
  };
  const equip = (doc) => {
    const slot = doc.querySelector(".marking");
    if (slot.childElementCount) return;
    slot.append(markers.content.cloneNode(true));
    const note = slot.querySelector("textarea");
    note.addEventListener("input", () => set(doc, marks.get(doc)?.mark ?? "note", note.value));
    note.addEventListener("change", () => say()); // not at every letter: it is read aloud
    for (const button of slot.querySelectorAll("button"))
      button.addEventListener("click", () => toggle(doc, button.dataset.mark));
    draw(doc);
  };

  // The current doc is the one with the focus, else the one that was last moved to.
  let last = null;
  const current = () => {
    const doc = document.activeElement.closest(".doc") ?? last;
    return doc && !doc.hidden ? doc : null;
  };
  const show = (doc) => {
    if (last && last !== doc) {
      last.open = false;
      last.classList.remove("current");
    }
    last = doc;
    doc.classList.add("current");
    doc.open = true;
    equip(doc);
    doc.querySelector("summary").focus({ preventScroll: true });
    // As much of the window as the bar covers, whatever its lines.
    const covered = getComputedStyle(bar.parentElement).position === "sticky";
    const height = covered ? bar.parentElement.offsetHeight : 0;
    document.documentElement.style.scrollPaddingTop = `${height + 12}px`;
    // Docs out of sight have estimated heights until they are drawn: then the place is another.
    const settle = (frames) => {
      if (last !== doc) return;
      doc.scrollIntoView({ block: "start" });
      if (frames) requestAnimationFrame(() => settle(frames - 1));
    };
    settle(2);
  };
  const move = (step) => {
    const from = document.activeElement.closest(".doc") ?? last;
    if (from && last && from !== last) last.open = false;
    let at = from ? docs.indexOf(from) + step : step > 0 ? 0 : -1;
    while (docs[at]?.hidden) at += step;
    if (from && docs[at]) from.open = false;
    if (docs[at]) show(docs[at]);
    else say(`No doc ${step > 0 ? "after" : "before"} this one on this page.`);
  };

  const inField = (node) => node.matches("input, select, textarea");
  // Arrows scroll what can be scrolled, unless that is the page with a doc's heading in focus.
  const scrolls = (node) => node.matches("pre, .scroll, .wide");
  const MOVES = { j: 1, k: -1, ArrowRight: 1, ArrowLeft: -1, ArrowDown: 1, ArrowUp: -1 };
  document.addEventListener("keydown", (event) => {
    const node = event.target instanceof Element ? event.target : document.body;
    if (event.ctrlKey || event.metaKey || event.altKey || !keys.checked) return;
    if (inField(node)) {
      const doc = node.matches("textarea") && event.key === "Escape" && node.closest(".doc");
      if (doc) doc.querySelector("summary").focus({ preventScroll: true });
      return;
    }
    const step = MOVES[event.key];
    const upright = event.key === "ArrowDown" || event.key === "ArrowUp";
    const arrow = event.key.startsWith("Arrow");
    if (step && !(arrow && scrolls(node)) && (!upright || node.matches(".doc > summary"))) {
      event.preventDefault();
      move(step);
      return;
    }
    if (!(event.key in KEYS) && event.key !== "n") return;
    const doc = current();
    if (!doc) {
      say("No doc is chosen: press j.");
      return;
    }
    event.preventDefault();
    equip(doc);
    if (event.key in KEYS) {
      toggle(doc, KEYS[event.key]);
    } else {
      doc.open = true;
      doc.querySelector("textarea").focus();
    }
  });
  document.addEventListener(
    "toggle",
    ({ target }) => {
      if (!target.matches?.(".doc") || !target.open) return;
      equip(target);
      // The question stands at the end of a prompt, behind its examples.
      const prompt = target.querySelector("pre.prompt");
      prompt.scrollTop = prompt.scrollHeight;
    },
    true,
  );

  bar.querySelector(".download").addEventListener("click", () => {
    reviewer.setAttribute("aria-invalid", String(!name()));
    // One mark a doc: of one made before there was a name and one after it, the later.
    const found = [...new Map(stored().filter(own).map((entry) => [placed(entry), entry])).values()];
    if (!name() || !found.length) {
      (name() ? bar.querySelector(".download") : reviewer).focus();
      say(name() ? "There is nothing to download:" : "Write your name first.");
      return;
    }
    const file = {
      kind: "harness marks",
      schema: 1,
      run,
      reviewer: name(),
      saved: new Date().toISOString(),
      marks: found.map(({ by, ...mark }) => mark),
    };
    const text = JSON.stringify(file, null, 1) + "\n";
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
    link.download = `marks-${run.replace(/[^\w.-]+/g, "-").slice(0, 80)}.json`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
    keepAll(stored().map((entry) => ({ ...entry, by: entry.by || name() })));
    restore();
    unsaved = false;
    say("Downloaded:");
  });
  reviewer.addEventListener("change", () => {
    keep("harness reviewer", reviewer.value);
    restore();
    say();
  });
  // A browser tells a window of what another one keeps.
  addEventListener("storage", ({ key }) => {
    if (key !== place && key !== null) return;
    restore();
    say("Marked in another window:");
  });
  addEventListener("beforeunload", (event) => {
    if (refused && unsaved) event.preventDefault();
  });

  reviewer.value = former;
  if (stored().length) keepAll(stored());
  restore();
  const help = document.querySelector(".keyhelp");
  help.hidden = false;
  help.querySelector(".kept").textContent = kept
    ? "Marks stay in this browser."
    : "This browser keeps marks only until the page is closed: download them before.";
  say();
  bar.hidden = false;
}
