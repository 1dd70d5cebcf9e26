// SPDX-License-Identifier: GPL-2.0-or-later
#include "platform/linux/config_port.hpp"

#include <bit>
#include <cerrno>

#include <fcntl.h>
#include <unistd.h>

#include <fmt/format.h>

namespace platform::linux_host {
namespace {

static_assert(std::endian::native == std::endian::little, "configuration space is little-endian");

bool sound(std::uint16_t offset, unsigned width) {
  return (width == 1 || width == 2 || width == 4) && offset % width == 0;
}

} // namespace

pci::result<std::unique_ptr<config_port>> config_port::open(const std::filesystem::path& file) {
  descriptor opened{::open(file.c_str(), O_RDWR | O_CLOEXEC)};
  if (!opened)
    return pci::fail(errno, "open " + file.string());
  return std::unique_ptr<config_port>(new config_port(std::move(opened), file.string()));
}

tl::unexpected<pci::failure> config_port::fail(const char* what, std::uint16_t offset, ssize_t bytes) const {
  // No bytes and no error: the offset is beyond the function's space.
  return pci::fail(bytes < 0 ? errno : EINVAL, fmt::format("{} {} at {:#x}", what, name_, offset));
}

pci::result<std::uint32_t> config_port::read(std::uint16_t offset, unsigned width) {
  if (!sound(offset, width))
    return fail("read", offset, 0);
  std::uint32_t value = 0;
  const ssize_t bytes = ::pread(file_.get(), &value, width, offset);
  if (bytes != static_cast<ssize_t>(width))
    return fail("read", offset, bytes);
  return value;
}

pci::result<void> config_port::write(std::uint16_t offset, unsigned width, std::uint32_t value) {
  if (!sound(offset, width))
    return fail("write", offset, 0);
  const ssize_t bytes = ::pwrite(file_.get(), &value, width, offset);
  if (bytes != static_cast<ssize_t>(width))
    return fail("write", offset, bytes);
  return {};
}

} // namespace platform::linux_host
