import { memoryService } from "./src/sut/memory.ts";
import { changedBlocksTests, runChangedBlocks } from "./src/suite/changed-blocks/suite.ts";
const scale = Number(process.argv[2] ?? 0.05);
const service = await memoryService({ diffPageRanges: 30 });
const make = async (name: string) => { const v = await service.createVolume({ name, sizeBytes: 2*2**30, sectorSizeBytes: 4096 }); return { uuid: v.uuid, device: await service.openVolume(v.uuid), wasEmpty: true }; };
const [source, target] = [await make("a"), await make("b")];
const r = await runChangedBlocks({ service, source, target, tests: changedBlocksTests, contentSeed: 5n, scale, prefix: "x", signal: new AbortController().signal, warn: console.error,
 reporter: { started(){}, done(){}, finished(t, r){ console.log(t.number, t.name, r.kind, r.durationMs.toFixed(0), r.kind === "pass" ? "" : r.message, process.argv[3] ? r.notes.join(" | ") : ""); } } });
console.log(r.passed, (r.durationMs/1000).toFixed(1));
