// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include "pci/config_space/port.hpp"
#include "platform/descriptor.hpp"

namespace platform::linux_host {

/// A function's configuration space through the `config` file of sysfs. The kernel makes one bus access of each call,
/// as the offset is aligned. A function that does not answer reads all ones without an error.
class config_port final : public pci::config_port {
public:
  /// ENOENT: no such function. EACCES: not root.
  [[nodiscard]] static pci::result<std::unique_ptr<config_port>> open(const std::filesystem::path& file);
  /// One that is open already; `name` is for words about failures.
  config_port(descriptor file, std::string name) : file_(std::move(file)), name_(std::move(name)) {}

  [[nodiscard]] pci::result<std::uint32_t> read(std::uint16_t offset, unsigned width) override;
  [[nodiscard]] pci::result<void> write(std::uint16_t offset, unsigned width, std::uint32_t value) override;

private:
  /// Says why an access transferred `bytes` and not `width`.
  [[nodiscard]] tl::unexpected<pci::failure> fail(const char* what, std::uint16_t offset, ssize_t bytes) const;

  descriptor file_;
  std::string name_;
};

} // namespace platform::linux_host
