// Prompts that share their beginning are shown without it; a button joins the two again. Another one
// shows where tokens begin: a page that knows it holds the steps between them, in characters.
for (const pre of document.querySelectorAll(".prompt:is([data-begins], [data-tokens])")) {
  const beginning = document.getElementById(pre.dataset.begins);
  const own = [...pre.childNodes]; // with a note where a long prompt was cut
  const state = { whole: false, tokens: false };
  const draw = () => {
    const whole = beginning && state.whole ? [node("begun", [beginning.textContent])] : [];
    const shown = [...whole, node("own", own)];
    if (state.tokens) {
      const steps = [pre.dataset.shared ?? beginning?.dataset.tokens, pre.dataset.tokens];
      steps.slice(-shown.length).forEach((told, at) => cut(shown[at], told));
    }
    pre.replaceChildren(...shown);
    pre.scrollTop = pre.scrollHeight;
  };
  if (beginning) offer(pre, state, "whole", "Whole prompt", draw);
  if ("tokens" in pre.dataset) offer(pre, state, "tokens", "Token borders", draw);
}

function node(kind, content) {
  const made = document.createElement("span");
  made.className = kind;
  made.append(...content);
  return made;
}

function offer(pre, state, name, words, draw) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = `show ${name}`;
  button.textContent = words;
  button.setAttribute("aria-pressed", "false");
  button.addEventListener("click", () => {
    state[name] = !state[name];
    button.setAttribute("aria-pressed", String(state[name]));
    draw();
  });
  pre.previousElementSibling.append(" ", button);
}

// Several tokens in one place are parts of one character: the border is drawn once, and stronger.
function cut(span, told) {
  const steps = (told ?? "").split(" ").filter(Boolean).map(Number);
  const letters = [...span.textContent]; // characters, where a string counts emoji twice
  const tokens = [];
  let at = 0;
  let from = 0;
  const close = (end, kind) => {
    if (end > from) tokens.push(node(kind, [letters.slice(from, end).join("")]));
    from = end;
  };
  let kind = "";
  for (const step of steps) {
    at += step;
    if (step === 0 && kind) kind = "token several";
    else {
      close(at, kind);
      kind = "token";
    }
  }
  close(letters.length, kind);
  span.replaceChildren(...tokens);
}

// Lists are set by what follows # in the address (verdict=wrong), and links to other pages of the
// run keep what they are set to: the docs of a kind can be read through all pages.
{
  const lists = [...document.querySelectorAll(".tools select[data-by]")];
  const links = [...document.querySelectorAll("a.turn")];
  const keep = () => {
    const set = lists.filter((list) => list.value).map((list) => [list.dataset.by, list.value]);
    for (const link of links) link.hash = new URLSearchParams(set).toString();
  };
  const follow = () => {
    const asked = new URLSearchParams(location.hash.slice(1));
    if (!lists.some((list) => asked.has(list.dataset.by))) {
      const doc = document.getElementById(location.hash.slice(1));
      if (doc?.matches(".doc")) doc.open = true;
      return;
    }
    for (const list of lists) {
      const value = asked.get(list.dataset.by) ?? "";
      list.value = [...list.options].some((option) => option.value === value) ? value : "";
      list.dispatchEvent(new Event("change"));
    }
    document.getElementById(asked.get("at"))?.scrollIntoView();
  };
  for (const list of lists) list.addEventListener("change", keep);
  addEventListener("hashchange", follow);
  follow();
  keep();
}
