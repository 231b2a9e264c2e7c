"use strict";
// Keeps the changing part of a page up to date, and says times as the reader's clock does. The server sends that part whole, escaped.
const main = document.getElementById("main");
const connection = document.getElementById("connection");

const sayTimes = (within) => {
  for (const time of within.querySelectorAll("time")) {
    const instant = new Date(time.dateTime);
    if (!Number.isNaN(instant.valueOf())) {
      time.title = time.dateTime;
      time.textContent = instant.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
    }
  }
};

// Which clock that is, once a page.
const zone = document.getElementById("zone");
if (zone) {
  const name = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const offset = new Date().toLocaleTimeString("en", { timeZoneName: "longOffset" }).replace(/^.*GMT/, "UTC");
  zone.textContent = `Times are this device's: ${name}, ${offset}.`;
}

// Changes only what is another than before: what somebody is typing, has unfolded, has in focus or is about to press stays as it is. Gives the
// node that stands there afterwards.
const become = (old, fresh) => {
  if (old.isEqualNode(fresh)) {
    return old;
  }
  if (old.nodeName !== fresh.nodeName || !old.childNodes.length) {
    keepTyped(old, fresh);
    old.replaceWith(fresh);
    return fresh;
  }
  for (const { name, value } of [...fresh.attributes]) {
    old.setAttribute(name, value);
  }
  for (const { name } of [...old.attributes].filter(({ name }) => !fresh.hasAttribute(name) && name !== "open")) {
    old.removeAttribute(name);
  }
  const known = new Map(children(old));
  const wanted = children(fresh).map(([key, node]) => (known.has(key) ? become(known.get(key), node) : node));
  const kept = new Set(wanted);
  [...old.childNodes].filter((node) => !kept.has(node)).forEach((node) => node.remove());
  // What stays is not moved: it would lose the focus.
  wanted.forEach((node, at) => {
    if (old.childNodes[at] !== node) {
      old.insertBefore(node, old.childNodes[at] ?? null);
    }
  });
  return old;
};

// Nodes with what they are known by, where others come and go beside them: a name, or what they are and the how manieth.
const children = (parent) => {
  const seen = new Map();
  return [...parent.childNodes].map((node) => {
    const attribute = (name) => (node.nodeType === Node.ELEMENT_NODE ? node.getAttribute(name) : null);
    const name = attribute("id") || attribute("aria-labelledby") || attribute("action") || node.nodeName;
    seen.set(name, (seen.get(name) ?? 0) + 1);
    return [`${name} ${seen.get(name)}`, node];
  });
};

const keepTyped = (old, fresh) => {
  if (old.nodeType !== Node.ELEMENT_NODE || fresh.nodeType !== Node.ELEMENT_NODE) {
    return;
  }
  const fields = (within) => [...within.querySelectorAll("input:not([type=hidden]), textarea")];
  const act = (field) => field.form?.querySelector("[name=act]")?.value;
  for (const field of fields(old).filter((one) => one.value !== one.defaultValue)) {
    const same = fields(fresh).find((other) => other.name === field.name && act(other) === act(field));
    if (same) {
      same.value = field.value;
      same.closest("details")?.setAttribute("open", "");
    }
  }
};

const say = (text) => {
  if (connection && connection.textContent !== text) {
    connection.textContent = text;
  }
};

sayTimes(document);
if (main && main.dataset.events) {
  const source = new EventSource(main.dataset.events);
  source.addEventListener("part", (event) => {
    const part = main.querySelector("[data-part]") || main;
    const fresh = part.cloneNode(false);
    fresh.innerHTML = event.data;
    sayTimes(fresh);
    become(part, fresh);
  });
  source.addEventListener("open", () => say("Live."));
  source.addEventListener("error", () => {
    say(source.readyState === EventSource.CLOSED ? "Not live: reload the page." : "Not live; trying again.");
  });
}

// What a policy comes to, while somebody writes it.
const editor = document.getElementById("editor");
const checked = document.getElementById("checked");
if (editor && checked) {
  let waiting = 0;
  let asked = 0;
  const check = async () => {
    const mine = ++asked;
    const response = await fetch(editor.dataset.checked, { method: "POST", body: new URLSearchParams(new FormData(editor)) });
    const text = await response.text();
    if (mine === asked && response.ok) {
      checked.innerHTML = text;
    }
  };
  editor.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => check().catch(() => {}), 300);
  });
}
