/** Times as people on the bank read them. */

/** Date and minute in China, `2026-09-18 09:00`. */
export function chinaTime(iso: string): string {
  const time = new Date(iso).getTime();
  return Number.isNaN(time) ? iso : new Date(time + 8 * 3_600_000).toISOString().slice(0, 16).replace("T", " ");
}
