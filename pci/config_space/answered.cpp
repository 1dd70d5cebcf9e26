// SPDX-License-Identifier: GPL-2.0-or-later
#include "pci/config_space/answered.hpp"

#include <cerrno>

#include <fmt/format.h>

#include "pci/config_space/field.hpp"
#include "pci/config_space/registers.hpp"

namespace pci {
namespace {

constexpr int most_tries = 16;

tl::unexpected<failure> silent(std::uint16_t offset, unsigned width) {
  return fail(ENODEV,
              fmt::format("register {:x} reads {:0{}x}: the function is silent", offset, all_bits(width), 2 * width));
}

} // namespace

result<std::uint32_t> read_answered(config_port& port, std::uint16_t offset, unsigned width) {
  const std::uint32_t nobody = all_bits(width);
  for (int tries = 0; tries < most_tries; ++tries) {
    auto found = port.read(offset, width);
    if (!found || (*found & nobody) != nobody)
      return found;
    const auto status = port.read(reg::status, 2);
    if (!status)
      return status;
    if ((*status & 0xffffU) != 0xffff) // it answers now, so what it says next counts
      return port.read(offset, width);
  }
  return silent(offset, width);
}

result<std::uint32_t> update_control(config_port& port, std::uint16_t offset, std::uint32_t clear, std::uint32_t set) {
  auto found = read_answered(port, offset, 2);
  if (!found)
    return found;
  if (*found == 0xffff)
    return silent(offset, 2);
  const std::uint32_t wanted = (*found & ~clear) | set;
  if (wanted != *found)
    if (auto written = port.write(offset, 2, wanted); !written)
      return tl::unexpected(std::move(written.error()));
  return found;
}

} // namespace pci
