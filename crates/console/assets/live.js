"use strict";
// Keeps the changing part of a page up to date, and says times as the reader's clock does. The server sends that part whole, escaped.
const main = document.getElementById("main");
const connection = document.getElementById("connection");

const sayTimes = () => {
  for (const time of document.querySelectorAll("time")) {
    const instant = new Date(time.dateTime);
    if (!Number.isNaN(instant.valueOf())) {
      time.title = time.dateTime;
      time.textContent = instant.toLocaleString();
    }
  }
};

const say = (text) => {
  if (connection && connection.textContent !== text) {
    connection.textContent = text;
  }
};

sayTimes();
if (main && main.dataset.events) {
  const source = new EventSource(main.dataset.events);
  source.addEventListener("part", (event) => {
    (main.querySelector("[data-part]") || main).innerHTML = event.data;
    sayTimes();
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
