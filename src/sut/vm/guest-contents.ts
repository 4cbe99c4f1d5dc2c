/**
 * What the guest is made of: packages, programs and kernel modules.
 *
 * @packageDocumentation
 */

/** Stands for the newest kernel of Debian for virtual machines: smaller, and unpacked faster, than the full one. */
export const kernelMetapackage = "linux-image-cloud-amd64";
export const kernelPackagePattern = /^linux-image-\d\S*-cloud-amd64$/;

export const packages = [
  "busybox-static",
  "dash",
  "dmsetup",
  "e2fsprogs",
  "iproute2",
  "lvm2",
  "mount",
  "nvme-cli",
  "thin-provisioning-tools",
  "util-linux",
  // Chosen by itself, the other way of having /bin in /usr would bring the whole of Perl.
  "usr-is-merged",
] as const;

/** Linked with libraries of storage clusters, and so much larger than all the rest together. */
export const extraPackages = ["fio"] as const;

export const programs = [
  "busybox",
  "dash",
  ...["dmsetup", "lvm", "pdata_tools", "nvme"],
  ...["mke2fs", "e2fsck", "tune2fs", "dumpe2fs", "debugfs", "resize2fs"],
  ...["ip", "tc", "ss"],
  ...[
    "blkdiscard",
    "blkid",
    "blockdev",
    "fallocate",
    "findmnt",
    "flock",
    "fstrim",
    "losetup",
    "lsblk",
    "wipefs",
  ],
] as const;

export const extraPrograms = ["fio"] as const;

/** Other files out of the packages. */
export const dataFiles = [
  "/etc/mke2fs.conf",
  "/usr/lib/x86_64-linux-gnu/tc/normal.dist",
  "/usr/lib/x86_64-linux-gnu/tc/pareto.dist",
] as const;

export type GuestRole = "target" | "host";

/** Loaded at every start, in this order, with what they need. */
export const modulesAtStart: Readonly<Record<"always" | GuestRole, readonly string[]>> = {
  // virtio_rng first: the kernel's random numbers should not have to wait.
  always: ["virtio_pci", "virtio_rng", "virtio_blk", "virtio_net"],
  target: ["crc32c_intel", "configfs", "dm_mod", "dm_thin_pool", "nvmet", "nvmet_tcp"],
  host: ["crc32c_intel", "nvme_fabrics", "nvme_tcp"],
};

/** Loaded when something asks for them. */
export const modulesAtHand = [
  ...[
    "dm_snapshot",
    "dm_flakey",
    "dm_log_writes",
    "dm_delay",
    "dm_zero",
    "loop",
    "brd",
    "null_blk",
    "scsi_debug",
  ],
  ...["sch_netem", "sch_prio", "cls_u32", "ext4", "crc32c_generic"],
] as const;
