// SPDX-License-Identifier: GPL-2.0-or-later
#include "platform/sim/grants.hpp"

#include <cerrno>
#include <utility>

#include <fmt/format.h>

namespace platform::sim {

class sim_mapping final : public mapped_page {
public:
  sim_mapping(grants& owner, domain_id domain, std::uint32_t reference, std::shared_ptr<guest_page> page)
      : owner_(&owner), domain_(domain), reference_(reference), page_(std::move(page)) {}
  sim_mapping(const sim_mapping&) = delete;
  sim_mapping& operator=(const sim_mapping&) = delete;
  ~sim_mapping() override { owner_->unmapped(domain_, reference_); }
  [[nodiscard]] void* address() const override { return page_->bytes.data(); }

private:
  grants* owner_;
  domain_id domain_;
  std::uint32_t reference_;
  std::shared_ptr<guest_page> page_;
};

pci::result<std::unique_ptr<mapped_page>> grants::map(domain_id domain, std::uint32_t reference) {
  std::lock_guard hold(mutex_);
  const auto where = fmt::format("map grant {} of domain {}", reference, domain);
  const auto table = tables_.find(domain);
  if (table == tables_.end())
    return pci::fail(ESRCH, where);
  const auto found = table->second.entries.find(reference);
  if (table->second.dying || found == table->second.entries.end())
    return pci::fail(EINVAL, where);
  if (found->second.to != 0 || found->second.read_only)
    return pci::fail(EACCES, where);
  ++found->second.mappings;
  ++table->second.mappings;
  ++maps_;
  return std::make_unique<sim_mapping>(*this, domain, reference, found->second.page);
}

void grants::unmapped(domain_id domain, std::uint32_t reference) {
  bool last = false;
  {
    std::lock_guard hold(mutex_);
    const auto table = tables_.find(domain);
    if (table == tables_.end())
      return;
    if (const auto found = table->second.entries.find(reference); found != table->second.entries.end())
      --found->second.mappings;
    last = --table->second.mappings == 0;
  }
  if (last)
    released_(domain);
}

void grants::add_domain(domain_id domain) {
  std::lock_guard hold(mutex_);
  tables_[domain];
}

std::uint32_t grants::grant(domain_id domain, std::shared_ptr<guest_page> page, domain_id to, bool read_only) {
  std::lock_guard hold(mutex_);
  auto& table = tables_[domain];
  const auto reference = table.next++;
  table.entries[reference] = {std::move(page), to, read_only, 0};
  return reference;
}

bool grants::revoke(domain_id domain, std::uint32_t reference) {
  std::lock_guard hold(mutex_);
  const auto table = tables_.find(domain);
  if (table == tables_.end())
    return true;
  const auto found = table->second.entries.find(reference);
  if (found == table->second.entries.end())
    return true;
  if (found->second.mappings != 0)
    return false;
  table->second.entries.erase(found);
  return true;
}

void grants::kill_domain(domain_id domain) {
  std::lock_guard hold(mutex_);
  if (const auto table = tables_.find(domain); table != tables_.end())
    table->second.dying = true;
}

void grants::remove_domain(domain_id domain) {
  std::lock_guard hold(mutex_);
  tables_.erase(domain);
}

unsigned grants::mapped(domain_id domain) const {
  std::lock_guard hold(mutex_);
  const auto table = tables_.find(domain);
  return table == tables_.end() ? 0 : table->second.mappings;
}

} // namespace platform::sim
