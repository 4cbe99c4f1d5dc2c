/**
 * What is run for a dm-thin pool, as scripts; each may be run again after it was broken off anywhere.
 *
 * @packageDocumentation
 */
import { ServiceError, type ServiceErrorCode } from "../port.ts";
import { quoted, statuses } from "./scripts.ts";

export const dmCodes: Readonly<Record<number, ServiceErrorCode>> = {
  [statuses.exists]: "ERR_CONFLICT",
  [statuses.gone]: "ERR_NOT_FOUND",
  [statuses.busy]: "ERR_BUSY",
  [statuses.blank]: "ERR_NOT_FOUND",
  [statuses.conflict]: "ERR_CONFLICT",
  [statuses.refused]: "ERR_INVALID_REQUEST",
  [statuses.down]: "ERR_UNREACHABLE",
};

/** A device of a pool as dmsetup is told of it. */
export interface DmDevice {
  readonly deviceName: string;
  readonly sectors: number;
  readonly id: number;
}

/** Functions for the scripts below; all mean the pool `$pool`. */
const functions = `
is_active() { grep -qsxF -- "$1" /sys/block/dm-*/dm/name; }
expect_pool() { is_active "$pool" || tell ${statuses.down} "pool $pool is not active there; was its host started anew?"; }
refuse() {
  case $1 in
    *"File exists"*) tell ${statuses.exists} "$1" ;;
    *"No data available"*) tell ${statuses.gone} "the pool does not hold it: $1" ;;
    *"resource busy"*) tell ${statuses.busy} "$1" ;;
    *) tell 1 "$1" ;;
  esac
}
message() { said=$(dmsetup message "$pool" 0 "$1" 2>&1) || refuse "$said"; }
show() { # NAME SECTORS ID: an active device that is this, whatever it was; I/O waits while it changes
  line="0 $2 thin /dev/mapper/$pool $3"
  if is_active "$1"; then
    table=$(dmsetup table "$1")
    case $table in
      "0 $2 thin "*" $3") ;;
      *) said=$(dmsetup load "$1" --table "$line" 2>&1) || refuse "$said" ;;
    esac
    said=$(dmsetup resume "$1" 2>&1) || refuse "$said"
  else
    said=$(dmsetup create "$1" --table "$line" 2>&1) || refuse "$said"
  fi
}
show_if_active() { if is_active "$1"; then show "$@"; fi; }
hide() { if is_active "$1"; then said=$(dmsetup remove --retry "$1" 2>&1) || refuse "$said"; fi; }
forget() { # ID; one that is not there is as good as deleted
  said=$(dmsetup message "$pool" 0 "delete $1" 2>&1) || case $said in
    *"No data available"*) ;;
    *) refuse "$said" ;;
  esac
}
`;

export interface PoolSetup {
  readonly poolName: string;
  /** Path, or `serial:` and the serial number of a disk. */
  readonly metadataDevice: string;
  readonly dataDevice: string;
  /** Of a pool that is made. */
  readonly chunkSectors: number;
  readonly create: boolean;
  /** Transaction id for a pool that is made. */
  readonly mark: string;
}

/** Makes the pool active, and says what it is; see {@link readPoolFacts}. */
export function bringUpScript(setup: PoolSetup): string {
  const { poolName, metadataDevice, dataDevice, chunkSectors, create, mark } = setup;
  return `pool=${quoted(poolName)}
${functions}
device() {
  case $1 in
    serial:*)
      for found in /sys/block/*/serial; do
        if [ "$(cat "$found")" = "\${1#serial:}" ]; then
          found=\${found%/serial}
          echo "/dev/\${found##*/}"
          return
        fi
      done
      tell ${statuses.refused} "no disk has the serial number \${1#serial:}" ;;
    *) echo "$1" ;;
  esac
}
number_of() { set -- $(stat -L -c '%t %T' "$1"); echo "$((0x$1)):$((0x$2))"; }
made=0
activated=0
command -v dmsetup >/dev/null || tell ${statuses.refused} "dmsetup is missing; install it (Debian: apt-get install dmsetup)"
command -v thin_delta >/dev/null || tell ${statuses.refused} "thin_delta is missing; install it (Debian: apt-get install thin-provisioning-tools)"
metadata=$(device ${quoted(metadataDevice)})
data=$(device ${quoted(dataDevice)})
[ -b "$metadata" ] || tell ${statuses.refused} "$metadata is no block device"
[ -b "$data" ] || tell ${statuses.refused} "$data is no block device"
[ -d /sys/module/dm_thin_pool ] || modprobe dm-thin-pool
if ! is_active "$pool"; then
  if [ "$(head -c 4096 "$metadata" | tr -d '\\0' | wc -c)" -eq 0 ]; then
    [ ${create ? 1 : 0} = 1 ] || tell ${statuses.blank} "metadata device $metadata is blank, so there is no pool on it; with create: true one is made"
    if command -v wipefs >/dev/null; then
      found=$(wipefs --noheadings --output TYPE "$data" | tr '\\n' ' ')
      [ -z "$found" ] || tell ${statuses.refused} "data device $data holds something ($found); wipefs --all $data if it is of no worth"
    fi
    made=1
    chunk=${chunkSectors}
  else
    chunk=$(od -An -tu4 -j336 -N4 "$metadata" | tr -d ' ')
  fi
  dmsetup create "$pool" --table "0 $(blockdev --getsz "$data") thin-pool $metadata $data $chunk 0 1 error_if_no_space" || {
    dmesg 2>/dev/null | grep device-mapper: | tail -n 2 >&2
    tell 1 "pool $pool can not be made active on $metadata (is it a pool's metadata?) and $data (is it in use?)"
  }
  activated=1
  [ $made = 0 ] || dmsetup message "$pool" 0 "set_transaction_id 0 ${mark}"
fi
status=$(dmsetup status "$pool")
if [ $activated = 1 ] || [ ${create ? 1 : 0} = 1 ]; then
  set -- $status
  [ "\${7:--}" = - ] || dmsetup message "$pool" 0 release_metadata_snap
fi
echo "made $made"
echo "activated $activated"
echo "metadata-path $metadata"
echo "metadata $(number_of "$metadata")"
echo "data $(number_of "$data")"
echo "block-size $(blockdev --getss "/dev/mapper/$pool")"
echo "table $(dmsetup table "$pool")"
echo "status $status"`;
}

export interface PoolFacts {
  readonly isMade: boolean;
  /** It was not active before, so nobody else can be using it. */
  readonly isActivated: boolean;
  readonly metadataPath: string;
  readonly chunkBytes: number;
  readonly blockSizeBytes: number;
  readonly transactionId: string;
}

/** @throws {ServiceError} If it is no pool that can be used, or not the one that was meant. */
export function readPoolFacts(poolName: string, printed: string): PoolFacts {
  const facts = new Map(
    printed.split("\n").map((line) => {
      const at = line.indexOf(" ");
      return [line.slice(0, at), line.slice(at + 1)];
    }),
  );
  const fact = (name: string): string => facts.get(name) ?? "";
  const [, , target, metadata, data, sectors = ""] = fact("table").split(" ");
  if (target !== "thin-pool")
    throw new ServiceError(
      "ERR_CONFLICT",
      `device ${poolName} is there and no thin pool; give the pool another name`,
    );
  if (metadata !== fact("metadata") || data !== fact("data"))
    throw new ServiceError(
      "ERR_CONFLICT",
      `pool ${poolName} is active on devices ${metadata} (metadata) and ${data} (data), not on ${fact("metadata")} and ${fact("data")} as configured`,
    );
  const [, , , transactionId = "", , , , mode] = fact("status").split(" ");
  if ((mode !== "rw" && mode !== "out_of_data_space") || fact("status").includes("needs_check"))
    throw new ServiceError(
      "ERR_TARGET",
      `pool ${poolName} does not work (status: ${fact("status")}); see its kernel log, thin_check and thin_repair`,
    );
  const chunkBytes = Number(sectors) * 512;
  const blockSizeBytes = Number(fact("block-size"));
  const isSound =
    /^[0-9]{1,20}$/.test(transactionId) &&
    chunkBytes >= 65_536 &&
    chunkBytes <= 2 ** 30 &&
    chunkBytes % 65_536 === 0 &&
    (blockSizeBytes === 512 || blockSizeBytes === 4096);
  if (!isSound)
    throw new ServiceError(
      "ERR_BAD_ANSWER",
      `pool ${poolName}: a table of "${fact("table")}", a status of "${fact("status")}" and blocks of ${fact("block-size")} bytes can not be used`,
    );
  return {
    isMade: fact("made") === "1",
    isActivated: fact("activated") === "1",
    metadataPath: fact("metadata-path"),
    ...{ chunkBytes, blockSizeBytes, transactionId },
  };
}

export function createScript(poolName: string, id: number): string {
  return `${onPool(poolName)}
message "create_thin ${id}"`;
}

/**
 * A snapshot of a device that may be in use: its I/O waits from suspend to resume, and it is resumed whatever happens
 * in between, unless this shell is killed by a signal that it can not catch (bringing it up resumes it then).
 */
export function snapshotScript(
  poolName: string,
  source: Pick<DmDevice, "deviceName" | "id">,
  id: number,
): string {
  return `${onPool(poolName)}
source=${quoted(source.deviceName)}
go_on() { dmsetup resume "$source" || exit 1; }
if is_active "$source"; then
  trap go_on EXIT
  trap 'exit 129' HUP; trap 'exit 130' INT; trap 'exit 141' PIPE; trap 'exit 143' TERM
  dmsetup suspend "$source"
fi
message "create_snap ${id} ${source.id}"`;
}

/** Gives a device that is active its table of now. */
export function reshapeScript(poolName: string, device: DmDevice): string {
  return `${onPool(poolName)}
show_if_active ${shown(device)}`;
}

export function activateScript(poolName: string, device: DmDevice): string {
  return `${onPool(poolName)}
show ${shown(device)}`;
}

export function deactivateScript(deviceName: string): string {
  return `${functions}
hide ${quoted(deviceName)}`;
}

/** @param deviceName - Absent for an id that no device shows. */
export function deleteScript(poolName: string, id: number, deviceName?: string): string {
  return `${onPool(poolName)}
${deviceName === undefined ? "" : `hide ${quoted(deviceName)}`}
forget ${id}`;
}

function onPool(poolName: string): string {
  return `pool=${quoted(poolName)}
${functions}
expect_pool`;
}

function shown({ deviceName, sectors, id }: DmDevice): string {
  return `${quoted(deviceName)} ${sectors} ${id}`;
}
