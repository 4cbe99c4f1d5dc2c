/**
 * Layers of the device mapper below a pool, that misbehave on demand: the kernel's own sources of bugs.
 *
 * A {@link FaultyLayer} is put between a pool and one of its devices, and its behaviour is switched under load:
 * requests that come meanwhile wait for the new one. A layer is gone when its host starts again, and is laid anew.
 * The log of writes, from which power cuts are made, is another matter: see `write-log.ts`.
 *
 * @see Linux 6.1, Documentation/admin-guide/device-mapper/{dm-flakey,delay,linear}.rst
 *
 * @packageDocumentation
 */
import { type CallOptions, ServiceError } from "../port.ts";
import { runScript } from "./scripts.ts";
import type { Shell } from "./shell.ts";

export type LayerBehaviour =
  | { readonly kind: "passThrough" }
  /** Says that writes, discards and flushes are done, and does nothing; reads find what was there. */
  | { readonly kind: "dropWrites" }
  /** Fails writes, discards and flushes. */
  | { readonly kind: "errorWrites" }
  /** Fails everything. */
  | { readonly kind: "errorAll" }
  /**
   * Puts `value` in the place of one byte of each request that has so many. Linux 6.1 takes the order to do so of
   * reads, and alters nothing.
   */
  | {
      readonly kind: "corruptByte";
      readonly of: "reads" | "writes";
      /** Which byte of the request, from 1. */
      readonly byte: number;
      /** 0 to 255. */
      readonly value: number;
      /** Only requests that have all of these `bi_opf` flags of the kernel; 0 or absent for every one. */
      readonly flags?: number;
    }
  /** Late by so many ms, 0 for not at all. */
  | { readonly kind: "delay"; readonly readMs: number; readonly writeMs: number }
  /** Fails what touches some sectors of 512 bytes. */
  | { readonly kind: "errorRange"; readonly beginSector: number; readonly sectorCount: number };

export interface LayerOptions {
  readonly shell: Shell;
  /** Name in the device mapper, of letters, digits, `-`, `_` and `.`. */
  readonly name: string;
  /** Path of the device below. */
  readonly device: string;
}

/** Every method rejects with a {@link ServiceError}, `ERR_TARGET` if the host refuses. */
export class FaultyLayer {
  /** Path of the layer, for who is above it. */
  readonly path: string;
  readonly #options: LayerOptions;
  readonly #sectorCount: number;

  private constructor(options: LayerOptions, sectorCount: number) {
    this.#options = options;
    this.#sectorCount = sectorCount;
    this.path = layerPath(options.name);
  }

  /** Puts a layer that passes everything through on a device. */
  static async lay(options: LayerOptions, call: CallOptions = {}): Promise<FaultyLayer> {
    const { shell, name, device } = options;
    layerPath(name);
    const sizing = {
      doing: `asking for the size of ${device}`,
      text: `blockdev --getsz ${devicePath(device)}`,
    };
    const size = (await runScript(shell, sizing, call)).trim();
    const sectorCount = Number(size);
    if (!Number.isSafeInteger(sectorCount) || sectorCount <= 0)
      throw new ServiceError("ERR_BAD_ANSWER", `${sizing.doing}, at ${shell.description}: got "${size}"`);
    const table = layerTable(device, sectorCount, { kind: "passThrough" });
    const text = `modprobe dm-flakey
modprobe dm-delay
${piped(table)} | dmsetup create ${name}`;
    await runScript(shell, { doing: `laying ${name} on ${device}`, text }, call);
    return new FaultyLayer(options, sectorCount);
  }

  /** Waits for what is under way, and has whatever comes then behave in the new way. */
  async switchTo(behaviour: LayerBehaviour, call: CallOptions = {}): Promise<void> {
    const { shell, name, device } = this.#options;
    const table = layerTable(device, this.#sectorCount, behaviour);
    // The new table is checked by the kernel before anything has to wait. Nothing above is asked to freeze.
    const text = `${piped(table)} | dmsetup load ${name}
dmsetup suspend --nolockfs ${name} || { dmsetup clear ${name}; exit 1; }
dmsetup resume ${name}`;
    await runScript(shell, { doing: `switching ${name} to ${behaviour.kind}`, text }, call);
  }

  /** Takes the layer away; nobody may be above it any more. */
  async remove(call: CallOptions = {}): Promise<void> {
    const { shell, name } = this.#options;
    const text = `dmsetup remove --retry ${name}`;
    await runScript(shell, { doing: `taking ${name} away`, text }, call);
  }
}

/** Lines of the device mapper's table, in sectors of 512 bytes. */
export function layerTable(
  device: string,
  sectorCount: number,
  behaviour: LayerBehaviour,
): readonly string[] {
  devicePath(device);
  // Intervals in seconds, of being well and of being ill: one of them is none.
  const flakey = (ups: number, downs: number, ...features: (string | number)[]) => [
    [`0 ${sectorCount} flakey ${device} 0 ${ups} ${downs}`, ...features].join(" "),
  ];
  switch (behaviour.kind) {
    case "passThrough":
      return flakey(1, 0);
    case "dropWrites":
      return flakey(0, 1, 1, "drop_writes");
    case "errorWrites":
      return flakey(0, 1, 1, "error_writes");
    case "errorAll":
      return flakey(0, 1);
    case "corruptByte": {
      const { of, flags = 0 } = behaviour;
      const byte = within("byte", behaviour.byte, 1, 0xffff_ffff);
      const value = within("value", behaviour.value, 0, 255);
      const direction = of === "reads" ? "r" : "w";
      const mask = within("flags", flags, 0, 0xffff_ffff);
      return flakey(0, 1, 5, "corrupt_bio_byte", byte, direction, value, mask);
    }
    case "delay": {
      const read = within("readMs", behaviour.readMs, 0, 600_000);
      const write = within("writeMs", behaviour.writeMs, 0, 600_000);
      return [`0 ${sectorCount} delay ${device} 0 ${read} ${device} 0 ${write}`];
    }
    case "errorRange": {
      const begin = within("beginSector", behaviour.beginSector, 0, sectorCount - 1);
      const count = within("sectorCount", behaviour.sectorCount, 1, sectorCount - begin);
      const end = begin + count;
      return [
        ...(begin > 0 ? [`0 ${begin} linear ${device} 0`] : []),
        `${begin} ${count} error`,
        ...(end < sectorCount ? [`${end} ${sectorCount - end} linear ${device} ${end}`] : []),
      ];
    }
    default:
      return unreachable(behaviour);
  }
}

/** Path of a device of that name in the device mapper. */
export function layerPath(name: string): string {
  if (!/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$/.test(name))
    throw new ServiceError(
      "ERR_INVALID_REQUEST",
      `"${name}" is no name for a layer: letters, digits, "-", "_" and "."`,
    );
  return `/dev/mapper/${name}`;
}

/** The same path, once it is known to need no quotes. */
export function devicePath(path: string): string {
  if (!/^\/dev\/[A-Za-z0-9_./-]{1,200}$/.test(path))
    throw new ServiceError("ERR_INVALID_REQUEST", `"${path}" is no path of a device below /dev`);
  return path;
}

function piped(table: readonly string[]): string {
  return `printf '%s\\n' ${table.map((line) => `'${line}'`).join(" ")}`;
}

function within(name: string, value: number, least: number, most: number): number {
  if (!Number.isInteger(value) || value < least || value > most)
    throw new ServiceError(
      "ERR_INVALID_REQUEST",
      `${name} is ${value}, expected an integer from ${least} to ${most}`,
    );
  return value;
}

function unreachable(behaviour: never): never {
  throw new TypeError(`unknown behaviour: ${JSON.stringify(behaviour)}`);
}
