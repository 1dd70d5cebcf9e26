// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "platform/linux/sysfs.hpp"

namespace test {

/// A directory of its own, removed with this value.
class temporary_directory {
public:
  temporary_directory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "pcibackd.XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr)
      throw std::runtime_error("mkdtemp");
    path_ = pattern;
  }
  temporary_directory(const temporary_directory&) = delete;
  temporary_directory& operator=(const temporary_directory&) = delete;
  ~temporary_directory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  void file(const std::string& name, const std::string& content = {}) const {
    std::filesystem::create_directories((path_ / name).parent_path());
    std::ofstream(path_ / name) << content;
  }
  void link(const std::string& name, const std::string& target) const {
    std::filesystem::create_directories((path_ / name).parent_path());
    std::filesystem::remove(path_ / name);
    std::filesystem::create_symlink(target, path_ / name);
  }

private:
  std::filesystem::path path_;
};

/// A sysfs that behaves, for one function, as Linux's PCI core does when its attributes are written, and that remembers
/// what was written in which order.
class fake_kernel : public platform::linux_host::sysfs {
public:
  explicit fake_kernel(const temporary_directory& files) : sysfs(files.path()), files_(files) {}

  /// The function's address; it has the attributes that every function has.
  void add_function(const std::string& address) {
    const auto device = "bus/pci/devices/" + address;
    files_.file(device + "/vendor", "0x8086\n");
    files_.file(device + "/device", "0x10d3\n");
    files_.file(device + "/class", "0x020000\n");
    files_.file(device + "/irq", "23\n");
    files_.file(device + "/enable", "0\n");
    files_.file(device + "/driver_override", "(null)\n");
    files_.file(device + "/power/control", "auto\n");
    files_.file(device + "/d3cold_allowed", "1\n");
    files_.file(device + "/config", std::string(256, '\x5a'));
    files_.file(device + "/resource", resources());
    files_.file("bus/pci/drivers_probe");
  }
  void add_driver(const std::string& name) { files_.file("bus/pci/drivers/" + name + "/unbind"); }
  void bind(const std::string& address, const std::string& driver) {
    files_.link("bus/pci/devices/" + address + "/driver", "../../drivers/" + driver);
  }

  static std::string resources() {
    return "0x00000000febc0000 0x00000000febdffff 0x0000000000040200\n"
           "0x00000000feba0000 0x00000000febbffff 0x0000000000040200\n"
           "0x000000000000c080 0x000000000000c09f 0x0000000000040101\n"
           "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
           "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
           "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
           "0x00000000feb40000 0x00000000feb7ffff 0x0000000000046200\n"
           "0x0000000000000000 0x0000000000000000 0x0000000000000000\n";
  }

  pci::result<void> write(const std::string& file, std::string_view value) override {
    const auto name = std::filesystem::path(file).filename().string();
    writes.emplace_back(name, value);
    if (refuse == name)
      return pci::fail(EIO, "refused by the test");
    if (name == "enable" && !racing.empty()) // the kernel's own probe of a function that has just come
      bind(std::filesystem::path(file).parent_path().filename().string(), std::exchange(racing, {}));
    if (name == "enable" && exists(std::filesystem::path(file).parent_path() / "driver"))
      return pci::fail(EBUSY, "a driver is bound"); // drivers/pci/pci-sysfs.c, enable_store
    if (auto written = sysfs::write(file, value); !written)
      return written;
    if (name == "unbind")
      std::filesystem::remove(path("bus/pci/devices/" + std::string(value) + "/driver"));
    if (name == "drivers_probe")
      probe(std::string(value));
    return {};
  }

  std::vector<std::pair<std::string, std::string>> writes; ///< attribute and value
  std::string refuse;                                      ///< the attribute that cannot be written
  std::string native;                                      ///< the driver that takes the function without an override
  std::string racing;                                      ///< the driver that takes the function before it is enabled
  std::string reluctant;                                   ///< the driver that takes no function

private:
  void probe(const std::string& address) {
    const auto override_file = read("bus/pci/devices/" + address + "/driver_override").value();
    const auto chosen = override_file == "\n" || override_file == "(null)\n" ? native : override_file;
    if (!chosen.empty() && chosen != reluctant && !exists("bus/pci/devices/" + address + "/driver") &&
        exists("bus/pci/drivers/" + chosen))
      bind(address, chosen);
  }

  const temporary_directory& files_;
};

} // namespace test
