import { defineConfig } from "vite";

// One module without imports of its own: served by us, allowed by `script-src 'self'`, the same bytes every time.
export default defineConfig({
  base: "./",
  publicDir: false,
  build: {
    target: "es2022",
    outDir: "../static/viewer",
    emptyOutDir: true,
    modulePreload: false,
    lib: { entry: "src/main.ts", formats: ["es"], fileName: () => "viewer.js" },
  },
});
