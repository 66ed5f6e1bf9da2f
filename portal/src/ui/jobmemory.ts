/** The job of this tab, kept in the session storage, so that its progress or its result comes back after a reload. */

export interface Remembered {
  process: string;
  job: string;
  /** Its layers were put on the map already; the link of the view holds them from then on. */
  shown: boolean;
}

/** Two portals on one host, below different prefixes, keep apart. */
const key = (): string => `onemap-job ${new URL(document.baseURI).pathname}`;

export function read(text: string | null): Remembered | null {
  try {
    const found = JSON.parse(text ?? "null") as Partial<Remembered> | null;
    if (typeof found?.process !== "string" || typeof found.job !== "string") return null;
    // Both become parts of an address.
    if (!/^[\w-]{1,80}$/.test(found.process) || !/^[\w-]{1,80}$/.test(found.job)) return null;
    return { process: found.process, job: found.job, shown: found.shown === true };
  } catch {
    return null;
  }
}

export function remembered(): Remembered | null {
  try {
    return read(sessionStorage.getItem(key()));
  } catch {
    return null; // the browser keeps nothing
  }
}

export function remember(job: Remembered | null): void {
  try {
    if (job) sessionStorage.setItem(key(), JSON.stringify(job));
    else sessionStorage.removeItem(key());
  } catch {
    // Without storage a reload loses sight of the job; the job itself goes on.
  }
}
