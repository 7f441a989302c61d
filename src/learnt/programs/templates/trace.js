"use strict";
(() => {
  const data = JSON.parse(document.getElementById("trace-data").textContent);
  const $ = (selector, root = document) => root.querySelector(selector);
  const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
  const NS = "http://www.w3.org/2000/svg";
  const make = (tag, text, kind) => {
    const element = document.createElement(tag);
    if (text !== undefined) element.textContent = text;
    if (kind) element.className = kind;
    return element;
  };
  const draw = (tag, attributes) => {
    const element = document.createElementNS(NS, tag);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return element;
  };
  const table = $(".trace"), svg = $(".arcs svg"), arcs = $(".arcs"), stage = $("#steps");
  const n = data.tokens.length, variables = data.variables;
  const heads = variables.map((v, index) => index).filter(index => variables[index].looks);
  const number = (x, signed) => {
    const size = Math.abs(x);
    const text = x === 0 ? "0" : size >= 1e6 || size < 5e-5 ? x.toExponential(2) : size >= 1000 ? x.toFixed(0) : String(Number(x.toPrecision(3)));
    return (signed && x > 0 ? "+" : "") + text.replaceAll("-", "\u2212");
  };
  // numbers that stand in one column: as many decimals as the largest needs for four digits and the margin for two
  const alike = (values, margin) => {
    const size = Math.max(...values.map(Math.abs)), digits = x => -Math.floor(Math.log10(Math.abs(x)));
    let decimals = size ? Math.max(3 + digits(size), margin ? 1 + digits(margin) : 0, 0) : 0;
    if (size >= 1e5 || decimals > 5)
      return (x, signed) => (signed && x > 0 ? "+" : "") + (x === 0 ? "0" : x.toExponential(1).replaceAll("-", "\u2212"));
    while (decimals && values.every(x => Math.abs(Number(x.toFixed(decimals - 1)) - x) < 1e-9 * size)) decimals--;
    return (x, signed) => {
      const text = x.toFixed(decimals), zero = !Number(text);
      return (signed && x > 0 && !zero ? "+" : "") + (zero ? text.replace("-", "") : text.replace("-", "\u2212"));
    };
  };

  // what is shown: the place chosen by a click or the keyboard, or the place under the pointer
  let chosen = { i: data.start, v: null }, over = null, wanted = null, asked = null;
  const cells = variables.map((_, index) => $$("td", $(`tr[data-v="${index}"]`)));

  for (const element of $$("[data-live]")) element.hidden = false;
  if (!heads.length) arcs.hidden = true;
  const tokens = $$("button[data-token]"), modules = $$("button[data-module]");

  function shape(from, to, lift, shift, reason, ink, at) {
    const floor = 86, group = draw("g", { class: ink });
    const x = at(from) + shift, y = at(to) + shift;
    if (from === to) {
      group.append(draw("path", { class: `arc ${reason}`, d: `M${x - 5} ${floor - 2} C${x - 20} ${floor - 34} ${x + 20} ${floor - 34} ${x + 5} ${floor - 4}` }));
      if (reason !== "sum") group.append(draw("path", { class: "tip", d: `M${x + 5} ${floor} l-3.4 -8 l7.4 1.4 z` }));
      return group;
    }
    const top = floor - lift, side = Math.sign(y - x), bend = Math.min(26, Math.abs(y - x) / 2.2);
    group.append(draw("path", { class: `arc ${reason}`, d: `M${x} ${floor - 1} C${x + side * 2} ${top} ${x + side * bend} ${top} ${(x + y) / 2} ${top} S${y - side * 2} ${top} ${y} ${floor - (reason === "sum" ? 1 : 6)}` }));
    if (reason === "sum") group.append(draw("circle", { class: "tip", cx: y, cy: floor - 2, r: 2.5 }));
    else group.append(draw("path", { class: "tip", d: `M${y} ${floor} l-4.5 -9 h9 z` }));
    return group;
  }

  function ring(x, ink) {  // a match that was farther away
    const group = draw("g", { class: ink });
    group.append(draw("circle", { class: "other", cx: x, cy: 82, r: 3 }));
    return group;
  }

  function arrows(places) {
    svg.replaceChildren();
    if (arcs.hidden) return;
    const left = svg.parentNode.getBoundingClientRect().left;
    const centres = tokens.map(button => { const box = button.getBoundingClientRect(); return box.left - left + box.width / 2; });
    const at = i => centres[i];
    const shown = [...new Set(places.map(p => p.v))], widest = Math.max(1, ...places.flatMap(p => variables[p.v].looks[p.i].to.map(j => Math.abs(j - p.i))));
    for (const { v, i } of places) {
      const look = variables[v].looks[i], order = shown.indexOf(v);
      const shift = shown.length > 1 ? Math.max(-9, Math.min(9, (order - (shown.length - 1) / 2) * 3)) : 0;
      for (const j of look.to) {
        const lift = 18 + 58 * Math.sqrt(Math.abs(j - i) / Math.max(widest, 3)) - (order % 4) * 2;
        for (const other of look.others) svg.append(ring(at(other) + shift, variables[v].ink));
        svg.append(shape(i, j, lift, shift, look.reason, variables[v].ink, at));
      }
    }
  }

  function sources(v, i) {
    const found = variables[v].reads.map(([role, name]) => [role, variables.findIndex(x => x.name === name)]);
    const look = variables[v].looks && variables[v].looks[i];
    return found.flatMap(([role, source]) => role === "value" ? look.to.map(j => [source, j]) : role === "key" ? [] : [[source, i]]);
  }

  function show() {
    let view = over || chosen;
    if (view.v !== null && view.i !== null && !variables[view.v].reads.length) view = { i: view.i, v: null };  // a cell of the input
    for (const element of $$(".col, .row, .now, .src", table)) element.classList.remove("col", "row", "now", "src");
    if (view.i !== null) for (const element of $$(`[data-i="${view.i}"]`, table)) element.classList.add("col");
    if (view.v !== null) $(`tr[data-v="${view.v}"]`).classList.add("row");
    const places = [];
    if (view.v !== null && view.i !== null) {
      cells[view.v][view.i].classList.add("now");
      for (const [v, i] of sources(view.v, view.i)) cells[v][i].classList.add("src");
      places.push({ v: view.v, i: view.i });
    } else if (view.v !== null) for (let i = 0; i < n; i++) places.push({ v: view.v, i });
    else for (let v = 0; v < variables.length; v++) places.push({ v, i: view.i });
    arrows(places.filter(p => variables[p.v].looks));
    words(view, places);
    if (view.i !== null && !data.pool) votes(view.i);
    for (const button of tokens) button.setAttribute("aria-pressed", String(Number(button.dataset.token) === chosen.i && chosen.v === null));
    for (const button of modules) button.setAttribute("aria-pressed", String(Number(button.dataset.module) === chosen.v));
  }

  function words(view, places) {
    const list = $("#looks"), title = $("#looks-h");
    const where = view.i === null ? "" : `position ${view.i}, ${data.tokens[view.i]}`;
    title.textContent = view.v === null ? `At ${where}` : view.i === null ? `${variables[view.v].name}, everywhere` : `${variables[view.v].name} at ${where}`;
    list.replaceChildren();
    for (const { v, i } of places) {
      const told = document.getElementById(`w${v}-${i}`);
      if (!told) continue;
      const item = make("li"), text = make("bdi", told.lastElementChild.textContent);
      item.append(make("i", undefined, `dot ${variables[v].ink}`), make("b", view.i === null ? `${i} ${data.tokens[i]}` : variables[v].name), ": ", text);
      list.append(item);
    }
    if (view.v === null) {
      if (!list.children.length) list.append(make("li", "The program has no module."));
      return;
    }
    if (!list.children.length) list.append(make("li", "A variable of the input."));
    const name = variables[view.v].name;
    const readers = variables.flatMap(x => x.reads.filter(([, read]) => read === name).map(([role]) => `${x.name} (${role})`));
    list.append(make("li", readers.length ? `Read by ${readers.join(", ")}.` : "No module reads it.", "soft"));
  }

  function choices(position) {
    const select = $("#instead"), logits = data.logits[position], answer = data.answers[position];
    const order = data.labels.map((_, y) => y).filter(y => y !== answer[0]);
    order.sort((a, b) => data.masked.includes(a) - data.masked.includes(b) || logits[b] - logits[a] || a - b);
    const pick = wanted !== null && wanted !== answer[0] ? wanted : order[0];
    select.replaceChildren(...order.map(y => {
      const option = make("option", data.labels[y] + (data.masked.includes(y) ? " (masked)" : ""));
      option.value = String(y);
      option.selected = y === pick;
      return option;
    }));
    return [answer[0], pick];
  }

  function votes(position) {
    asked = position;
    const row = data.pool ? 0 : position, body = $("#why");
    const [one, two] = choices(row);
    $("#why-h").textContent = data.pool ? "Why this answer?" : `Why this answer at position ${position}?`;
    $("#why-label").replaceChildren(make("b", data.labels[one], "one"));
    body.replaceChildren();
    if (two === undefined) {
      $("#margin").textContent = "The program has one label only.";
      return;
    }
    const parts = variables.filter(v => v.votes).map(v => {
      const cast = y => data.pool ? v.votes.reduce((sum, at) => sum + at[y], 0) / n : v.votes[position][y];
      return { name: v.name, value: data.pool ? "" : v.values[position], one: cast(one), two: cast(two) };
    });
    const speaking = parts.filter(p => p.one !== 0 || p.two !== 0).sort((a, b) => Math.abs(b.one - b.two) - Math.abs(a.one - a.two));
    const low = Math.min(0, ...speaking.flatMap(p => [p.one, p.two])), high = Math.max(0, ...speaking.flatMap(p => [p.one, p.two]));
    const scale = x => 200 * (x - low) / (high - low || 1);
    const line = (kind, cells) => {
      const made = make("div", undefined, kind);
      made.setAttribute("role", "row");
      for (const cell of cells) { cell.setAttribute("role", "cell"); made.append(cell); }
      body.append(made);
    };
    const nums = (a, b, c) => { const box = make("span", undefined, "nums"); box.append(make("span", a, "one"), make("span", b, "two"), make("b", c)); return box; };
    const logits = data.logits[row], margin = logits[one] - logits[two];
    const shown = alike([...speaking.flatMap(p => [p.one, p.two, p.one - p.two]), logits[one], logits[two], margin], margin);
    if (speaking.length) line("vote head", [make("span", "variable"), make("span", "votes"), nums("for", "against", "lead")]);
    for (const p of speaking) {
      const bar = draw("svg", { viewBox: "0 0 200 18", preserveAspectRatio: "none", "aria-hidden": "true" });
      for (const [x, y, kind] of [[p.one, 1.5, "bar1"], [p.two, 9.5, "bar2"]])
        bar.append(draw("rect", { class: kind, x: Math.min(scale(0), scale(x)), y, width: Math.abs(scale(x) - scale(0)), height: 7 }));
      bar.append(draw("line", { class: "zero", x1: scale(0), x2: scale(0), y1: 0, y2: 18 }));
      const who = make("span", undefined, "who"), box = make("span");
      who.append(make("span", p.name));
      if (p.value !== "") { const value = make("bdi", `= ${p.value}`); const small = make("span", undefined, "val"); small.append(value); who.append(small); }
      box.append(bar);
      line("vote", [who, box, nums(shown(p.one), shown(p.two), shown(p.one - p.two, true))]);
    }
    const silent = parts.length - speaking.length;
    line("vote sum", [make("span", "sum"), make("span", ""), nums(shown(logits[one]), shown(logits[two]), shown(margin, true))]);
    const notes = [];
    if (margin === 0) notes.push("A tie: the label that comes first wins.");
    if (data.masked.includes(two)) notes.push(`${data.labels[two]} is masked: never predicted, whatever its votes.`);
    if (silent) notes.push(`${silent} ${speaking.length ? "more " : ""}${silent === 1 ? "variable votes" : "variables vote"} for neither.`);
    $("#margin").textContent = notes.join(" ");
    if (data.pool) share(one, two);
  }

  function share(one, two) {
    const at = data.tokens.map((_, i) => variables.reduce((sum, v) => sum + (v.votes ? v.votes[i][one] - v.votes[i][two] : 0), 0) / n);
    const order = at.map((_, i) => i).sort((a, b) => Math.abs(at[b]) - Math.abs(at[a])).slice(0, 12);
    $("#share").replaceChildren(make("h3", "By token"), make("p", order.map(i => `${data.tokens[i]} ${number(at[i], true)}`).join(",  ")));
  }

  function say() {
    $("#said").textContent = [$("#looks-h").textContent, ...$$("#looks li").slice(0, 12).map(x => x.textContent)].join(". ");
  }

  function place(target) {
    const cell = target.closest && target.closest("td[data-i], button");
    if (!cell || !table.contains(cell)) return null;
    if (cell.dataset.token !== undefined) return { i: Number(cell.dataset.token), v: null };
    if (cell.dataset.module !== undefined) return { i: null, v: Number(cell.dataset.module) };
    const row = cell.closest("tr[data-v]");
    return { i: Number(cell.dataset.i), v: row ? Number(row.dataset.v) : null };
  }

  function choose(at, toggle) {
    const same = at.i === chosen.i && at.v === chosen.v;
    chosen = toggle && same && at.v !== null ? { i: asked === null ? data.start : asked, v: null } : at;
    over = null;
    show();
  }

  table.addEventListener("pointerover", event => { if (event.pointerType !== "touch") { over = place(event.target); show(); } });
  table.addEventListener("pointerleave", () => { over = null; show(); });
  table.addEventListener("click", event => { const at = place(event.target); if (at) { choose(at, true); say(); } });
  table.addEventListener("focusin", event => { const at = place(event.target); if (at && event.target.matches(":focus-visible")) { choose(at, false); say(); } });
  $("#instead").addEventListener("change", event => { wanted = Number(event.target.value); votes(data.pool ? 0 : asked); });

  // one stop of Tab for the tokens and one for the modules; the arrow keys move inside
  for (const [group, back, on] of [[tokens, "ArrowLeft", "ArrowRight"], [modules, "ArrowUp", "ArrowDown"]]) {
    group[group === tokens ? data.start : 0].tabIndex = 0;
    group.forEach((button, index) => {
      button.addEventListener("focus", () => { for (const other of group) other.tabIndex = other === button ? 0 : -1; });
      button.addEventListener("keydown", event => {
        const next = { [back]: index - 1, [on]: index + 1, Home: 0, End: group.length - 1 }[event.key];
        if (next === undefined) return;
        event.preventDefault();
        if (group[next]) group[next].focus();
      });
    });
  }
  document.addEventListener("keydown", event => { if (event.key === "Escape" && chosen.v !== null) choose({ i: asked === null ? data.start : asked, v: null }, false); });
  if (data.pool) votes(0); else votes(data.start);
  show();
  new ResizeObserver(() => show()).observe(stage);
})();
