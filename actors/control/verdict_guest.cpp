// SPDX-License-Identifier: GPL-2.0-or-later
// What is the matter with a function that a guest has.
#include "actors/control/verdict_looks.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "pci/config_space/registers.hpp"

namespace actors::control::verdicts {

using pci::xenbus_state;

namespace {

/// Drivers of such cards do nothing without bus mastering, where a serial port, say, works without.
bool masters_when_driven(std::uint32_t class_code) {
  constexpr std::array<std::uint32_t, 7> bases{0x01, 0x02, 0x03, 0x04, 0x0c, 0x0d, 0x12};
  return std::ranges::find(bases, class_code >> 16) != bases.end();
}

/// The guest's kernel has read it, and no driver has gone on from there.
bool is_off(const account& what) {
  return what.command && (*what.command & pci::reg::command_master) == 0 && what.status->vectors.empty() &&
         masters_when_driven(what.class_code) && !(what.guest && what.guest->hvm);
}

} // namespace

found ownership(const account& what) {
  const auto owner = what.status->domain;
  if (!what.assigned || !owner || what.assigned->domain == owner ||
      (what.assigned->domain && what.assigned->domain == what.status->target)) {
    return {};
  }
  return verdict{
      verdict_kind::not_given,
      fmt::format("{} has {}, which is assigned to \"{}\"", words_of(what), name_of(what), what.assigned->guest),
      fmt::format("pcibackctl drain {}", name_of(what))};
}

found life(const account& what) {
  if (!what.guest) {
    return {};
  }
  if (what.guest->ended) {
    return verdict{verdict_kind::ended,
                   fmt::format("{} has shut down, and still has {}", words_of(what), name_of(what)),
                   fmt::format("xl destroy {}", xl_name(what))};
  }
  if (what.guest->paused) {
    return verdict{verdict_kind::paused, fmt::format("{} is paused, so its driver does nothing", words_of(what)),
                   fmt::format("xl unpause {}", xl_name(what))};
  }
  return {};
}

found connection(const account& what) {
  if (!what.guest || what.guest->hvm) {
    return {};
  }
  if (what.guest->served && !what.guest->served->frontend_error.empty()) {
    return verdict{verdict_kind::frontend_error,
                   fmt::format("the PCI frontend of {} says: {}", words_of(what), what.guest->served->frontend_error),
                   fmt::format("xl console {}", xl_name(what))};
  }
  if (what.guest->served && what.guest->served->connected) {
    return {};
  }
  if (!what.guest->backend_error.empty()) {
    return verdict{verdict_kind::backend_error,
                   fmt::format("{} is not served: {}", words_of(what), what.guest->backend_error),
                   fmt::format("pcibackctl drain {}", xl_name(what))};
  }
  const auto frontend = what.guest->served ? what.guest->served->frontend : xenbus_state::unknown;
  if (frontend == xenbus_state::unknown || frontend == xenbus_state::initialising || frontend == xenbus_state::closed) {
    return verdict{verdict_kind::no_frontend,
                   fmt::format("{} has {}, but no PCI frontend of it answers: its kernel needs xen-pcifront "
                               "(CONFIG_XEN_PCIDEV_FRONTEND), or has not got that far",
                               words_of(what), name_of(what)),
                   fmt::format("xl console {}", xl_name(what))};
  }
  return verdict{verdict_kind::waits,
                 fmt::format("{} is connecting (backend {}, frontend {})", words_of(what),
                             pci::to_string(what.guest->served->backend), pci::to_string(frontend)),
                 fmt::format("pcibackctl explain {}", name_of(what))};
}

found vectors(const account& what) {
  if (!what.guest || !what.status->vectors.empty() || what.guest->vector_limit == 0 ||
      what.guest->vectors < what.guest->vector_limit) {
    return {};
  }
  return verdict{verdict_kind::no_vectors,
                 fmt::format("{} uses all {} interrupt vectors that Xen gives a guest, and none is left for {}; put "
                             "extra_guest_irqs={} on Xen's command line and restart the host",
                             words_of(what), what.guest->vector_limit, name_of(what), 4 * what.guest->vector_limit),
                 "xl dmesg | grep -i 'command line'"};
}

found errors(const account& what) {
  if (what.status->errors.failed == 0) {
    return {};
  }
  return verdict{verdict_kind::unrecovered,
                 fmt::format("{} reported an error from which {} did not recover{}", name_of(what), words_of(what),
                             what.status->errors.last.empty() ? std::string{} : ": " + what.status->errors.last),
                 fmt::format("pcibackctl drain {}", name_of(what))};
}

found line(const account& what) {
  if (!what.status->storm && what.status->danger == pci::line_danger::none) {
    return {};
  }
  return verdict{
      verdict_kind::storm,
      what.status->storm
          ? fmt::format("{} raises too many interrupts on line {}, which are let through with pauses", name_of(what),
                        what.status->gsi)
          : fmt::format("dom0's kernel may give up interrupt line {}, which {} uses", what.status->gsi, name_of(what)),
      "pcibackctl lines"};
}

found use(const account& what) {
  if (what.status->operations == 0 && !(what.guest && what.guest->hvm)) {
    return verdict{verdict_kind::untouched,
                   fmt::format("{} has {}, and nothing in it has looked at it yet: its kernel needs the card's driver",
                               words_of(what), name_of(what)),
                   fmt::format("xl console {}", xl_name(what))};
  }
  if (is_off(what)) {
    return verdict{verdict_kind::no_driver,
                   fmt::format("{} has {} and has looked at it, but no driver of the guest's has switched it on: the "
                               "log of its kernel says why. It may lack the card's driver; \"Could not claim "
                               "resource\" there means that its xl configuration needs e820_host=1, from its next "
                               "start on",
                               words_of(what), name_of(what)),
                   fmt::format("xl console {}", xl_name(what))};
  }
  const auto works = fmt::format("{} has {}, and it works", words_of(what), name_of(what));
  if (what.status->refused_writes != 0) {
    return verdict{verdict_kind::refused_writes,
                   fmt::format("{}; {} of the guest's writes did not get through", works, what.status->refused_writes),
                   fmt::format("pcibackctl writes {}", name_of(what))};
  }
  return verdict{verdict_kind::works, works, ""};
}

} // namespace actors::control::verdicts
