// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cerrno>
#include <cstddef>

#include <fmt/format.h>

#include "messages/types.hpp"
#include "pci/interrupts/message_interrupts.hpp"
#include "platform/host.hpp"

namespace actors {

/// Xen's pirqs for one guest and one function.
class guest_pirqs final : public pci::pirq_port {
public:
  /// `others`: how many the guest has of its other functions.
  guest_pirqs(platform::hypervisor& xen, messages::domain_id domain, const pci::sbdf& address, std::size_t others = 0)
      : xen_(xen), domain_(domain), address_(address), others_(others) {}
  pci::result<std::uint16_t> map_msi() override { return count(xen_.map_msi(domain_, address_)); }
  pci::result<std::uint16_t> map_msix(std::uint16_t entry, std::uint64_t table_base) override {
    return count(xen_.map_msix(domain_, address_, entry, table_base));
  }
  pci::result<void> unmap(std::uint16_t pirq) override { return xen_.unmap_pirq(domain_, pirq); }

private:
  // Xen's number alone, "no space left on device", led people to look at disks.
  pci::result<std::uint16_t> count(pci::result<std::uint16_t> mapped) {
    if (mapped) {
      ++mapped_;
    } else if (mapped.error().error == ENOSPC) {
      const auto limit = xen_.vectors_a_guest();
      mapped.error().context +=
          fmt::format(": the guest has {} vectors of this function by now and {} of others, and Xen gives a guest {}; "
                      "extra_guest_irqs={} on Xen's command line, for one, gives it more",
                      mapped_, others_, limit, 2 * limit);
    }
    return mapped;
  }

  platform::hypervisor& xen_;
  messages::domain_id domain_;
  pci::sbdf address_;
  std::size_t others_;
  std::size_t mapped_ = 0;
};

} // namespace actors
