"use strict";
// A key that this browser holds and never gives away: made here, kept by the browser, good for nothing until root's people list it.
const store = () =>
  new Promise((resolve, reject) => {
    const request = indexedDB.open("tidegate", 1);
    request.onupgradeneeded = () => request.result.createObjectStore("keys");
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

const asked = async (mode, ask) => {
  const keys = (await store()).transaction("keys", mode).objectStore("keys");
  return new Promise((resolve, reject) => {
    const request = ask(keys);
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
};

const held = () => asked("readonly", (keys) => keys.get("approver"));
const hex = (bytes) => [...new Uint8Array(bytes)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
const unhex = (text) => new Uint8Array(text.match(/../g).map((pair) => parseInt(pair, 16)));
const publicHalf = async (pair) => hex(await crypto.subtle.exportKey("raw", pair.publicKey));
const said = (element, text) => {
  element.textContent = text;
};

const page = document.getElementById("browser-key");
if (page) {
  const show = async () => {
    const pair = await held();
    page.querySelector("[data-none]").hidden = Boolean(pair);
    page.querySelector("[data-held]").hidden = !pair;
    if (pair) {
      const half = await publicHalf(pair);
      for (const place of page.querySelectorAll("[data-public]")) {
        said(place, half);
      }
    }
  };
  page.querySelector("[data-make]").addEventListener("click", async () => {
    const pair = await crypto.subtle.generateKey({ name: "Ed25519" }, false, ["sign", "verify"]);
    await asked("readwrite", (keys) => keys.put(pair, "approver"));
    await show();
  });
  page.querySelector("[data-forget]").addEventListener("click", async () => {
    await asked("readwrite", (keys) => keys.delete("approver"));
    await show();
  });
  page.hidden = false;
  show().catch((error) => said(page.querySelector("[data-problem]"), String(error)));
}

const approval = document.getElementById("approval");
if (approval) {
  const bytes = unhex(approval.dataset.bytes);
  const problem = approval.querySelector("[data-problem]");
  // What is shown is made from what is signed, so that nobody can show one thing and have another one signed.
  const body = JSON.parse(new TextDecoder().decode(bytes));
  said(approval.querySelector("[data-signed]"), JSON.stringify(body, null, 2));
  held().then((pair) => {
    approval.querySelector("button").disabled = !pair;
    approval.elements.reason.focus();
    if (!pair) {
      said(problem, "This browser holds no key: make one on the page Trust, and have it listed.");
    }
  });
  approval.hidden = false;
  approval.addEventListener("submit", (event) => {
    event.preventDefault();
    const sign = async () => {
      if (body._type !== "tidegate/approval/v1") {
        throw new Error("This is no approval of a ring: it is not signed.");
      }
      const pair = await held();
      approval.elements.key.value = await publicHalf(pair);
      approval.elements.sig.value = hex(await crypto.subtle.sign({ name: "Ed25519" }, pair.privateKey, bytes));
      approval.submit();
    };
    sign().catch((error) => said(problem, String(error)));
  });
}
