/**
 * What is written on a logical volume in LVM's tags, so that nothing about it has to be kept elsewhere.
 *
 * The tag alone says that a volume is ours; `TAG.uuid=`, `TAG.role=`, `TAG.source=`, `TAG.name=` and `TAG.turn=` say
 * what it is. LVM knows names, sizes and origins as well, but an administrator may change those.
 *
 * @see lvm(8), "Tags": letters, digits and `_+.-/=!:&#`, at most 1024 characters, and no `-` in front.
 *
 * @packageDocumentation
 */
import { ServiceError } from "../port.ts";
import type { ThinDevice } from "./thin-pool.ts";

export interface LvmLabel extends Omit<ThinDevice, "sizeBytes"> {
  /** Of several with one UUID, the highest turn is the one; the others were put back to a snapshot. From 0. */
  readonly turn: number;
}

/** Longest name, in bytes of UTF-8: three characters of a tag may stand for one. */
const nameBytesMax = 255;

/** @throws {ServiceError} `ERR_INVALID_REQUEST` if the name is too long. */
export function lvmTags(tag: string, label: LvmLabel): readonly string[] {
  const { uuid, name, role, sourceUuid, turn } = label;
  const bytes = Buffer.from(name, "utf8");
  if (bytes.length > nameBytesMax)
    throw new ServiceError(
      "ERR_INVALID_REQUEST",
      `the name has ${bytes.length} bytes in UTF-8, at most ${nameBytesMax} fit into a tag of LVM`,
    );
  return [
    tag,
    `${tag}.uuid=${uuid}`,
    `${tag}.role=${role}`,
    ...(sourceUuid === undefined ? [] : [`${tag}.source=${sourceUuid}`]),
    `${tag}.name=${escaped(bytes)}`,
    ...(turn === 0 ? [] : [`${tag}.turn=${turn}`]),
  ];
}

/** @returns `undefined` for what was not tagged by {@link lvmTags} with this tag. */
export function lvmLabel(tag: string, tags: readonly string[]): LvmLabel | undefined {
  if (!tags.includes(tag)) return undefined;
  const taggedAs = (key: string): string | undefined => {
    const start = `${tag}.${key}=`;
    const found = tags.filter((text) => text.startsWith(start));
    // Two values are no value: somebody has tagged it by hand.
    return found.length === 1 ? found[0]!.slice(start.length) : undefined;
  };
  const uuid = taggedAs("uuid");
  const role = taggedAs("role");
  const name = unescaped(taggedAs("name"));
  const turn = taggedAs("turn") ?? "0";
  if (uuid === undefined || !uuidPattern.test(uuid) || name === undefined) return undefined;
  if ((role !== "volume" && role !== "snapshot") || !/^\d{1,9}$/.test(turn)) return undefined;
  return { uuid, role, name, sourceUuid: taggedAs("source"), turn: Number(turn) };
}

const uuidPattern = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Letters, digits, `_`, `.` and `-` as they are, any other byte as `+` and two hexadecimal digits. */
function escaped(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => {
    const character = String.fromCharCode(byte);
    return /[\w.-]/.test(character) ? character : `+${byte.toString(16).padStart(2, "0")}`;
  }).join("");
}

function unescaped(text: string | undefined): string | undefined {
  if (text === undefined || !/^(?:[\w.-]|\+[0-9a-f]{2})*$/.test(text)) return undefined;
  const bytes = text.replaceAll(/\+(..)/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(bytes, "latin1").toString("utf8");
}
