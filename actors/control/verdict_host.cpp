// SPDX-License-Identifier: GPL-2.0-or-later
// What the settings, the host and the function itself have against it.
#include "actors/control/verdict_looks.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "platform/pci_host.hpp"

namespace actors::control::verdicts {

using messages::function_state;
namespace {

constexpr std::size_t most_mates = 4;
constexpr const char* restart = "systemctl restart pcibackd";

} // namespace

found absence(const account& what) {
  if (is_in(what, function_state::gone)) {
    return verdict{verdict_kind::removed, fmt::format("{} was removed from the host", name_of(what)),
                   "echo 1 > /sys/bus/pci/rescan"};
  }
  if (what.there || is_held(what)) {
    return {};
  }
  std::vector<std::string> mates;
  for (const auto& each : what.slot_mates) {
    if (mates.size() < most_mates) {
      mates.push_back(pci::to_string(each.address));
    }
  }
  auto text = fmt::format("the host has no function at {}", name_of(what));
  if (!mates.empty()) {
    text += fmt::format(" (on its bus: {})", fmt::join(mates, ", "));
  }
  if (what.configured || what.assigned) {
    text += fmt::format("; correct the address in its {} to one that the host has",
                        what.assigned ? "[[assign]]" : "[[device]]");
  }
  return verdict{verdict_kind::absent, text, "lspci -D"};
}

found objection(const account& what) {
  if (is_held(what)) {
    return {};
  }
  if (!what.pin_mismatch.empty()) {
    return verdict{verdict_kind::wrong_pin,
                   fmt::format("another card than the pinned one is at {}: {}; if it is meant, correct pin in its "
                               "[[device]], then restart pcibackd",
                               name_of(what), what.pin_mismatch),
                   restart};
  }
  if (!what.objection.empty()) {
    return verdict{verdict_kind::must_not, fmt::format("{} must not be held: {}", name_of(what), what.objection),
                   fmt::format("pcibackctl hold {}", name_of(what))};
  }
  return {};
}

// Without one even a hold fails, since the function cannot be put into quarantine. Who wants nothing of the function
// need not hear of it.
found translation(const account& what) {
  const bool wanted = what.hold || what.assigned || what.status || !what.troubles.empty();
  if (!what.no_iommu || !wanted) {
    return {};
  }
  return verdict{verdict_kind::no_iommu,
                 fmt::format("Xen drives no IOMMU, so no guest can have {}: turn on VT-d or AMD-Vi in the firmware, "
                             "remove iommu=off from Xen's command line if it is there, and restart the host",
                             name_of(what)),
                 "xl dmesg | grep -i -e iommu -e 'VT-d' -e 'command line'"};
}

found holding(const account& what) {
  if (is_held(what)) {
    return {};
  }
  const bool driven = !what.driver.empty() && !platform::is_holder(what.driver);
  auto text = driven ? fmt::format("{} is not held: dom0's driver {} has it", name_of(what), what.driver)
                     : fmt::format("{} is not held", name_of(what));
  if (!driven) {
    text += last_trouble(what);
  }
  if (what.assigned) {
    text += fmt::format(", so \"{}\" cannot get it", what.assigned->guest);
  }
  const bool wanted = what.hold || what.assigned;
  if (wanted && driven && !what.seize) {
    text += "; seize = true in a [[device]] for it takes it at each start";
  } else if (wanted && !what.hold) {
    text += "; a [[device]] for it holds it at each start";
  }
  return verdict{wanted ? verdict_kind::not_held : verdict_kind::dom0s, text,
                 fmt::format("pcibackctl hold {}{}", name_of(what), driven ? " --seize" : "")};
}

found condition(const account& what) {
  switch (what.status->state) {
  case function_state::failed:
    return verdict{
        verdict_kind::failed,
        fmt::format("{} could not be shown to be clean, and goes to nobody{}", name_of(what), detail_of(what)),
        fmt::format("pcibackctl retry {}", name_of(what))};
  case function_state::inherited:
    return verdict{verdict_kind::inherited,
                   fmt::format("{} has {} from an earlier pcibackd, and this one does not serve it", words_of(what),
                               name_of(what)),
                   fmt::format("pcibackctl drain {}", name_of(what))};
  case function_state::holding:
  case function_state::scrubbing:
    return verdict{verdict_kind::waits,
                   fmt::format("{} is {}{}; it takes a minute at most", name_of(what),
                               messages::to_string(what.status->state), detail_of(what)),
                   fmt::format("pcibackctl explain {}", name_of(what))};
  default:
    return {};
  }
}

} // namespace actors::control::verdicts
