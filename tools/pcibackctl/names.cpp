// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/pcibackctl/names.hpp"

#include <array>
#include <cstdlib>
#include <cstring>
#include <memory>

#include <fmt/format.h>

extern "C" {
#include <pci/pci.h>
}

namespace client_program {
namespace {

// What follows one of these is the form of the company, or what it has to do with others.
constexpr std::array<std::string_view, 16> ends_of_a_vendor{
    ", Inc", ", Ltd", ", LLC",    " Corporation", " Corp", " Inc", " Co.",       " Ltd",
    " LLC",  " GmbH", " Limited", " AG",          " S.A.", " [",   " Technolog", " Semicon"};

// libpci tells of a list that it cannot read through these, which pci_init would set; but that looks for a bus as well.
void ignore(char* /*format*/, ...) {} // NOLINT(cert-dcl50-cpp): libpci's type

struct access_closer {
  void operator()(pci_access* access) const { ::pci_cleanup(access); }
};

std::string looked_up(pci_access* access, int what, int vendor, int device) {
  std::array<char, 256> buffer{};
  const auto* name = ::pci_lookup_name(access, buffer.data(), static_cast<int>(buffer.size()),
                                       what | PCI_LOOKUP_NO_NUMBERS, vendor, device);
  return name != nullptr ? std::string{name} : std::string{};
}

int number_of(const std::string& hexadecimal) {
  const auto read = std::strtoul(hexadecimal.c_str(), nullptr, 16);
  return static_cast<int>(read & 0xffffU);
}

} // namespace

std::string short_name(std::string_view vendor, std::string_view device) {
  for (const auto end : ends_of_a_vendor) {
    if (const auto at = vendor.find(end); at != std::string_view::npos && at != 0) {
      vendor = vendor.substr(0, at);
    }
  }
  const auto open = device.rfind('['), close = device.rfind(']');
  if (open != std::string_view::npos && close == device.size() - 1 && open + 1 < close) {
    device = device.substr(open + 1, close - open - 1);
  }
  if (vendor.empty() || device.empty()) {
    return std::string{vendor.empty() ? device : vendor};
  }
  return device.starts_with(vendor) ? std::string{device} : fmt::format("{} {}", vendor, device);
}

// Its list is read at the first look-up, and no bus is scanned.
card_namer pci_ids(const std::string& list) {
  std::shared_ptr<pci_access> access(::pci_alloc(), access_closer{});
  access->warning = ignore;
  access->debug = ignore;
  if (!list.empty()) {
    ::pci_set_name_list_path(access.get(), ::strdup(list.c_str()), 1);
  }
  return [access](const std::string& vendor, const std::string& device) {
    if (vendor.empty() || number_of(vendor) == 0) {
      return std::string{};
    }
    return short_name(looked_up(access.get(), PCI_LOOKUP_VENDOR, number_of(vendor), 0),
                      looked_up(access.get(), PCI_LOOKUP_DEVICE, number_of(vendor), number_of(device)));
  };
}

} // namespace client_program
