import { defineConfig } from "vitest/config";

/** Server that `npm run dev` talks to. */
const SERVER = "http://127.0.0.1:8000";

// Relative addresses: the portal works below any prefix that a reverse proxy puts before it.
export default defineConfig({
  base: "./",
  build: {
    outDir: "../spatial/static/portal",
    emptyOutDir: true,
    target: "es2022",
    sourcemap: false,
    chunkSizeWarningLimit: 700,
    // An inlined asset would be a data: address, which the policy allows for images only.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // The portal, and the script of the OGC API's own pages; what both need is a chunk that both load.
    rolldownOptions: { input: { index: "index.html", ogcmap: "src/ogcmap/main.ts" } },
  },
  server: {
    host: "127.0.0.1",
    proxy: Object.fromEntries(
      ["/api", "/ogc", "/tiles", "/health"].map((p) => [p, SERVER]),
    ),
  },
  test: { include: ["test/**/*.test.ts"], environment: "node" },
});
