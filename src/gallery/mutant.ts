/**
 * What a fault class of the gallery is made of: how it is brought about, who must notice, and what it is to be called.
 *
 * A class is a row of `catalogue.ts` and a mutant of its own file in `classes/`. A mutant lies on one of three
 * levels: at the port, over whatever system under test; on the wire, between harrow and a target; or inside the
 * embedded target. None touches the buffers of whoever writes, and each says when it has struck.
 *
 * @packageDocumentation
 */
import type { Choices } from "../generators/choices.ts";
import type { FaultClass, Violation } from "../model/violation.ts";
import type { Config, ConfigInput } from "../runner/config/schema.ts";
import type { Clock } from "../sut/clock.ts";
import type { VolumeService } from "../sut/port.ts";
import type { StoreBug } from "../sut/store/bug.ts";
import type { TargetFaults } from "../sut/target-faults.ts";
import type { CheckerName } from "./checkers.ts";
import type { NvmeInterceptor } from "./wire/nvme-interceptor.ts";
import type { RestInterceptor } from "./wire/rest-proxy.ts";

/** Of the choices of mutants: what one seed decides about them has nothing to do with the history. */
export const mutantStream = 1966n;

/** What a mutant decides by, and tells. */
export interface Chance {
  /** The same for a seed each time. */
  readonly choices: Choices;
  /** Strikes whenever it can, for histories that are short: not only now and then, in the middle of a run. */
  readonly isEager?: boolean;
  /** To be called each time when the fault takes effect. */
  readonly struck: () => void;
}

/** What is known where a mutant stands between the run and its system under test. */
export interface Scene extends Chance {
  readonly seed: bigint;
  readonly config: Config;
  /** The run's clock: turns on a jittery target, milliseconds elsewhere. */
  readonly clock: Clock;
}

/**
 * What a class is shown on, if it need not be something real.
 *
 * - `memory`: volumes in this process, where every call takes effect as one step. The same each time.
 * - `jittery`: the same, but everything takes effect at random instants between submission and completion, and it can
 *   crash. The same each time.
 * - `embedded`: the embedded target in a process of its own, over NVMe/TCP and REST.
 */
export type Setting = "memory" | "jittery" | "embedded";

interface MutantBase {
  readonly setting: Setting;
  /** The workload and the checks that show it, over the base of the setting; see `workloads.ts`. */
  readonly config?: ConfigInput;
  /** It strikes reads of volumes alone; when its checker does not look, somebody else has to read them. */
  readonly isOfReads?: true;
}

/** Lies at the port, to volumes, snapshots, diffs or what brings trouble about. */
export interface PortMutant extends MutantBase {
  readonly level: "port";
  readonly service?: (service: VolumeService, scene: Scene) => VolumeService;
  readonly faults?: (faults: TargetFaults, service: VolumeService, scene: Scene) => TargetFaults;
}

/** Lies between harrow and a target. */
export interface WireMutant extends MutantBase {
  readonly level: "wire";
  readonly setting: "embedded";
  readonly nvme?: (chance: Chance) => NvmeInterceptor;
  readonly rest?: (chance: Chance) => RestInterceptor;
}

/** A bug of the embedded target's store. */
export interface TargetMutant extends MutantBase {
  readonly level: "target";
  readonly setting: "memory" | "embedded";
  readonly bug: (chance: Chance) => StoreBug;
}

type Mutant = PortMutant | WireMutant | TargetMutant;

/** A class that can not be shown, and why. */
interface NotBuilt {
  readonly level: "none";
  readonly why: string;
}

/** A row of the catalogue. */
export interface GalleryClass {
  /** `M01` to `M62` of the published classes, `H01` and on of harrow's own. */
  readonly id: string;
  readonly title: string;
  /** What goes wrong, in half a sentence. */
  readonly fault: string;
  /** Where it was seen, as published; or that it was not. */
  readonly incident: string;
  /** Who must notice it, and without whom nobody does. */
  readonly checker: CheckerName;
  /** What the first violation may be called; the first of these must be among all. */
  readonly names: readonly [FaultClass, ...FaultClass[]];
  /** What reading again must have told. */
  readonly rereads?: Violation["rereads"];
  readonly mutant: Mutant | NotBuilt;
}

export type BuiltClass = GalleryClass & { readonly mutant: Mutant };

export function isBuilt(entry: GalleryClass): entry is BuiltClass {
  return entry.mutant.level !== "none";
}
