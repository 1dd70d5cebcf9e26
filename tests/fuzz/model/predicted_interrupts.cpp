// SPDX-License-Identifier: GPL-2.0-or-later
#include "fuzz/model/predicted_interrupts.hpp"

#include <set>

namespace model {
namespace {

constexpr unsigned command = 0x04;
constexpr std::uint32_t memory = 0x002, line_off = 0x400;
constexpr std::uint32_t msi_on = 0x0001, msix_on = 0x8000, msix_masked = 0x4000;

} // namespace

/// False: it failed, or the card reads all ones, which no control register does.
bool predicted_interrupts::change(unsigned offset, std::uint32_t clear, std::uint32_t set, std::uint32_t& before) {
  if (to_.read(offset, 2, before) != 0 || before == 0xffff)
    return false;
  const std::uint32_t next = (before & ~clear) | set;
  return next == before || to_.write(offset, 2, next) == 0;
}

bool predicted_interrupts::change(unsigned offset, std::uint32_t clear, std::uint32_t set) {
  std::uint32_t before = 0;
  return change(offset, clear, set, before);
}

bool predicted_interrupts::decodes_memory() {
  std::uint32_t now = 0, status = 0;
  if (to_.read(command, 2, now) != 0)
    return false;
  if (now == 0xffff && (to_.read(0x06, 2, status) != 0 || status == 0xffff))
    return false;
  return (now & memory) != 0;
}

predicted_interrupts::outcome predicted_interrupts::enable_msi(bool allowed) {
  if (!allowed || plan_.find(kind::msi) == nullptr || !turn_on(messages::msi, {}))
    return {failed, 0, {}};
  return {0, vectors.front().pirq, {}};
}

predicted_interrupts::outcome
predicted_interrupts::enable_msix(std::uint32_t count, const std::vector<std::uint16_t>& entries, bool allowed) {
  const capability* msix = plan_.find(kind::msix);
  const outcome refused{failed, count, {}};
  if (!allowed || msix == nullptr || !decodes_memory() || count == 0 || count > 128)
    return refused;
  const std::set<std::uint16_t> different(entries.begin(), entries.end());
  if (different.size() != count || *different.rbegin() >= msix->entries || !turn_on(messages::msix, entries))
    return refused;
  outcome granted;
  for (const vector& each : vectors)
    granted.pirqs.push_back(each.pirq);
  return granted;
}

/// Either kind of disable ends whichever is on, and no guest is told of a failure.
predicted_interrupts::outcome predicted_interrupts::disable() {
  if (on != messages::none || !vectors.empty())
    turn_off(true);
  return {0, plan_.irq <= 0xffff ? plan_.irq : 0, {}};
}

void predicted_interrupts::end() { turn_off(true); }

/// The line stays off from the old kind to the new; when it fails, it is as it was.
bool predicted_interrupts::turn_on(messages what, const std::vector<std::uint16_t>& entries) {
  std::uint32_t now = 0, status = 0;
  const bool answers =
      to_.read(command, 2, now) == 0 && (now != 0xffff || (to_.read(0x06, 2, status) == 0 && status != 0xffff));
  const bool had_line = on != messages::none || (answers && (now & line_off) == 0);
  bool good = answers && turn_off(false) && map(what, entries) && change(command, 0, line_off);
  if (good) {
    on = what;
    good = what == messages::msi ? change(plan_.find(kind::msi)->offset + 2U, 0, msi_on)
                                 : change(plan_.find(kind::msix)->offset + 2U, msix_masked, msix_on);
  }
  if (!good)
    turn_off(had_line);
  return good;
}

bool predicted_interrupts::map(messages what, const std::vector<std::uint16_t>& entries) {
  if (what == messages::msi)
    return map_one({deed::kind::map_msi, 0, 0, 0});
  if (!change(command, 0, memory))
    return false;
  for (const auto entry : entries)
    if (!map_one({deed::kind::map_msix, entry, 0, plan_.bars.at(plan_.find(kind::msix)->table_bar).start}))
      return false;
  return true;
}

/// Pirq 0 is one, and no frontend takes it for one.
bool predicted_interrupts::map_one(const deed& what) {
  std::uint16_t pirq = 0;
  if (to_.map(what, pirq) != 0)
    return false;
  vectors.push_back({static_cast<std::uint16_t>(what.where), pirq});
  return pirq != 0;
}

/// Whatever fails, the rest is done.
bool predicted_interrupts::turn_off(bool line_too) {
  bool off = true, good = true;
  if (const capability* msi = plan_.find(kind::msi))
    off = change(msi->offset + 2U, msi_on, 0);
  if (const capability* msix = plan_.find(kind::msix))
    off = change(msix->offset + 2U, msix_on, 0) && off;
  if (off)
    on = messages::none;
  good = unmap_all() && off;
  return (!line_too || change(command, line_off, 0)) && good;
}

/// With memory decoded, if there is an MSI-X table: Xen would mask the card for good.
bool predicted_interrupts::unmap_all() {
  if (vectors.empty())
    return true;
  const bool has_table = plan_.find(kind::msix) != nullptr;
  std::uint32_t before = memory;
  bool good = !has_table || change(command, 0, memory, before);
  const bool can_restore = good;
  std::vector<vector> left;
  for (const vector& each : vectors) {
    const int error = to_.unmap(each.pirq);
    if (error != 0 && error != ESRCH && error != EINVAL) {
      good = false;
      left.push_back(each);
    }
  }
  vectors = left;
  if (can_restore && (before & memory) == 0)
    good = change(command, memory, 0) && good;
  return good;
}

} // namespace model
