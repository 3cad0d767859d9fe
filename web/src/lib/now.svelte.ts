/** The time, for texts such as "3 minutes ago": it moves on by itself. */

const STEP_MS = 5_000;

class Now {
  value = $state(new Date());

  constructor() {
    setInterval(() => {
      if (!document.hidden) this.value = new Date();
    }, STEP_MS);
  }
}

export const now = new Now();
