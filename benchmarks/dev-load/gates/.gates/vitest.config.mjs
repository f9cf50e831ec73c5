// The acceptance gate's own settings. Its root is this folder and nothing is
// looked up outside it: the agent's tsconfig, PostCSS, .env and Vitest files
// could otherwise break a correct module, or hide a wrong one.
export default {
  root: import.meta.dirname,
  envDir: import.meta.dirname,
  css: { postcss: { plugins: [] } },
  esbuild: { tsconfigRaw: "{}" },
  test: {
    include: ["acceptance.test.ts"],
    cache: false,
    watch: false,
    testTimeout: 10_000,
  },
};
