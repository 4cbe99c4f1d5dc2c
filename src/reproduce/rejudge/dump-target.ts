/**
 * The target of a dump, as far as its images show it: volumes to be read, and nothing else.
 *
 * @packageDocumentation
 */
import { openBlockDevice } from "../../sut/block/open.ts";
import { type BlockDevice, type BlockRange, type Outcome, ServiceError } from "../../sut/port.ts";
import { noService } from "../../runner/no-service.ts";
import type { Target, TargetVolume } from "../../runner/target.ts";
import { type Dump, DumpError, type DumpedImage } from "../dump.ts";
import { absentDevice, readOnly } from "./read-only-device.ts";

/** @throws {DumpError} If an image can not be used. */
export async function openDumpTarget(dump: Dump, images: readonly DumpedImage[]): Promise<Target> {
  const { volumes: dumped, diffCapabilities, description } = dump.target;
  const volumes: TargetVolume[] = [];
  const close = async (): Promise<void> => {
    for (const { device } of volumes) await device[Symbol.asyncDispose]();
  };
  try {
    for (const [volume, one] of dumped.entries()) {
      const image = images.find((image) => image.volume === volume && image.snapshot === undefined);
      const device =
        image === undefined
          ? absentDevice(one, `the dump has no image of volume ${volume}`)
          : await openImage(dump, image);
      volumes.push({ uuid: one.uuid, device, isCreated: one.isCreated });
    }
  } catch (error) {
    await close();
    throw error;
  }
  return {
    description: `the images in ${dump.path}, of ${description}`,
    service: { ...noService, ...(diffCapabilities === undefined ? {} : { diffCapabilities }) },
    volumes,
    faults: undefined,
    failure: undefined,
    isLasting: false,
    keep: () => {},
    [Symbol.asyncDispose]: close,
  };
}

/** @throws {DumpError} If it can not be used. */
export async function openImage(dump: Dump, { volume, path, unread }: DumpedImage): Promise<BlockDevice> {
  const dumped = dump.target.volumes[volume];
  if (dumped === undefined)
    throw new DumpError(
      `${path}: is of volume ${volume}, and the run had ${dump.target.volumes.length}: the files of the dump do not go together`,
    );
  const { blockSizeBytes } = dumped.capabilities;
  let file: BlockDevice;
  try {
    file = await openBlockDevice({ path, blockSizeBytes, io: "sync", access: "read" });
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error;
    throw new DumpError(
      `${error.message}; what was read of the blocks can still be judged without the images`,
      { cause: error },
    );
  }
  return readOnly({
    identity: { ...dumped.identity, name: path },
    capabilities: dumped.capabilities,
    blockCount: file.blockCount,
    read: (request, options) =>
      unread.some((hole) => overlap(hole, request))
        ? Promise.resolve(unreadOutcome)
        : file.read(request, options),
    [Symbol.asyncDispose]: async () => file[Symbol.asyncDispose](),
  });
}

const unreadOutcome: Outcome = {
  kind: "failed",
  code: "ERR_MEDIA",
  message: "the target could not read these blocks when the image was made",
};

function overlap(one: BlockRange, other: BlockRange): boolean {
  return one.block < other.block + other.blockCount && other.block < one.block + one.blockCount;
}
