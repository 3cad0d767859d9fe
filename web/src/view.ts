/** Draws readings and steps into the page that index.html lays out. */

import type { Probe, Reading, ServerState } from "./status";
import type { Step } from "./steps";

const COPIED_MS = 1_600;

export function showReading(reading: Reading, at: Date): void {
  const { state } = reading;
  const words = wordsFor(state);
  byId("status").dataset.state = state.kind;
  setText("status-title", words.title);
  setText("status-text", words.text);
  showReasons(state.kind === "not-ready" ? state.reasons : []);
  setText("probe-health", wordsForProbe(reading.health));
  setText("probe-ready", wordsForProbe(reading.ready));
  setText("probe-time", at.toLocaleTimeString());
  if ("version" in state && state.version !== undefined) setText("version", state.version);
  document.title = `${words.title} · Tenantry`;
}

export function wordsFor(state: ServerState): { title: string; text: string } {
  switch (state.kind) {
    case "loading":
      return { title: "Asking the server", text: "One moment." };
    case "ready":
      return { title: "Ready", text: "The server runs and takes requests." };
    case "not-ready":
      return { title: "Not ready", text: "The server answers, but does not take requests now." };
    case "unreachable":
      return {
        title: "Unreachable",
        text: "Nothing answers at this address. This page keeps asking.",
      };
  }
}

export function wordsForProbe(probe: Probe | null): string {
  if (probe === null) return "no answer";
  return probe.status === 200 ? "200 OK" : String(probe.status);
}

function showReasons(reasons: string[]): void {
  const list = byId("status-reasons");
  list.hidden = reasons.length === 0;
  list.replaceChildren(...reasons.map((reason) => element("li", "", reason)));
}

export function showSteps(steps: Step[]): void {
  byId("steps").replaceChildren(...steps.map(stepItem));
}

function stepItem(step: Step): HTMLElement {
  const item = element("li", "step");
  const code = element("code", "", step.command);
  const block = element("pre", "command");
  // A command wider than the page scrolls inside its own box, also by keyboard.
  block.tabIndex = 0;
  block.setAttribute("role", "region");
  block.setAttribute("aria-label", `Command: ${step.title}`);
  block.append(code);
  const box = element("div", "command-box");
  box.append(block);
  // The clipboard exists only on https and on localhost.
  if (navigator.clipboard !== undefined) box.append(copyButton(step));
  item.append(element("h3", "", step.title), prose(step.text), box);
  return item;
}

function prose(text: string): HTMLElement {
  const paragraph = element("p", "");
  const parts = text.split("`");
  paragraph.append(...parts.map((part, at) => (at % 2 === 1 ? element("code", "", part) : part)));
  return paragraph;
}

function copyButton(step: Step): HTMLElement {
  const button = element("button", "copy", "Copy");
  button.setAttribute("type", "button");
  button.setAttribute("aria-label", `Copy: ${step.title}`);
  button.addEventListener("click", () => {
    const say = (word: string) => {
      button.textContent = word;
      setTimeout(() => (button.textContent = "Copy"), COPIED_MS);
    };
    navigator.clipboard.writeText(step.command).then(
      () => say("Copied"),
      () => say("Refused"),
    );
  });
  return button;
}

function element(tag: string, className: string, text = ""): HTMLElement {
  const made = document.createElement(tag);
  if (className !== "") made.className = className;
  made.textContent = text;
  return made;
}

/** Leaves equal text alone, so that a screen reader hears changes only. */
function setText(id: string, text: string): void {
  const target = byId(id);
  if (target.textContent !== text) target.textContent = text;
}

function byId(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`index.html has no #${id}`);
  return found;
}
