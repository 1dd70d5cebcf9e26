// SPDX-License-Identifier: GPL-2.0-or-later
#include "platform/xen/grants.hpp"

#include <cerrno>

#include <sys/mman.h>

#include <fmt/format.h>

#include "platform/xen/quiet.hpp"

extern "C" {
#include <xengnttab.h>
}

namespace platform::xen {
namespace {

class granted_page final : public mapped_page {
public:
  granted_page(std::shared_ptr<xengntdev_handle> table, void* address) : table_(std::move(table)), address_(address) {}
  ~granted_page() override { xengnttab_unmap(table_.get(), address_, 1); }
  [[nodiscard]] void* address() const override { return address_; }

private:
  std::shared_ptr<xengntdev_handle> table_;
  void* address_;
};

} // namespace

pci::result<std::unique_ptr<grants>> grants::open() {
  xengnttab_handle* table = xengnttab_open(quiet(), 0);
  if (table == nullptr)
    return pci::fail(errno, "grants: cannot open /dev/xen/gntdev");
  return std::unique_ptr<grants>(new grants({table, &xengnttab_close}));
}

pci::result<std::unique_ptr<mapped_page>> grants::map(domain_id domain, std::uint32_t reference) {
  // Without an unmap notification: its byte would clear the page's flags, and a frontend would take an operation that
  // nobody has served for done.
  void* address = xengnttab_map_grant_ref(table_.get(), domain, reference, PROT_READ | PROT_WRITE);
  if (address == nullptr)
    return pci::fail(errno, fmt::format("grants: cannot map reference {} of domain {}", reference, domain));
  return std::make_unique<granted_page>(table_, address);
}

} // namespace platform::xen
