// SPDX-License-Identifier: GPL-2.0-or-later
#include "platform/linux/storage.hpp"

#include <cerrno>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "platform/linux/pci_host.hpp"
#include "unit/fake_sysfs.hpp"

using platform::linux_host::storage_functions;

namespace {

const auto disk = pci::make_sbdf(0, 0, 4, 0);
const auto port = pci::make_sbdf(0, 0, 2, 0);
const auto behind = pci::make_sbdf(0, 1, 0, 0);

/// /sys with block devices, and /proc with what is mounted.
struct storage {
  test::temporary_directory files;
  platform::linux_host::sysfs system{files.path() / "sys"};
  platform::linux_host::sysfs processes{files.path() / "proc"};

  /// A disk (or, below a disk, a partition) with its number, at a path below /sys/devices.
  void block(const std::string& path, const std::string& number, bool partition = false) const {
    const auto name = std::filesystem::path(path).filename().string();
    files.file("sys/devices/" + path + "/dev", number + "\n");
    files.link("sys/dev/block/" + number, "../../devices/" + path);
    files.link("sys/class/block/" + name, "../../devices/" + path);
    if (partition)
      files.file("sys/devices/" + path + "/partition", "1\n");
  }
  /// A device of device mapper or md that is made of another.
  void made_of(const std::string& name, const std::string& path) const {
    const auto part = std::filesystem::path(path).filename().string();
    files.link("sys/devices/virtual/block/" + name + "/slaves/" + part, "../../../../" + path);
  }
  void mounts(const std::string& lines) const { files.file("proc/self/mountinfo", lines); }
  void swaps(const std::string& lines) const {
    files.file("proc/swaps", "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n" + lines);
  }
  [[nodiscard]] std::map<pci::sbdf, std::string> found() const {
    return storage_functions(system, processes, platform::linux_host::sysfs{files.path() / "udev"}).value();
  }
};

using answer = std::map<pci::sbdf, std::string>;

} // namespace

TEST_CASE_FIXTURE(storage, "storage: a partition's disk carries its file system") {
  block("pci0000:00/0000:00:04.0/nvme/nvme0/nvme0n1", "259:0");
  block("pci0000:00/0000:00:04.0/nvme/nvme0/nvme0n1/nvme0n1p2", "259:2", true);
  mounts("22 1 259:2 / / rw,relatime shared:1 - ext4 /dev/nvme0n1p2 rw\n"
         "23 22 0:21 / /proc rw - proc proc rw\n"
         "24 22 0:22 / /tmp rw shared:2 master:3 - tmpfs tmpfs rw\n");
  CHECK(found() == answer{{disk, "/ (nvme0n1p2)"}});
}

TEST_CASE_FIXTURE(storage, "storage: every bridge on the way counts, and the first use is told") {
  block("pci0000:00/0000:00:02.0/0000:01:00.0/ata1/host0/target0:0:0/0:0:0:0/block/sda", "8:0");
  block("pci0000:00/0000:00:02.0/0000:01:00.0/ata1/host0/target0:0:0/0:0:0:0/block/sda/sda1", "8:1", true);
  mounts("22 1 8:1 / / rw - ext4 /dev/sda1 rw\n30 22 8:0 / /boot rw - ext4 /dev/sda rw\n");
  CHECK(found() == answer{{port, "/ (sda1)"}, {behind, "/ (sda1)"}});
}

TEST_CASE_FIXTURE(storage, "storage: what a mapped device is made of, to any depth, and of all its parts") {
  block("pci0000:00/0000:00:04.0/nvme/nvme0/nvme0n1", "259:0");
  block("pci0000:00/0000:00:04.0/nvme/nvme0/nvme0n1/nvme0n1p1", "259:1", true);
  block("pci0000:00/0000:01:00.0/ata1/block/sda", "8:0");
  block("virtual/block/md0", "9:0");
  block("virtual/block/dm-1", "254:1");
  made_of("md0", "pci0000:00/0000:00:04.0/nvme/nvme0/nvme0n1/nvme0n1p1");
  made_of("md0", "pci0000:00/0000:01:00.0/ata1/block/sda");
  made_of("dm-1", "virtual/block/md0");
  mounts("22 1 254:1 / /srv rw - xfs /dev/mapper/data rw\n");
  CHECK(found() == answer{{disk, "/srv (data)"}, {behind, "/srv (data)"}});
}

TEST_CASE_FIXTURE(storage, "storage: swap space on a device, but not in a file") {
  block("pci0000:00/0000:00:04.0/nvme/nvme0/nvme0n1", "259:0");
  block("pci0000:00/0000:01:00.0/ata1/block/sda", "8:0");
  mounts("");
  swaps("/dev/sda                                partition\t999420\t\t0\t\t-2\n"
        "/nvme0n1                                file\t\t999420\t\t0\t\t-3\n");
  CHECK(found() == answer{{behind, "swap (sda)"}});
}

TEST_CASE_FIXTURE(storage, "storage: all devices of a btrfs, whose number is its own") {
  block("pci0000:00/0000:00:04.0/nvme/nvme0/nvme0n1", "259:0");
  block("pci0000:00/0000:01:00.0/ata1/block/sda", "8:0");
  files.link("sys/fs/btrfs/6b8f/devices/nvme0n1", "../../../../devices/pci0000:00/0000:00:04.0/nvme/nvme0/nvme0n1");
  files.link("sys/fs/btrfs/6b8f/devices/sda", "../../../../devices/pci0000:00/0000:01:00.0/ata1/block/sda");
  mounts("22 1 0:25 /@ / rw - btrfs /dev/sda rw\n");
  CHECK(found() == answer{{disk, "/ (sda)"}, {behind, "/ (sda)"}});
}

TEST_CASE_FIXTURE(storage, "storage: all devices of a bcachefs") {
  block("pci0000:00/0000:00:04.0/nvme/nvme0/nvme0n1", "259:0");
  block("pci0000:00/0000:01:00.0/ata1/block/sda", "8:0");
  mounts("22 1 0:31 / / rw - bcachefs /dev/nvme0n1:/dev/sda rw\n");
  CHECK(found().size() == 2);
  CHECK(found().contains(disk));
  CHECK(found().contains(behind));
}

TEST_CASE_FIXTURE(storage, "storage: all members of pools while a ZFS is mounted") {
  block("pci0000:00/0000:00:04.0/nvme/nvme0/nvme0n1", "259:0");
  block("pci0000:00/0000:00:04.0/nvme/nvme0/nvme0n1/nvme0n1p3", "259:3", true);
  block("pci0000:00/0000:01:00.0/ata1/block/sda", "8:0");
  files.file("udev/b259:3", "I:1\nE:ID_FS_LABEL=rpool\nE:ID_FS_TYPE=zfs_member\n");
  files.file("udev/b8:0", "E:ID_FS_TYPE=ext4\n");
  mounts("22 1 0:30 / / rw,relatime shared:1 - zfs rpool/ROOT/debian rw,xattr\n");
  CHECK(found() == answer{{disk, "a ZFS pool (nvme0n1p3)"}});
  mounts("22 1 0:30 / / rw - tmpfs zfs rw\n");
  CHECK(found().empty());
}

TEST_CASE_FIXTURE(storage, "storage: a mount after many others counts, and unreadable mounts are no empty ones") {
  block("pci0000:00/0000:00:04.0/nvme/nvme0/nvme0n1", "259:0");
  std::string many;
  for (unsigned i = 0; i < 3000; ++i)
    many += fmt::format("{} 22 0:{} / /var/lib/docker/overlay2/{}/merged rw - overlay overlay rw\n", i, i, i);
  mounts(many + "9000 1 259:0 / /srv rw - ext4 /dev/nvme0n1 rw\n");
  CHECK(found() == answer{{disk, "/srv (nvme0n1)"}});
  std::filesystem::remove(files.path() / "proc/self/mountinfo");
  CHECK(storage_functions(system, processes).error().error == ENOENT);
  platform::linux_host::pci_host host{system, platform::linux_host::modprobe, files.path() / "proc"};
  CHECK(host.needed_for(disk).starts_with("may carry what dom0 runs from"));
}

TEST_CASE_FIXTURE(storage, "storage: all controllers of an NVMe namespace with several paths") {
  block("virtual/nvme-subsystem/nvme-subsys0/nvme0n1", "259:0");
  files.file("sys/devices/pci0000:00/0000:00:04.0/nvme/nvme0/state");
  files.file("sys/devices/pci0000:00/0000:01:00.0/nvme/nvme1/state");
  const std::string subsystem = "sys/devices/virtual/nvme-subsystem/nvme-subsys0";
  files.link(subsystem + "/nvme0", "../../../pci0000:00/0000:00:04.0/nvme/nvme0");
  files.link(subsystem + "/nvme1", "../../../pci0000:00/0000:01:00.0/nvme/nvme1");
  mounts("22 1 259:0 / /boot rw - ext4 /dev/nvme0n1 rw\n");
  CHECK(found() == answer{{disk, "/boot (nvme0n1)"}, {behind, "/boot (nvme0n1)"}});
}

TEST_CASE_FIXTURE(storage, "storage: what makes no sense, and links in a circle, are passed over") {
  block("virtual/block/dm-0", "254:0");
  made_of("dm-0", "virtual/block/dm-0");
  mounts("\n22 1\n22 1 254:0 / / rw -\n22 1 254:0 / / rw ext4 /dev/dm-0 rw\n22 1 254:0 / / rw - ext4 /dev/dm-0 rw\n"
         "23 1 999:1 / /x rw - ext4 /dev/absent rw\n24 1 0:1 / /n rw - nfs server:/x rw\n");
  swaps("/dev/absent partition 1 0 -2\n\npartition\n");
  CHECK(found().empty());
  CHECK(storage_functions(platform::linux_host::sysfs{files.path() / "none"}, processes).value().empty());
}

TEST_CASE_FIXTURE(storage, "storage: the host says what dom0 needs a function for") {
  block("pci0000:00/0000:00:04.0/nvme/nvme0/nvme0n1", "259:0");
  mounts("22 1 259:0 / /boot rw - ext4 /dev/nvme0n1 rw\n");
  platform::linux_host::pci_host host{system, platform::linux_host::modprobe, files.path() / "proc"};
  CHECK(host.needed_for(disk) == "carries /boot (nvme0n1)");
  CHECK(host.needed_for(behind).empty());
}

TEST_CASE_FIXTURE(storage, "the kernel tells one boot of the host from another") {
  platform::linux_host::pci_host host{system, platform::linux_host::modprobe, files.path() / "proc"};
  CHECK(host.boot_id().empty());
  files.file("proc/sys/kernel/random/boot_id", "6fd07a4c-6bb6-4d0f-8f8a-5ab6d7a0b8a4\n");
  CHECK(host.boot_id() == "6fd07a4c-6bb6-4d0f-8f8a-5ab6d7a0b8a4");
}
