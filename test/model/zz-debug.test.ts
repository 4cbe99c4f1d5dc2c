import { expect, test } from "vitest";
import { ToldHistory } from "./told-history.ts";
test("debug", () => {
  const h: any = {"volumeCount":2,"blockCount":1,"writes":[{"id":1,"volume":0,"blocks":[0,1],"content":1,"submitted":1,"completed":5,"outcome":"ok","fua":false,"isAdvice":false,"lts":0},{"id":2,"volume":0,"blocks":[0,1],"content":2,"submitted":8,"completed":9,"outcome":"ok","fua":false,"isAdvice":false,"lts":1},{"id":3,"volume":0,"blocks":[0,1],"content":0,"submitted":10,"completed":11,"outcome":"ok","fua":false,"isAdvice":true,"lts":2},{"id":4,"volume":0,"blocks":[0,1],"content":4,"submitted":15,"completed":18,"outcome":"ok","fua":false,"isAdvice":false,"lts":3}],"reads":[{"volume":0,"block":0,"content":1,"submitted":2,"completed":6},{"volume":0,"block":0,"content":1,"submitted":3,"completed":14},{"volume":0,"block":0,"content":1,"submitted":4,"completed":7},{"volume":0,"block":0,"content":0,"submitted":12,"completed":16}],"isSpoiled":false,"snapshot":{"submitted":13,"completed":17,"shown":[{"volume":0,"block":0,"content":0},{"volume":1,"block":0,"content":0}]}};
  const told = new ToldHistory(h, {"judgedAfter":0,"asAtRest":false,"unknownAtOnce":false,"hasRefused":false});
  const check = told.content.check.bind(told.content);
  (told.content as any).check = (r: any) => {
    const into = new Float64Array(64);
    const amb = told.reconciler.stateOf(r.extent, r.view, into);
    const v = check(r);
    console.log(JSON.stringify({ obs: r.view.observation, into: into[0], amb, wrong: v.wrong }, (k, x) => (k === "record" ? (x ? "R" : undefined) : k === "reads" && x instanceof Map ? [...x].map(([b, rs]: any) => [b, rs.map((q: any) => `${q.content}@${q.submitted}-${q.completed}`)]) : x === Infinity ? "inf" : x === -Infinity ? "-inf" : x)));
    return v;
  };
  let records: any[] = [];
  told.happen([...told.writeEvents(), ...told.readEvents(h.reads), ...told.snapshotEvents(h.snapshot, 0, (t) => { records = [...t]; })]);
  for (const r of records) told.judgeSnapshot(r, h.snapshot.shown);
  expect(told.isRight).toBe(true);
});
