/**
 * A machine with apt, in a directory: programs by the names of apt-get, apt-cache and dpkg-deb that note how they are
 * called, and one small set of files as the content of every package.
 */

import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { dataFiles, modulesAtHand, modulesAtStart, programs } from "../../../src/sut/vm/guest-contents.ts";
import { kernelModule } from "./elf-builder.ts";

const release = "6.1.0-56-cloud-amd64";

const noteCall = (name: string) => `#!/bin/sh
here=$(cd "$(dirname "$0")/.." && pwd)
echo "${name} $*" >>"$here/calls"
trouble=$(cat "$here/trouble" 2>/dev/null)
version=$(cat "$here/version")
`;

/** Messages are those of apt 2.6.1. */
const aptGet = `${noteCall("apt-get")}
lists=
while [ $# -gt 0 ]; do
  case $1 in
    -c) shift ;;
    -o) shift; case $1 in Dir::State::lists=*) lists=\${1#*=} ;; esac ;;
    -*) ;;
    *) break ;;
  esac
  shift
done
command=$1
shift
case $command in
  update)
    if [ "$trouble" = hang ]; then exec sleep 600; fi
    if [ "$trouble" = offline ]; then
      echo "W: Failed to fetch http://debian.example/debian/dists/bookworm/InRelease  Temporary failure resolving 'debian.example'" >&2
      echo "W: Some index files failed to download. They have been ignored, or old ones used instead." >&2
      exit 0
    fi
    echo lists >"$lists/debian.example_debian_dists_bookworm_main_binary-amd64_Packages"
    if [ "$trouble" = stale ]; then echo none >"$here/trouble"; fi
    ;;
  install)
    if [ "$trouble" = missing ]; then
      echo "E: Unable to locate package thin-provisioning-tools" >&2
      exit 100
    fi
    for name; do echo "Inst $name ($version Debian:12.15/oldstable [amd64])"; done
    for name; do echo "Conf $name ($version Debian:12.15/oldstable [amd64])"; done
    ;;
  download)
    if [ "$trouble" = stale ]; then
      echo "E: Failed to fetch http://debian.example/debian/pool/main/f/fio/fio_3.33-3_amd64.deb  404  Not Found" >&2
      exit 100
    fi
    for one; do echo package >"\${one%%=*}_$(echo "\${one#*=}" | sed 's/:/%3a/')_amd64.deb"; done
    ;;
esac
`;

const aptCache = `${noteCall("apt-cache")}
for name; do :; done
echo "Package: $name"
echo "Version: $version"
echo "Architecture: amd64"
case $name in
  linux-image-cloud-amd64) echo "Depends: linux-image-${release} (= $version)" ;;
  *) echo "Depends: kmod, linux-base (>= 4.3~)" ;;
esac
`;

const dpkgDeb = `${noteCall("dpkg-deb")}
if ! grep -q package "$2"; then
  echo "dpkg-deb: error: '$2' is not a Debian format archive" >&2
  exit 2
fi
mkdir -p "$3"
case $2 in */linux-image-*) cp -a "$here/tree/." "$3" ;; esac
`;

export interface FakeDebian {
  /** For PATH. */
  readonly programs: string;
  /** What was run so far, a line for each call, without options. */
  calls(): readonly string[];
  setTrouble(trouble: "none" | "offline" | "missing" | "stale" | "hang"): void;
  /** Of all packages, from now on. */
  setVersion(version: string): void;
  /** Takes a file out of what the packages hold. */
  readonly tree: string;
}

export function fakeDebian(directory: string): FakeDebian {
  const write = (path: string, content: string | Uint8Array, mode = 0o644): void => {
    mkdirSync(dirname(join(directory, path)), { recursive: true });
    writeFileSync(join(directory, path), content);
    chmodSync(join(directory, path), mode);
  };
  write("bin/apt-get", aptGet, 0o755);
  write("bin/apt-cache", aptCache, 0o755);
  write("bin/dpkg-deb", dpkgDeb, 0o755);
  write("version", "1:2.0-1");
  for (const name of programs) write(`tree/sbin/${name}`, `#!/bin/sh\necho ${name}\n`, 0o755);
  write("tree/usr/bin/fio", "#!/bin/sh\necho fio\n", 0o755);
  for (const path of dataFiles) write(`tree${path}`, "data\n");
  write(`tree/boot/vmlinuz-${release}`, "kernel");
  write(`tree/lib/modules/${release}/modules.builtin`, "kernel/fs/ext4/ext4.ko\n");
  const modules = new Set([...Object.values(modulesAtStart).flat(), ...modulesAtHand]);
  modules.delete("ext4");
  for (const name of modules) {
    const depends = name === "nvmet_tcp" ? "nvmet" : "";
    write(
      `tree/lib/modules/${release}/kernel/${name.replaceAll("_", "-")}.ko`,
      kernelModule([`depends=${depends}`]),
    );
  }
  const calls = join(directory, "calls");
  return {
    programs: join(directory, "bin"),
    tree: join(directory, "tree"),
    calls: () =>
      (existsSync(calls) ? readFileSync(calls, "utf8") : "")
        .trim()
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => line.replaceAll(/ -[co] \S+/g, "")),
    setTrouble: (trouble) => write("trouble", trouble),
    setVersion: (version) => write("version", version),
  };
}
