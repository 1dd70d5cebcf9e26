// SPDX-License-Identifier: GPL-2.0-or-later
// What keeps a function that is held and clean from the guest that is to have it.
#include "actors/control/verdict_looks.hpp"

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>

#include "platform/pci_host.hpp"

namespace actors::control::verdicts {

using messages::function_state;

namespace {

/// It is assigned to a guest that runs, and is a PV guest: what xl has to do for others xl says itself.
bool waits_for_pv_guest(const account& what) {
  return is_in(what, function_state::held) && what.assigned && what.assigned->domain &&
         !(what.guest && (what.guest->hvm || what.guest->pvh));
}

} // namespace

found reservation(const account& what) {
  if (!is_in(what, function_state::held) || !what.status->reserved || what.status->last_guests.empty()) {
    return {};
  }
  return verdict{verdict_kind::reserved,
                 fmt::format("{} is clean, but goes to nobody else before its last guest has ended{}", name_of(what),
                             detail_of(what)),
                 fmt::format("xl shutdown {}", what.status->last_guests.front())};
}

// Xen's own rule; what the daemon was told when it tried is forgotten when it ends.
found reserved_memory(const account& what) {
  if (!waits_for_pv_guest(what) || what.rdm_relaxed) {
    return {};
  }
  for (const auto& region : what.reserved) {
    const auto other = std::ranges::find_if(region.functions, [&](const auto& each) { return each != what.address; });
    if (other != region.functions.end()) {
      return verdict{
          verdict_kind::reserved_memory,
          fmt::format("{} does not get {}, which shares reserved memory of the firmware's (RMRR) with {}: if the guest "
                      "may reach that memory too, put rdm = \"relaxed\" into its [[device]]",
                      words_of(what), name_of(what), pci::to_string(*other)),
          fmt::format("pcibackctl attach --rdm relaxed {} {}", xl_name(what), name_of(what))};
    }
  }
  return {};
}

found pages(const account& what) {
  if (!waits_for_pv_guest(what) || what.share_pages) {
    return {};
  }
  for (const auto& mate : what.page_mates) {
    const bool dom0s = !mate.driver.empty() && !platform::is_holder(mate.driver);
    if (!dom0s && !mate.domain) {
      continue;
    }
    const auto other = pci::to_string(mate.address);
    const auto text = fmt::format("{} does not get {}, which has registers in the same page as {}: ", words_of(what),
                                  name_of(what), other);
    if (dom0s) {
      return verdict{verdict_kind::shared_page,
                     text + fmt::format("dom0's driver {} has that; hold it too, or put share_pages = true into the "
                                        "[[device]] of {}",
                                        mate.driver, name_of(what)),
                     fmt::format("pcibackctl hold {} --seize", other)};
    }
    return verdict{verdict_kind::shared_page,
                   text + fmt::format("{} has that; give both to one guest, or put share_pages = true into the "
                                      "[[device]] of {} and have the daemon take that over",
                                      mate.guest, name_of(what)),
                   fmt::format("pcibackctl reload && pcibackctl attach {} {}", xl_name(what), name_of(what))};
  }
  return {};
}

// Only Xen knows, and says so when it is asked to give something to the guest.
found passthrough(const account& what) {
  if (!waits_for_pv_guest(what) || what.troubles.empty() || what.troubles.back().error != EOPNOTSUPP ||
      what.troubles.back().what.find(fmt::format("domain {}:", *what.assigned->domain)) == std::string::npos) {
    return {};
  }
  return verdict{verdict_kind::no_passthrough,
                 fmt::format("{} does not get {}, for Xen built the guest without passthrough: put "
                             "passthrough=\"enabled\" and e820_host=1 into its xl configuration, and start it again",
                             words_of(what), name_of(what)),
                 fmt::format("xl shutdown -w {} && xl create CONFIGURATION", xl_name(what))};
}

found assignment(const account& what) {
  if (!is_in(what, function_state::held) || !what.assigned) {
    return {};
  }
  const auto& to = *what.assigned;
  if (!to.domain && !to.nearest.empty()) {
    return verdict{
        verdict_kind::no_guest,
        fmt::format("{} is assigned to \"{}\", and no guest of that name or UUID runs: correct domain in its "
                    "[[assign]] if \"{}\" is meant",
                    name_of(what), to.guest, to.nearest),
        fmt::format("pcibackctl attach {} {}", quoted(to.nearest), name_of(what))};
  }
  if (!to.domain) {
    return verdict{
        verdict_kind::no_guest,
        fmt::format("{} is ready for \"{}\", and no guest of that name or UUID runs", name_of(what), to.guest),
        "xl list"};
  }
  if (what.guest && what.guest->pvh) {
    return verdict{verdict_kind::not_given,
                   fmt::format("{} is a PVH guest, and Xen gives those no functions", words_of(what)), "xl list"};
  }
  const bool by_xl = what.guest && what.guest->hvm;
  return verdict{verdict_kind::not_given,
                 fmt::format("{} runs, but does not have {}{}", words_of(what), name_of(what), last_trouble(what)),
                 fmt::format("{} {} {}", by_xl ? "pcibackd-with-sysfs xl pci-attach" : "pcibackctl attach",
                             xl_name(what), name_of(what))};
}

found freedom(const account& what) {
  if (!is_in(what, function_state::held)) {
    return {};
  }
  return verdict{verdict_kind::free,
                 fmt::format("{} is held, clean, and no guest has it{}", name_of(what), last_trouble(what)),
                 fmt::format("pcibackctl attach GUEST {}", name_of(what))};
}

} // namespace actors::control::verdicts
