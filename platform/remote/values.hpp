// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <tuple>
#include <type_traits>

#include "pci/dmar.hpp"
#include "pci/function.hpp"
#include "pci/protocol/aer.hpp"
#include "pci/protocol/guard_state.hpp"
#include "pci/protocol/reset.hpp"
#include "pci/selector.hpp"
#include "platform/hypervisor.hpp"
#include "platform/pci_host.hpp"
#include "platform/store.hpp"

/// What travels between the two processes, member by member: the codec (codec.hpp) goes by these.
namespace platform::remote {

/// One thread of the worker, as dom0's kernel shows it to the host process.
struct thread_time {
  std::uint32_t id = 0;
  std::string name;
  char state = '?';
  std::uint64_t milliseconds = 0; ///< of a processor's time
  friend bool operator==(const thread_time&, const thread_time&) = default;
};

/// The numbers that come with a descriptor: of an event channel its own port and the one that wakes its thread, of a
/// page the offset at which it is mapped.
struct handed_numbers {
  std::uint64_t first = 0;
  std::uint64_t second = 0;
  friend bool operator==(const handed_numbers&, const handed_numbers&) = default;
};

template <class V, class T>
concept some = std::same_as<std::remove_const_t<V>, T>;

auto tied(some<pci::sbdf> auto& v) { return std::tie(v.segment, v.bus, v.devfn); }
auto tied(some<pci::failure> auto& v) { return std::tie(v.error, v.context); }
auto tied(some<pci::resource> auto& v) { return std::tie(v.start, v.end, v.flags); }
auto tied(some<pci::function> auto& v) {
  return std::tie(v.address, v.vendor, v.device, v.class_code, v.resources, v.irq, v.physical_function, v.bridges,
                  v.config);
}
auto tied(some<pci::identity> auto& v) { return std::tie(v.address, v.vendor, v.device, v.class_code); }
auto tied(some<pci::reset_option> auto& v) { return std::tie(v.method, v.hits); }
auto tied(some<pci::reserved_region> auto& v) { return std::tie(v.first, v.last, v.functions); }
auto tied(some<power_settings> auto& v) { return std::tie(v.suspends, v.loses_power, v.enabled_here); }
auto tied(some<pci::line_counts> auto& v) { return std::tie(v.count, v.unhandled); }
auto tied(some<pci::line_facts> auto& v) {
  return std::tie(v.gsi, v.level, v.dom0_handlers, v.functions, v.drivers, v.domains_share, v.bridge, v.guests);
}
auto tied(some<domain_info> auto& v) { return std::tie(v.dying, v.shutdown, v.paused, v.hvm); }
auto tied(some<node_permission> auto& v) { return std::tie(v.domid, v.read, v.write); }
auto tied(some<thread_time> auto& v) { return std::tie(v.id, v.name, v.state, v.milliseconds); }
auto tied(some<handed_numbers> auto& v) { return std::tie(v.first, v.second); }

/// The greatest value of an enumeration that begins with 0: what is beyond is refused.
template <class Enumeration>
inline constexpr Enumeration last_of = Enumeration::unknown_to_the_codec;
template <>
inline constexpr holder last_of<holder> = holder::uio;
template <>
inline constexpr pci::rdm_policy last_of<pci::rdm_policy> = pci::rdm_policy::relaxed;
template <>
inline constexpr pci::reset_method last_of<pci::reset_method> = pci::reset_method::unnamed;
template <>
inline constexpr pci::guard_state last_of<pci::guard_state> = pci::guard_state::let_go;
template <>
inline constexpr pci::error_severity last_of<pci::error_severity> = pci::error_severity::fatal;

} // namespace platform::remote
