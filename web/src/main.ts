/** Shows the first steps, then asks for the server's state while the page is in view. */

import { readServer } from "./status";
import { firstSteps } from "./steps";
import { showReading, showSteps } from "./view";

const READY_AGAIN_MS = 10_000;
const OTHERWISE_AGAIN_MS = 2_000;

let timer: ReturnType<typeof setTimeout> | undefined;
let asking = false;

async function refresh(): Promise<void> {
  if (asking) return;
  asking = true;
  clearTimeout(timer);
  const reading = await readServer();
  asking = false;
  showReading(reading, new Date());
  if (document.hidden) return;
  const wait = reading.state.kind === "ready" ? READY_AGAIN_MS : OTHERWISE_AGAIN_MS;
  timer = setTimeout(() => void refresh(), wait);
}

showSteps(firstSteps(location.origin));
document.addEventListener("visibilitychange", () => {
  if (document.hidden) clearTimeout(timer);
  else void refresh();
});
void refresh();
