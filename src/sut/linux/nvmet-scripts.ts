/**
 * What is run for the kernel's NVMe target (nvmet), as scripts over configfs; each may be run again.
 *
 * @packageDocumentation
 */
import { quoted, statuses } from "./scripts.ts";

export interface TargetAddress {
  readonly subsystemNqn: string;
  /** IP address and TCP port that the kernel listens at. */
  readonly address: string;
  readonly port: number;
}

/** A namespace that is to be there. */
export interface Export {
  readonly uuid: string;
  /** Block device. */
  readonly path: string;
  /** Where to look for a number that is free; one that it had is kept if it is. */
  readonly nsidFrom: number;
}

/** Numbers that the kernel tells hosts to expect (NN of Identify Controller). */
export const nsidMax = 1024;

function functions({ subsystemNqn, address, port }: TargetAddress): string {
  return `root=/sys/kernel/config/nvmet
nqn=${quoted(subsystemNqn)}
subsystem=$root/subsystems/$nqn
address=${quoted(address)}
service=${port}
family=${address.includes(":") ? "ipv6" : "ipv4"}
put() { # TEXT FILE: only what is different, since most can not be written while it is in use
  read -r now 2>/dev/null <"$2" || now=
  [ "$now" = "$1" ] || echo "$1" >"$2"
}
find_namespace() { # UUID; prints its directory
  for found in "$subsystem"/namespaces/*; do
    [ -e "$found/device_uuid" ] || continue
    read -r uuid <"$found/device_uuid"
    if [ "$uuid" = "$1" ]; then echo "$found"; return; fi
  done
}
find_port() { # prints its directory
  for found in "$root"/ports/*; do
    [ -e "$found/addr_trtype" ] || continue
    read -r its_type <"$found/addr_trtype" || its_type=
    read -r its_address <"$found/addr_traddr" || its_address=
    read -r its_service <"$found/addr_trsvcid" || its_service=
    if [ "$its_type $its_address $its_service" = "tcp $address $service" ]; then echo "$found"; return; fi
  done
}
export_device() { # UUID PATH NSID; prints UUID and number
  space=$(find_namespace "$1")
  if [ -z "$space" ]; then
    nsid=$3
    tries=0
    until [ ! -e "$subsystem/namespaces/$nsid" ] && mkdir "$subsystem/namespaces/$nsid" 2>/dev/null; do
      nsid=$((nsid % ${nsidMax} + 1))
      tries=$((tries + 1))
      [ $tries -lt ${nsidMax} ] || tell ${statuses.busy} "subsystem $nqn takes no more namespaces"
    done
    space=$subsystem/namespaces/$nsid
  fi
  read -r path <"$space/device_path" || path=
  read -r enabled <"$space/enable"
  if [ "$path" != "$2" ] || [ "$enabled" != 1 ]; then
    [ "$enabled" != 1 ] || echo 0 >"$space/enable"
    put "$2" "$space/device_path"
    put "$1" "$space/device_uuid"
    put "$1" "$space/device_nguid"
    echo 1 >"$space/enable" || {
      rmdir "$space"
      tell 1 "the kernel does not export $2"
    }
  fi
  echo "$1 \${space##*/}"
}
unexport() { # UUID
  space=$(find_namespace "$1")
  [ -n "$space" ] || return 0
  read -r enabled <"$space/enable"
  [ "$enabled" != 1 ] || echo 0 >"$space/enable"
  rmdir "$space"
}
open_port() {
  target_port=$(find_port)
  if [ -z "$target_port" ]; then
    number=1
    until mkdir "$root/ports/$number" 2>/dev/null; do
      number=$((number + 1))
      [ $number -le 1000 ] || tell 1 "no port can be made in $root/ports"
    done
    target_port=$root/ports/$number
    echo "$family" >"$target_port/addr_adrfam"
    echo tcp >"$target_port/addr_trtype"
    echo "$address" >"$target_port/addr_traddr"
    echo "$service" >"$target_port/addr_trsvcid"
  fi
  [ -e "$target_port/subsystems/$nqn" ] || ln -s "$subsystem" "$target_port/subsystems/$nqn" || {
    rmdir "$target_port" 2>/dev/null || :
    tell ${statuses.refused} "the kernel does not listen at $address, port $service (is it taken, or no address of that host?)"
  }
}
close_port() {
  target_port=$(find_port)
  if [ -n "$target_port" ] && [ -e "$target_port/subsystems/$nqn" ]; then rm "$target_port/subsystems/$nqn"; fi
}
`;
}

/** The subsystem with what is to be in it; the port comes last, so that hosts find all of it. */
export function bringUpScript(
  target: TargetAddress,
  request: {
    readonly exports: readonly Export[];
    readonly unexported: readonly string[];
    readonly serial: string;
  },
): string {
  return `${functions(target)}
if [ ! -d "$root" ]; then
  grep -q ' /sys/kernel/config ' /proc/mounts || mount -t configfs configfs /sys/kernel/config
  modprobe nvmet
fi
[ -d /sys/module/nvmet_tcp ] || modprobe nvmet-tcp
if [ ! -d "$subsystem" ]; then
  mkdir "$subsystem"
  put ${quoted(request.serial)} "$subsystem/attr_serial"
fi
put 1 "$subsystem/attr_allow_any_host"
${request.unexported.map((uuid) => `unexport ${quoted(uuid)}`).join("\n")}
${request.exports.map((item) => exported(item)).join("\n")}
open_port`;
}

export function exportScript(target: TargetAddress, item: Export): string {
  return `${functions(target)}
${exported(item)}`;
}

export function unexportScript(target: TargetAddress, uuid: string): string {
  return `${functions(target)}
unexport ${quoted(uuid)}`;
}

/** Lets go of the device, or takes it again; the namespace keeps its number. */
export function setEnabledScript(target: TargetAddress, uuid: string, isEnabled: boolean): string {
  return `${functions(target)}
space=$(find_namespace ${quoted(uuid)})
[ -n "$space" ] || tell ${statuses.gone} "subsystem $nqn has no namespace of ${uuid}"
put ${isEnabled ? 1 : 0} "$space/enable"`;
}

/** Reads the size of the device anew, and tells hosts. */
export function revalidateScript(target: TargetAddress, uuid: string): string {
  return `${functions(target)}
space=$(find_namespace ${quoted(uuid)})
[ -n "$space" ] || tell ${statuses.gone} "subsystem $nqn has no namespace of ${uuid}"
echo 1 >"$space/revalidate_size"`;
}

/** Without its link the port listens no more, and the kernel ends every controller that came by it. */
export function setLinkedScript(target: TargetAddress, steps: readonly ("unlinked" | "linked")[]): string {
  return `${functions(target)}
${steps.map((step) => (step === "linked" ? "open_port" : "close_port")).join("\n")}`;
}

function exported({ uuid, path, nsidFrom }: Export): string {
  return `export_device ${quoted(uuid)} ${quoted(path)} ${nsidFrom}`;
}
