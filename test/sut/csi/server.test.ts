import { describe, expect, test } from "vitest";
import { type CsiOptions, connectCsiSnapshotMetadata } from "../../../src/sut/csi/client.ts";
import type { MetadataMessage } from "../../../src/sut/csi/messages.ts";
import { serveCsi } from "../../../src/sut/csi/server/server.ts";
import { openStore } from "../../../src/sut/store/open.ts";
import type { VolumeStore } from "../../../src/sut/store/port.ts";
import { encode } from "./raw-server.ts";

const block = 4096;

/** A volume of 1024 blocks with snapshots `a`, `b` and `c`. */
async function exampleStore() {
  const store = await openStore({ kind: "memory" });
  const { uuid, nsid } = await store.createVolume({
    name: "v",
    sizeBytes: 1024 * block,
    blockSizeBytes: block,
  });
  const namespace = store.namespace(nsid)!;
  const write = (at: number, count = 1) => namespace.write(at, count, new Uint8Array(count * block).fill(1));
  const snapshot = async (name: string) => (await store.createSnapshot({ name, volumeUuid: uuid })).uuid;
  write(0);
  write(62, 4);
  const a = await snapshot("a");
  write(63);
  write(100, 3);
  write(1023);
  const b = await snapshot("b");
  return { store, volume: uuid, a, b, write, snapshot };
}

async function withClient<Result>(
  options: { readonly store: VolumeStore } & Partial<Parameters<typeof serveCsi>[0]>,
  access: CsiOptions["access"],
  use: (client: Awaited<ReturnType<typeof connectCsiSnapshotMetadata>>) => Promise<Result>,
): Promise<Result> {
  await using server = await serveCsi(options);
  await using client = await connectCsiSnapshotMetadata({
    address: server.address,
    access,
    firstMessageTimeoutMs: 5000,
  });
  return await use(client);
}

async function all(messages: AsyncIterable<MetadataMessage>) {
  const list = [];
  for await (const message of messages) list.push(message);
  return list;
}

const csi = { dialect: "csi" } as const;
const tuple = (at: number, count = 1) => ({ byteOffset: at * block, sizeBytes: count * block });

describe("the SnapshotMetadata service of the embedded target", () => {
  test("tells of blocks one by one, or in runs joined across chunks", async () => {
    const { store, a, b } = await exampleStore();
    const head = { capacityBytes: 1024 * block };
    await withClient({ store }, csi, async (client) => {
      expect(await all(client.metadataAllocated({ snapshotId: a }))).toEqual([
        { ...head, type: "FIXED_LENGTH", tuples: [0, 62, 63, 64, 65].map((at) => tuple(at)) },
      ]);
      expect(await all(client.metadataDelta({ baseId: a, targetId: b }))).toEqual([
        { ...head, type: "FIXED_LENGTH", tuples: [63, 100, 101, 102, 1023].map((at) => tuple(at)) },
      ]);
    });
    await withClient({ store, style: "variable" }, csi, async (client) => {
      expect(await all(client.metadataAllocated({ snapshotId: a }))).toEqual([
        { ...head, type: "VARIABLE_LENGTH", tuples: [tuple(0), tuple(62, 4)] },
      ]);
      const resumed = client.metadataDelta({
        baseId: a,
        targetId: b,
        startingOffset: 101 * block + 7,
        maxResults: 1,
      });
      expect((await all(resumed)).map(({ tuples }) => tuples)).toEqual([[tuple(101, 2)], [tuple(1023)]]);
      const identity = await client.identity();
      expect(identity).toMatchObject({ name: "harrow.embedded", hasSnapshotMetadata: true });
    });
  });

  test("answers with one message, without tuples, where nothing has changed and at the very end", async () => {
    const { store, b, snapshot } = await exampleStore();
    const c = await snapshot("c");
    await withClient({ store }, csi, async (client) => {
      const empty = [{ type: "FIXED_LENGTH", capacityBytes: 1024 * block, tuples: [] }];
      expect(await all(client.metadataDelta({ baseId: b, targetId: c }))).toEqual(empty);
      expect(await all(client.metadataAllocated({ snapshotId: b, startingOffset: 1024 * block }))).toEqual(
        empty,
      );
    });
  });

  test("refuses with the codes of the specification", async () => {
    const { store, a, b } = await exampleStore();
    await withClient({ store }, csi, async (client) => {
      const code = async (messages: AsyncIterable<MetadataMessage>) =>
        all(messages).then(
          () => "answered",
          (error: { readonly grpcCode?: string }) => error.grpcCode,
        );
      const delta = (question: object) => code(client.metadataDelta({ baseId: a, targetId: b, ...question }));
      expect(await delta({ baseId: "x" })).toBe("NotFound");
      expect(await delta({ targetId: "x" })).toBe("NotFound");
      expect(await delta({ targetId: "" })).toBe("InvalidArgument");
      expect(await delta({ baseId: "" })).toBe("InvalidArgument");
      expect(await delta({ baseId: b })).toBe("InvalidArgument");
      expect(await delta({ baseId: b, targetId: a })).toBe("InvalidArgument");
      expect(await delta({ maxResults: -1 })).toBe("InvalidArgument");
      expect(await delta({ startingOffset: -1 })).toBe("OutOfRange");
      expect(await delta({ startingOffset: 1024 * block + 1 })).toBe("OutOfRange");
      expect(await delta({ startingOffset: 2n ** 63n - 1n })).toBe("OutOfRange");
      await store.deleteSnapshot(a);
      expect(await delta({})).toBe("NotFound");
      expect(await code(client.metadataAllocated({ snapshotId: a }))).toBe("NotFound");
    });
  });

  test("serves the dialect of Kubernetes, by name, in its one namespace, to holders of its token", async () => {
    const { store, a } = await exampleStore();
    const token = "a-token-of-length";
    const asked = (namespace: string, securityToken: string) =>
      withClient({ store, token }, { dialect: "kubernetes", namespace, securityToken }, async (client) => {
        expect(await client.identity()).toBeUndefined();
        return (await all(client.metadataDelta({ baseId: a, targetId: "b" })))[0]?.tuples.length;
      });
    expect(await asked("default", token)).toBe(5);
    await expect(asked("default", "another")).rejects.toMatchObject({ code: "ERR_UNAUTHENTICATED" });
    await expect(asked("other", token)).rejects.toMatchObject({ code: "ERR_NOT_FOUND" });
  });

  test("asks for its token as a secret where the protocol has no place for one", async () => {
    const { store, a } = await exampleStore();
    const token = "a-token-of-length";
    const asked = (secrets: Record<string, string>) =>
      withClient({ store, token }, { dialect: "csi", secrets }, (client) =>
        all(client.metadataAllocated({ snapshotId: a })),
      );
    expect(await asked({ token })).toHaveLength(1);
    await expect(asked({})).rejects.toMatchObject({ code: "ERR_UNAUTHENTICATED" });
  });

  test("does not serve other hosts without a token", async () => {
    const { store } = await exampleStore();
    await expect(serveCsi({ store, host: "0.0.0.0" })).rejects.toThrow(/without a token/);
  });
});

// By hand after the encoding of Protocol Buffers, and the field numbers of csi.proto.
test("writes messages as Protocol Buffers has them", () => {
  const bytes = [
    ...[0x08, 0x02], // field 1, varint: VARIABLE_LENGTH
    ...[0x10, 0x80, 0x80, 0x80, 0x80, 0x10], // field 2, varint: 2^32
    ...[0x1a, 0x05, 0x08, 0x80, 0x20, 0x10, 0x05], // field 3, 5 bytes: field 1 = 4096, field 2 = 5
    ...[0x1a, 0x04, 0x08, 0x00, 0x10, 0x01], // field 3, 4 bytes: field 1 = 0, field 2 = 1
  ];
  const message = {
    block_metadata_type: "VARIABLE_LENGTH",
    volume_capacity_bytes: 2 ** 32,
    block_metadata: [
      { byte_offset: 4096, size_bytes: 5 },
      { byte_offset: 0, size_bytes: 1 },
    ],
  };
  expect([...encode(message)]).toEqual(bytes);
});
