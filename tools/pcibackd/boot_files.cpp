// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/pcibackd/boot_files.hpp"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

namespace daemon_program {
namespace {

constexpr const char* heading =
    R"(# Written by `pcibackd --print-udev-rules > /etc/udev/rules.d/70-pcibackd.rules`; write it again when the settings change,
# and then `update-initramfs -u`. The number is below that of the rules that load drivers (80-drivers.rules).
ACTION!="add", GOTO="pcibackd_end"
SUBSYSTEM!="pci", GOTO="pcibackd_end"
)";
constexpr const char* end = R"(GOTO="pcibackd_end")";

/// A condition of a rule: sysfs shows `attribute` in hexadecimal.
std::string condition(const char* attribute, std::uint16_t value) {
  return fmt::format(R"(ATTR{{{}}}=="0x{:04x}", )", attribute, value);
}

std::string kernel_name(const pci::sbdf_pattern& where) {
  // A pattern of the shell: the functions of a slot are written as everywhere.
  const auto name = where.slot ? pci::to_string(where) : fmt::format("{:04x}:{:02x}:*", where.segment, where.bus);
  return fmt::format(R"(KERNEL=="{}", )", name);
}

std::string class_name(const pci::class_pattern& what) {
  auto digits = fmt::format("{:06x}", what.code);
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if ((what.mask >> (4 * (digits.size() - 1 - i)) & 0xf) == 0) {
      digits[i] = '?';
    }
  }
  return fmt::format(R"(ATTR{{class}}=="0x{}", )", digits);
}

std::string ids_conditions(const pci::id_pattern& ids) {
  return condition("vendor", ids.vendor) + (ids.device ? condition("device", *ids.device) : "");
}

std::string conditions(const pci::selector& match) {
  auto text = match.address ? kernel_name(*match.address) : std::string{};
  text += match.ids ? ids_conditions(*match.ids) : "";
  text += match.classes ? class_name(*match.classes) : "";
  // What is behind a bridge is dom0's, unless somebody names the bridge.
  return text + (match.whole_address() ? "" : R"(ATTR{class}!="0x06*", )");
}

std::string pin_conditions(const pci::pin& pin) {
  auto text = pin.ids ? ids_conditions(*pin.ids) : std::string{};
  if (pin.board) {
    text += condition("subsystem_vendor", pin.board->vendor) + condition("subsystem_device", pin.board->device);
  }
  return text;
}

std::string rules_of(const config::device& device) {
  const auto match = conditions(device.match);
  if (!device.hold) {
    return match + end + "\n";
  }
  auto text =
      match + (device.pin ? pin_conditions(*device.pin) : "") + R"(ATTR{driver_override}="pci-stub", )" + end + "\n";
  if (device.pin) { // another card there is dom0's
    text += match + end + "\n";
  }
  if (device.pin && device.pin->serial) {
    text = "# udev cannot see serial numbers: the daemon looks at this one's.\n" + text;
  }
  return text;
}

} // namespace

std::string udev_rules(const config::settings& settings, const std::map<pci::sbdf, std::string>& spared) {
  auto all = settings.devices;
  for (const auto& pattern : settings.hide) {
    all.emplace_back().match = pci::selector{pattern};
  }
  // The first rule that matches has the last word.
  std::stable_sort(all.begin(), all.end(), [](const config::device& left, const config::device& right) {
    return left.match.exactness() > right.match.exactness();
  });
  std::string text = heading;
  for (const auto& [address, why] : spared) {
    text += fmt::format("# {} {}\nKERNEL==\"{}\", {}\n", pci::to_string(address), why, pci::to_string(address), end);
  }
  for (const auto& device : all) {
    text += rules_of(device);
  }
  // The kernel's hide= of a bridge means what is below it, too.
  for (const auto& pattern : settings.hide) {
    if (const auto bridge = pci::selector{pattern}.whole_address()) {
      text +=
          fmt::format(R"(KERNELS=="{}", ATTR{{driver_override}}="pci-stub", {})", pci::to_string(*bridge), end) + "\n";
    }
  }
  return text + "LABEL=\"pcibackd_end\"\n";
}

} // namespace daemon_program
