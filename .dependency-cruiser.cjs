/**
 * Imports run one way:
 *
 *   generators ← selectors ← model ← runner ← reproduce ← gallery ← testing ← suite ← cli
 *
 * with `sut`, which knows none of the first three, used by all from runner on.
 */
const layers = [
  "generators",
  "selectors",
  "model",
  "runner",
  "reproduce",
  "gallery",
  "testing",
  "suite",
  "cli",
];

const oneWay = layers.map((layer, index) => ({
  name: `${layer}-imports-leftwards`,
  comment: `src/${layer} may only import from: ${layers.slice(0, index + 1).join(", ")}`,
  severity: "error",
  from: { path: `^src/${layer}/` },
  to: { path: `^src/(${layers.slice(index + 1).join("|") || "(?!)"})/` },
}));

module.exports = {
  forbidden: [
    ...oneWay,
    {
      name: "pure-layers-know-no-sut",
      comment: "generators, selectors and model work without any system under test",
      severity: "error",
      from: { path: "^src/(generators|selectors|model)/" },
      to: { path: "^src/sut/" },
    },
    {
      name: "sut-knows-no-model",
      comment: "adapters translate and never judge",
      severity: "error",
      from: { path: "^src/sut/" },
      to: { path: "^src/(generators|selectors|model|runner|reproduce|gallery|testing|suite|cli)/" },
    },
    {
      name: "pure-layers-do-no-io",
      comment: "no clock, no randomness, no I/O left of the runner; the kernels read their own .wasm file",
      severity: "error",
      from: { path: "^src/(generators|selectors|model)/", pathNot: "^src/generators/kernel\\.ts$" },
      to: { dependencyTypes: ["core"], pathNot: "^(node:)?(crypto|util|assert)$" },
    },
    { name: "no-circular", severity: "error", from: {}, to: { circular: true } },
    {
      name: "only-index-reexports",
      severity: "error",
      from: { path: "^src/", pathNot: "^src/index\\.ts$" },
      to: { path: "^src/index\\.ts$" },
    },
  ],
  options: {
    tsConfig: { fileName: "tsconfig.json" },
    tsPreCompilationDeps: true,
    exclude: { path: "^src/generators/kernels/" },
    doNotFollow: { path: "node_modules" },
    enhancedResolveOptions: { exportsFields: ["exports"], conditionNames: ["import", "types", "default"] },
  },
};
