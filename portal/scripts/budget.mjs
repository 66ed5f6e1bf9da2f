// Fails the build when the JavaScript of the portal is over its budget (gzip).
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const BUDGET_KB = 450;
const assets = join(dirname(fileURLToPath(import.meta.url)), "../../spatial/static/portal/assets");
const sizes = readdirSync(assets)
  .filter((name) => name.endsWith(".js"))
  .map((name) => [name, gzipSync(readFileSync(join(assets, name))).length / 1000]);
const total = sizes.reduce((sum, [, kb]) => sum + kb, 0);
for (const [name, kb] of sizes) console.log(`${kb.toFixed(1).padStart(8)} kB gzip  ${name}`);
console.log(`${total.toFixed(1).padStart(8)} kB gzip  total JavaScript (budget ${BUDGET_KB})`);
if (total > BUDGET_KB) {
  console.error(`over budget: ${total.toFixed(1)} > ${BUDGET_KB} kB`);
  process.exit(1);
}
