/**
 * The shell scripts by which a thin pool of LVM is used, and what LVM's refusals mean.
 *
 * LVM commits each command as a whole, and carries out after a crash what it had committed; so a script is the safer
 * the fewer commands it has. Names have been checked or come from LVM, and are quoted here.
 *
 * @packageDocumentation
 */
import type { ServiceErrorCode } from "../port.ts";
import { lvmReportFields } from "./lvm-report.ts";
import { quoted } from "./scripts.ts";

/** Codes of the statuses that these scripts end with. */
export const lvmCodes: Readonly<Record<number, ServiceErrorCode>> = {
  91: "ERR_NOT_FOUND",
  92: "ERR_BUSY",
  93: "ERR_CONFLICT",
  94: "ERR_FORBIDDEN",
  95: "ERR_UNSUPPORTED",
  96: "ERR_TARGET",
};

/**
 * `lv COMMAND ...` runs a command of LVM, or ends the script and says why.
 *
 * LVM archives a group's metadata at every change, for weeks; a workload would fill the disk with that, so it is
 * switched off. The backup of the latest state stays as the administrator has it.
 */
const functions = `export LVM_SUPPRESS_FD_WARNINGS=1
exists() {
  command -v "$command" >/dev/null || tell 95 "there is no $command on that host: install the package lvm2"
}
lv() {
  command=$1
  shift
  exists
  said=$("$command" -qq -y --config 'backup{archive=0}' "$@" 2>&1 </dev/null) || explain
}
explain() {
  said=$(printf '%s\\n' "$said" | grep -v -e 'WARNING:' -e dmeventd) || said="$command failed, and said nothing"
  case $said in
    *'ermission denied'* | *'non-root'* | *'must be root'*)
      tell 94 "$said; LVM wants root" ;;
    *'already exists'*)
      tell 93 "$said" ;;
    *'olume group "'*'not found'* | *'annot process volume group'*)
      tell 91 "$said; vgs lists the volume groups of that host" ;;
    *'not found'* | *'ailed to find'*)
      tell 91 "$said" ;;
    *'nsufficient'* | *'reached threshold'* | *'ree space'* | *'ut of space'*)
      tell 96 "$said; remove snapshots, or give the pool more space with lvextend" ;;
    *'in use'* | *' busy'*)
      tell 92 "$said; it is exported, mounted or open elsewhere" ;;
    *) tell 96 "$said" ;;
  esac
}
`;

function script(...lines: readonly string[]): string {
  return functions + lines.join("\n");
}

/** What is in a volume group, for `readLvmReport`. */
export function reportScript(volumeGroup: string): string {
  const report = `lvs -a --reportformat json --units b --nosuffix -o ${lvmReportFields} ${quoted(volumeGroup)}`;
  return script(
    "command=lvs",
    "exists",
    // Standard output is JSON alone; what goes with it on standard error is of use only if it failed.
    "exec 3>&1",
    `said=$(${report} 2>&1 >&3 </dev/null) || explain`,
  );
}

/** Makes the pool active, and sees that what diffs need is there. */
export function activatePoolScript(pool: string): string {
  return script(
    "command -v thin_delta >/dev/null && command -v thin_dump >/dev/null ||",
    "  tell 95 'there is no thin_delta on that host: install the package thin-provisioning-tools'",
    "command -v dmsetup >/dev/null || tell 95 'there is no dmsetup on that host: install the package dmsetup'",
    `lv lvchange -ay ${quoted(pool)}`,
  );
}

/** Prints the size of a logical block, in bytes. */
export function blockSizeScript(minor: number): string {
  return script(`cat /sys/block/dm-${minor}/queue/logical_block_size`);
}

interface NewVolume {
  readonly lvName: string;
  readonly tags: readonly string[];
}

export function createScript(
  request: NewVolume & { readonly volumeGroup: string; readonly pool: string; readonly sizeBytes: number },
): string {
  const { volumeGroup, pool, lvName, tags, sizeBytes } = request;
  const size = `${Math.ceil(sizeBytes / 512) * 512}b`;
  return script(
    `lv lvcreate -an -ky -V ${size} -T ${quoted(`${volumeGroup}/${pool}`)} -n ${quoted(lvName)}${added(tags)}`,
  );
}

/** @param source - The logical volume, with its group. */
export function snapshotScript(request: NewVolume & { readonly source: string }): string {
  return script(snapshotLine(request));
}

/**
 * Puts another logical volume in the place of one, active and by the same name.
 *
 * @param request.lvName - Name that it has and is to have.
 * @param request.made - Name of the new one until then.
 * @param request.turn - Makes the name of an old one that cannot be removed unique.
 * @param request.snapshot - What it is made of, in one commit; made already if absent.
 * @param request.superseded - What it takes the place of.
 */
export function rollbackScript(request: {
  readonly volumeGroup: string;
  readonly lvName: string;
  readonly made: string;
  readonly turn: number;
  readonly tags: readonly string[];
  readonly snapshot: string | undefined;
  readonly superseded: readonly string[];
}): string {
  const { volumeGroup, lvName, made, turn, tags, snapshot, superseded } = request;
  const path = (name: string) => quoted(`${volumeGroup}/${name}`);
  const make = snapshot && snapshotLine({ source: `${volumeGroup}/${snapshot}`, lvName: made, tags });
  return script(
    ...(make === undefined
      ? []
      : [
          // Refused while somebody has it open.
          `lv lvchange -an ${path(lvName)}`,
          `(${make}) || { status=$?; (lv lvchange -ay -K ${path(lvName)}) || :; exit "$status"; }`,
        ]),
    // The volume is back already; what cannot be removed is out of the way, and goes when the pool is brought up.
    ...superseded.map(
      (name) => `(lv lvremove -f ${path(name)}) || lv lvrename ${path(name)} ${path(`${name}.old-${turn}`)}`,
    ),
    ...(made === lvName ? [] : [`lv lvrename ${path(made)} ${path(lvName)}`]),
    `lv lvchange -ay -K ${path(lvName)}`,
  );
}

function snapshotLine({ source, lvName, tags }: NewVolume & { readonly source: string }): string {
  return `lv lvcreate -s -an -ky ${quoted(source)} -n ${quoted(lvName)}${added(tags)}`;
}

function added(tags: readonly string[]): string {
  return tags.map((tag) => ` --addtag ${quoted(tag)}`).join("");
}

/** @param volumes - Removed one after another, each in a commit of its own. */
export function removeScript(volumes: readonly string[]): string {
  return script(...volumes.map((volume) => `lv lvremove -f ${quoted(volume)}`));
}

export function growScript(volume: string, sizeBytes: number): string {
  return script(`lv lvextend -L ${Math.ceil(sizeBytes / 512) * 512}b ${quoted(volume)}`);
}

export function activateScript(volume: string, path: string): string {
  return script(
    `lv lvchange -ay -K ${quoted(volume)}`,
    `[ -b ${quoted(path)} ] || tell 96 ${quoted(`${path} is not there, although ${volume} is active`)}`,
  );
}

export function deactivateScript(volume: string): string {
  return script(`lv lvchange -an ${quoted(volume)}`);
}
