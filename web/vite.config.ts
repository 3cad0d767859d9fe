import { readFileSync } from "node:fs";
import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";

/** The server's own version: page and binary come from one checkout. */
function versionOfPackage(): string {
  const manifest = readFileSync(new URL("../Cargo.toml", import.meta.url), "utf8");
  const version = /^version = "([^"]+)"$/m.exec(manifest)?.[1];
  if (version === undefined) throw new Error("../Cargo.toml states no version");
  return version;
}

export default defineConfig({
  plugins: [
    svelte(),
    {
      name: "tenantry-version",
      transformIndexHtml: (html) => html.replaceAll("%TENANTRY_VERSION%", versionOfPackage()),
    },
  ],
  build: {
    target: "es2022",
    // The server forbids inline content and data: URLs, so every asset is a file.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  // `npm run dev` shows the console against a server that runs beside it.
  server: {
    proxy: Object.fromEntries(
      ["/healthz", "/readyz", "/openapi.json", "/metrics", "/v1"].map((path) => [
        path,
        process.env.TENANTRY_URL ?? "http://127.0.0.1:8080",
      ]),
    ),
  },
  test: { include: ["src/**/*.test.ts", "scripts/**/*.test.ts"] },
});
