import { describe, expect, test } from "vitest";
import { connectCsiSnapshotMetadata } from "../../../src/sut/csi/client.ts";
import type { CsiBug } from "../../../src/sut/csi/server/bug.ts";
import type { CsiStyle } from "../../../src/sut/csi/server/answer.ts";
import { withCsiDiffs } from "../../../src/sut/csi/with-csi-diffs.ts";
import { serveEmbedded } from "../../../src/sut/embedded/server.ts";
import { connectLightbits } from "../../../src/sut/lightbits/service.ts";
import { memoryRun, smallConfig } from "../../support/memory-run.ts";
import { overTcp } from "../../support/over-tcp.ts";

const shortConfig = smallConfig.replace("lts: 300", "lts: 160");

/** A run on the embedded target, whose diffs come over gRPC. */
async function run(style: CsiStyle, bug?: CsiBug) {
  await using target = await serveEmbedded({
    store: { kind: "memory" },
    csi: { style, ...(bug !== undefined && { bug }) },
  });
  const plain = await connectLightbits({
    endpoint: target.apiUrl,
    connectNamespaces: overTcp(),
  });
  const client = await connectCsiSnapshotMetadata({
    address: target.csiAddress!,
    access: { dialect: "csi" },
  });
  const service = withCsiDiffs(plain, client, { maxResults: 20 });
  return await memoryRun({ config: shortConfig, wrap: () => service });
}

describe("a service whose diffs come from a CSI driver", () => {
  test.for<CsiStyle>(["fixed", "variable"])("is judged by the model and found right, %s", async (style) => {
    const { violations, ledger } = await run(style);
    expect(violations).toEqual([]);
    expect(ledger.diffs.proven).toBeGreaterThan(3);
  });

  test("is found to lose a block of a diff", async () => {
    const { violations } = await run("fixed", (question, { proceed }) =>
      [...proceed(question)].map((message, index) =>
        index > 0 || question.baseId === undefined
          ? message
          : { ...message, tuples: message.tuples.slice(1) },
      ),
    );
    expect(violations).toContainEqual(expect.objectContaining({ rule: "diff", class: "omission" }));
  });
});
