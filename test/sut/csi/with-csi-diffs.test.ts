import { describe, expect, test } from "vitest";
import { connectCsiSnapshotMetadata } from "../../../src/sut/csi/client.ts";
import type { CsiBug } from "../../../src/sut/csi/server/bug.ts";
import type { CsiStyle } from "../../../src/sut/csi/server/answer.ts";
import { withCsiDiffs } from "../../../src/sut/csi/with-csi-diffs.ts";
import { serveEmbedded } from "../../../src/sut/embedded/server.ts";
import { connectController } from "../../../src/sut/initiator/controller.ts";
import { connectLightbits } from "../../../src/sut/lightbits/service.ts";
import { memoryRun, smallConfig } from "../../support/memory-run.ts";

const hostId = "5c1c5a2e-6c9e-4f1f-9d5c-000000000007";
const shortConfig = smallConfig.replace("lts: 300", "lts: 160");

/** A run on the embedded target, whose diffs come over gRPC. */
async function run(style: CsiStyle, bug?: CsiBug) {
  await using target = await serveEmbedded({
    store: { kind: "memory" },
    csi: { style, ...(bug !== undefined && { bug }) },
  });
  const plain = await connectLightbits({
    endpoint: target.apiUrl,
    connectNamespaces: ({ endpoints: [endpoint], subsystemNqn }) =>
      connectController({
        host: endpoint!.host,
        port: endpoint!.port,
        subsystemNqn,
        hostNqn: `nqn.2014-08.org.nvmexpress:uuid:${hostId}`,
        hostId,
      }),
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
