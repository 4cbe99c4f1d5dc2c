/**
 * Volumes in memory on which whatever is asked takes effect at a random instant between submission and completion.
 *
 * Requests of several blocks fall into pieces, each with an instant of its own. Connections can be lost, and the
 * target can crash, with a volatile write cache if asked: see `connection.ts` and `cache.ts`. All
 * of it follows from one seed, and takes no time but that of a {@link JitteryClock}.
 *
 * @packageDocumentation
 */
import type {
  BlockDevice,
  BlockRange,
  DeviceCapabilities,
  DeviceIdentity,
  DiffPage,
  Outcome,
  VolumeService,
} from "../../sut/port.ts";
import type { TargetFaults } from "../../sut/target-faults.ts";
import { JitteryCache, type Writer } from "./cache.ts";
import type { JitteryClock } from "./clock.ts";
import { type Effect, JitteryConnection } from "./connection.ts";

export interface JitteryOptions {
  /** Most pieces of a request; 1 makes each take effect as a whole. 4 if left out. */
  readonly piecesMax?: number;
  /** A connection is lost after so many calls, on average; never if left out. */
  readonly loseEvery?: number;
  readonly hasVolatileCache?: boolean;
  /** Each crash takes back a block that was durable. */
  readonly isForgetful?: boolean;
}

/** How long the target is away. */
const outageTurnsMax = 40;

export class JitteryTarget {
  readonly service: VolumeService;
  readonly faults: TargetFaults;
  readonly #inner: VolumeService;
  readonly #clock: JitteryClock;
  readonly #options: JitteryOptions;
  readonly #connection: JitteryConnection;
  /** Of every volume that was ever opened. */
  readonly #caches = new Map<string, JitteryCache>();
  #completions = 0;

  constructor(inner: VolumeService, clock: JitteryClock, options: JitteryOptions = {}) {
    this.#inner = inner;
    this.#clock = clock;
    this.#options = options;
    this.#connection = new JitteryConnection(clock);
    this.service = this.#makeService();
    this.faults = this.#makeFaults();
  }

  /** What happens to every call before it is sent. */
  submit(effects: readonly Effect[], about: Omit<Parameters<JitteryConnection["submit"]>[0], "effects">) {
    const { loseEvery } = this.#options;
    const outcome = this.#connection.submit({ effects, ...about });
    if (loseEvery !== undefined && this.#clock.choices.below(loseEvery) === 0)
      void this.#connection.lose({
        isTargetGone: false,
        turns: 1 + this.#clock.choices.below(outageTurnsMax),
      });
    return outcome;
  }

  nextCompletion(): number {
    return ++this.#completions;
  }

  get completions(): number {
    return this.#completions;
  }

  /** A request's blocks, in pieces. */
  pieces({ block, blockCount }: BlockRange): readonly BlockRange[] {
    const { choices } = this.#clock;
    const count = 1 + choices.below(Math.min(blockCount, this.#options.piecesMax ?? 4));
    const cuts = new Set<number>([0]);
    while (cuts.size < count) cuts.add(choices.below(blockCount));
    const starts = [...cuts].sort((a, b) => a - b);
    return starts.map((start, index) => ({
      block: block + start,
      blockCount: (starts[index + 1] ?? blockCount) - start,
    }));
  }

  async #around<Result>(effect: () => Promise<Result>): Promise<Result> {
    await this.#clock.pause();
    try {
      return await effect();
    } finally {
      await this.#clock.pause();
    }
  }

  async #open(uuid: string): Promise<BlockDevice> {
    const inner = await this.#inner.openVolume(uuid);
    let cache = this.#caches.get(uuid);
    if (cache === undefined && this.#options.hasVolatileCache === true)
      this.#caches.set(uuid, (cache = new JitteryCache(await this.#inner.openVolume(uuid))));
    return new JitteryDevice(this, inner, cache);
  }

  #makeService(): VolumeService {
    const inner = this.#inner;
    const around = <Result>(effect: () => Promise<Result>) => this.#around(effect);
    const pause = () => this.#clock.pause();
    return {
      diffCapabilities: inner.diffCapabilities,
      createVolume: (request) => around(() => inner.createVolume(request)),
      getVolume: (uuid) => around(() => inner.getVolume(uuid)),
      listVolumes: () => around(() => inner.listVolumes()),
      resizeVolume: (request) => around(() => inner.resizeVolume(request)),
      deleteVolume: (uuid) =>
        around(() => {
          this.#caches.delete(uuid);
          return inner.deleteVolume(uuid);
        }),
      createSnapshot: (request) => around(() => inner.createSnapshot(request)),
      getSnapshot: (uuid) => around(() => inner.getSnapshot(uuid)),
      listSnapshots: () => around(() => inner.listSnapshots()),
      deleteSnapshot: (uuid) => around(() => inner.deleteSnapshot(uuid)),
      cloneSnapshot: (request) => around(() => inner.cloneSnapshot(request)),
      rollbackVolume: (request) =>
        around(() => {
          this.#caches.get(request.volumeUuid)?.clear();
          return inner.rollbackVolume(request);
        }),
      async *diff(request) {
        const pages: DiffPage[] = [];
        await around(async () => {
          for await (const page of inner.diff(request)) pages.push(page);
        });
        for (const page of pages) {
          await pause();
          yield page;
        }
      },
      openVolume: (uuid) => around(() => this.#open(uuid)),
      openSnapshot: (uuid) =>
        around(async () => new JitteryDevice(this, await inner.openSnapshot(uuid), undefined)),
      [Symbol.asyncDispose]: async () => inner[Symbol.asyncDispose](),
    };
  }

  #makeFaults(): TargetFaults {
    const connection = this.#connection;
    const turns = (): number => 1 + this.#clock.choices.below(outageTurnsMax);
    return {
      resetConnections: async () => {
        await this.#clock.pause();
        void connection.lose({ isTargetGone: false, turns: turns() });
        await this.#clock.pause();
      },
      setCut: async (isCut) => {
        await this.#clock.pause();
        if (isCut) {
          void connection.lose({ isTargetGone: false, turns: turns() });
          await this.#clock.pause();
        }
        await connection.setCut(isCut);
      },
      setDelay: async (delayMs) => {
        await this.#clock.pause();
        connection.delayTurns = delayMs;
      },
      setPaused: () => Promise.reject(new Error("a jittery target does not pause")),
      crash: async () => {
        await this.#clock.pause();
        const forgets = this.#options.isForgetful === true;
        const isUp = connection.lose({ isTargetGone: true, turns: turns() });
        for (const cache of this.#caches.values()) cache.crash(this.#clock.choices, { forgets });
        await isUp;
        await this.#clock.pause(outageTurnsMax);
      },
      stop: () => Promise.reject(new Error("a jittery target does not stop")),
      restart: () => Promise.reject(new Error("a jittery target does not stop")),
    };
  }
}

class JitteryDevice implements BlockDevice {
  readonly identity: DeviceIdentity;
  readonly capabilities: DeviceCapabilities;
  readonly #target: JitteryTarget;
  readonly #inner: BlockDevice;
  readonly #cache: JitteryCache | undefined;

  constructor(target: JitteryTarget, inner: BlockDevice, cache: JitteryCache | undefined) {
    this.#target = target;
    this.#inner = inner;
    this.#cache = cache;
    this.identity = inner.identity;
    this.capabilities = { ...inner.capabilities, volatileWriteCache: cache !== undefined };
  }

  get blockCount(): number {
    return this.#inner.blockCount;
  }

  read(request: BlockRange & { readonly into: Uint8Array }): Promise<Outcome> {
    const { into } = request;
    const { blockSizeBytes } = this.capabilities;
    // Nothing may land in the caller's buffer after the call has settled.
    const bytes = new Uint8Array(into.length);
    const effects = this.#target.pieces(request).map((piece) => () => {
      const at = (piece.block - request.block) * blockSizeBytes;
      return this.#inner.read({ ...piece, into: bytes.subarray(at, at + piece.blockCount * blockSizeBytes) });
    });
    return this.#target.submit(effects, { isRead: true, onOk: () => into.set(bytes) });
  }

  write(request: BlockRange & { readonly from: Uint8Array; readonly fua?: boolean }): Promise<Outcome> {
    const { blockSizeBytes } = this.capabilities;
    const bytes = request.from.slice();
    return this.#change([request], request.fua === true, (piece) => {
      const at = (piece.block - request.block) * blockSizeBytes;
      const from = bytes.subarray(at, at + piece.blockCount * blockSizeBytes);
      return this.#inner.write({ ...piece, from });
    });
  }

  writeZeroes(request: BlockRange & { readonly deallocate?: boolean }): Promise<Outcome> {
    return this.#change([request], false, (piece) => this.#inner.writeZeroes(piece));
  }

  deallocate({ ranges }: { readonly ranges: readonly BlockRange[] }): Promise<Outcome> {
    return this.#change(ranges, false, (piece) => this.#inner.deallocate({ ranges: [piece] }));
  }

  compare(request: BlockRange & { readonly expected: Uint8Array }): Promise<Outcome> {
    return this.#target.submit([() => this.#inner.compare(request)], { isRead: true });
  }

  compareAndWrite(
    request: BlockRange & { readonly expected: Uint8Array; readonly from: Uint8Array },
  ): Promise<Outcome> {
    const writer: Writer = { completed: Number.POSITIVE_INFINITY };
    const copy = { ...request, expected: request.expected.slice(), from: request.from.slice() };
    const effect = () => this.#changing(copy, writer, () => this.#inner.compareAndWrite(copy));
    return this.#target.submit([effect], { onOver: () => this.#completed(writer) });
  }

  flush(): Promise<Outcome> {
    let completed = 0;
    return this.#target.submit([() => this.#inner.flush()], {
      onSent: () => {
        completed = this.#target.completions;
      },
      onOk: () => this.#cache?.flushed(completed),
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#inner[Symbol.asyncDispose]();
  }

  #change(
    ranges: readonly BlockRange[],
    isFua: boolean,
    change: (piece: BlockRange) => Promise<Outcome>,
  ): Promise<Outcome> {
    const writer: Writer = { completed: Number.POSITIVE_INFINITY };
    const pieces = ranges.flatMap((range) => this.#target.pieces(range));
    const effects = pieces.map((piece) => () => this.#changing(piece, writer, () => change(piece)));
    return this.#target.submit(effects, {
      onOver: () => this.#completed(writer),
      onOk: () => {
        if (isFua)
          for (const { block, blockCount } of pieces) this.#cache?.written(block, blockCount, writer);
      },
    });
  }

  #changing(
    { block, blockCount }: BlockRange,
    writer: Writer,
    change: () => Promise<Outcome>,
  ): Promise<Outcome> {
    this.#cache?.changes(block, blockCount);
    // It has taken effect when it returns.
    const outcome = change();
    this.#cache?.changed(block, blockCount, writer);
    return outcome;
  }

  #completed(writer: Writer): void {
    writer.completed = this.#target.nextCompletion();
  }
}
