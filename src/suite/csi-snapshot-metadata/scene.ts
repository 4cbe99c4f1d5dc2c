/**
 * The volumes and snapshots that a driver is asked about: few writes, at the places where diffs are known to go wrong.
 *
 * Edges of the volume and of chunks of 64 blocks, single blocks, long runs, blocks that change in both of two
 * intervals, that change back, that are written again with what they hold, and that become zeros in both ways.
 *
 * @packageDocumentation
 */
import type { BlockRange } from "../../sut/port.ts";
import { type Answer, collect } from "./answers.ts";
import type { DriverHooks, DriverUnderTest } from "./driver.ts";
import { content, type KnownSnapshot, VolumeImage } from "./image.ts";

const volumeBlocks = 8192;
const grownBlocks = 12_288;

/** A volume with the model of its content. */
export class SceneVolume {
  readonly hooks: DriverHooks;
  readonly image: VolumeImage;
  readonly handle: string;
  #version = 0;

  private constructor(hooks: DriverHooks, handle: string, blockCount: number) {
    this.hooks = hooks;
    this.handle = handle;
    this.image = new VolumeImage(hooks.blockSizeBytes, blockCount * hooks.blockSizeBytes);
  }

  static async create(hooks: DriverHooks, blockCount: number): Promise<SceneVolume> {
    return new SceneVolume(hooks, await hooks.createVolume(blockCount * hooks.blockSizeBytes), blockCount);
  }

  /** Writes new content; or, with a version, content that it had. @returns The version written. */
  async write(block: number, blockCount = 1, version = ++this.#version): Promise<number> {
    const range: BlockRange = { block, blockCount };
    await this.hooks.write(this.handle, range, content(version, range, this.hooks.blockSizeBytes));
    this.image.set(range, version);
    return version;
  }

  /** Makes zeros in one of two ways, or by writing them where there is no other. */
  async zero(way: "writeZeroes" | "deallocate", block: number, blockCount: number): Promise<void> {
    const range: BlockRange = { block, blockCount };
    const { hooks } = this;
    if (hooks[way] !== undefined) await hooks[way](this.handle, range);
    else await hooks.write(this.handle, range, new Uint8Array(blockCount * hooks.blockSizeBytes));
    this.image.set(range, 0);
  }

  async snapshot(label: string): Promise<KnownSnapshot> {
    return this.image.snapshot(await this.hooks.createSnapshot(this.handle), label);
  }
}

export interface Scene {
  readonly volume: SceneVolume;
  /** Nothing was written before it. */
  readonly empty: KnownSnapshot;
  readonly first: KnownSnapshot;
  readonly second: KnownSnapshot;
  /** Nothing was written between `second` and it. */
  readonly same: KnownSnapshot;
  readonly third: KnownSnapshot;
  /** Taken after the volume was made larger, if it could be. */
  readonly grown: KnownSnapshot | undefined;
  /** Changes from `first` to `second`, asked for before the volume was made larger. */
  readonly beforeGrowth: Answer | undefined;
  /** Blocks that held data in `first` and are zeros in `second`. */
  readonly zeroed: readonly BlockRange[];
  /** Of another volume. */
  readonly foreign: KnownSnapshot;
}

/** Makes it; a few megabytes are written. */
export async function prepareScene({ client }: DriverUnderTest, hooks: DriverHooks): Promise<Scene> {
  const volume = await SceneVolume.create(hooks, volumeBlocks);
  const last = volumeBlocks - 1;
  const empty = await volume.snapshot("empty");

  for (const block of [0, 5, 127, last - 1, last]) await volume.write(block);
  await volume.write(62, 4);
  const whole = await volume.write(128, 64);
  await volume.write(300, 40);
  for (let index = 0; index < 24; index++) await volume.write(1024 + 64 * index);
  const held = await volume.write(2700);
  for (const block of [2702, 2704]) await volume.write(block);
  await volume.write(4150, 80);
  const first = await volume.snapshot("first");

  for (const block of [0, last]) await volume.write(block);
  await volume.write(330, 11);
  await volume.write(450, 16);
  await volume.write(140, 4, whole);
  for (let index = 0; index < 12; index++) await volume.write(1024 + 128 * index + 1);
  await volume.write(2700);
  await volume.write(2700, 1, held);
  const zeroed: readonly BlockRange[] = [
    { block: 306, blockCount: 16 },
    { block: 4160, blockCount: 64 },
  ];
  await volume.zero("writeZeroes", zeroed[0]!.block, zeroed[0]!.blockCount);
  await volume.zero("deallocate", zeroed[1]!.block, zeroed[1]!.blockCount);
  const second = await volume.snapshot("second");
  const same = await volume.snapshot("same");

  for (const block of [0, 5, 62, last]) await volume.write(block);
  await volume.write(335, 3);
  await volume.write(3000, 11);
  const third = await volume.snapshot("third");

  let beforeGrowth: Answer | undefined;
  let grown: KnownSnapshot | undefined;
  if (hooks.growVolume !== undefined) {
    // A refusal is the business of the tests that ask this question.
    beforeGrowth = await collect(client, { baseId: first.id, targetId: second.id }).catch(() => undefined);
    volume.image.sizeBytes = grownBlocks * hooks.blockSizeBytes;
    await hooks.growVolume(volume.handle, volume.image.sizeBytes);
    for (const block of [volumeBlocks, volumeBlocks + 70, grownBlocks - 1]) await volume.write(block);
    grown = await volume.snapshot("grown");
  }
  const other = await SceneVolume.create(hooks, volumeBlocks);
  await other.write(40, 4);
  const foreign = await other.snapshot("foreign");
  return { volume, empty, first, second, same, third, grown, beforeGrowth, zeroed, foreign };
}
