// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "platform/remote/codec.hpp"

/// All that the worker can ask of the host process. A request is one packet: the call's number, then its arguments. The
/// answer is one packet: a `verdict`, then the value, or the failure.
namespace platform::remote {

enum class call : std::uint8_t {
  connect, ///< another connection: its descriptor comes with the answer
  start,   ///< events are told from now on
  stop,    ///< and not any more
  notify,
  replace_metrics,
  remove_metrics,
  threads,
  read_settings,
  // hypervisor
  map_msi,
  map_msix,
  unmap_pirq,
  prepare_msix,
  release_msix,
  restore_msi,
  assign,
  deassign,
  has_guest,
  vectors_a_guest,
  processors,
  permit_memory,
  permit_ports,
  permit_irq,
  map_gsi,
  line_shared,
  crash,
  pause,
  domain,
  // grants, event_channels: a descriptor comes with the answer
  map_page,
  bind_channel,
  // pci_host
  list,
  beyond_xen,
  reserved_regions,
  describe,
  identify,
  resources,
  needed_for,
  open_config, ///< a descriptor comes with the answer
  driver,
  hold,
  release,
  let_go,
  previous_driver,
  remember_driver,
  power_before,
  remember_power,
  reset_options,
  boot_id,
  reset,
  // line_interrupts
  line_facts,
  line_counts,
  gives_up_lines,
  set_gives_up_lines,
  listen,
  ignore,
  // removal_guards
  arm_guard,
  release_guard,
  look_at_guard,
  guard_state,
  guarded,
  // store
  read_node,
  write_node,
  make_directory,
  remove_node,
  list_nodes,
  set_permissions,
  transact, ///< answered with `verdict::begin` each time that the body is to run, and at last as any call
  end_body,
  watch,
  unwatch,
  // records
  record_names,
  read_record,
  write_record,
  remove_record,
  doubt_record,
  is_doubted,
  set_record_aside,
  lasting_words,
};
inline constexpr auto calls = static_cast<std::size_t>(call::lasting_words) + 1;
template <>
inline constexpr call last_of<call> = call::lasting_words;

enum class verdict : std::uint8_t { done, failed, begin };
template <>
inline constexpr verdict last_of<verdict> = verdict::begin;

template <call Name, class Answer, class... Arguments>
struct signature {
  static constexpr call name = Name;
  using answer = Answer;
  using arguments = std::tuple<Arguments...>;
};

namespace of {

using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;
using text = std::string;
using pci::sbdf;
using strings = std::vector<std::string>;

using connect = signature<call::connect, handed_numbers>;
using start = signature<call::start, void>;
using stop = signature<call::stop, void>;
using notify = signature<call::notify, void, text>;
using replace_metrics = signature<call::replace_metrics, void, text>;
using remove_metrics = signature<call::remove_metrics, void>;
using threads = signature<call::threads, std::vector<thread_time>>;
using read_settings = signature<call::read_settings, text>;

using map_msi = signature<call::map_msi, u16, u16, sbdf>;
using map_msix = signature<call::map_msix, u16, u16, sbdf, u16, u64>;
using unmap_pirq = signature<call::unmap_pirq, void, u16, u16>;
using prepare_msix = signature<call::prepare_msix, void, sbdf>;
using release_msix = signature<call::release_msix, void, sbdf>;
using restore_msi = signature<call::restore_msi, void, sbdf>;
using assign = signature<call::assign, void, u16, sbdf, pci::rdm_policy>;
using deassign = signature<call::deassign, void, u16, sbdf>;
using has_guest = signature<call::has_guest, bool, sbdf>;
using vectors_a_guest = signature<call::vectors_a_guest, u32>;
using processors = signature<call::processors, u32>;
using permit_memory = signature<call::permit_memory, void, u16, u64, u64, bool>;
using permit_ports = signature<call::permit_ports, void, u16, u32, u32, bool>;
using permit_irq = signature<call::permit_irq, void, u16, u32, bool>;
using map_gsi = signature<call::map_gsi, void, u16, u32>;
using line_shared = signature<call::line_shared, bool, u32>;
using crash = signature<call::crash, void, u16>;
using pause = signature<call::pause, void, u16>;
using domain = signature<call::domain, std::optional<domain_info>, u16>;

using map_page = signature<call::map_page, handed_numbers, u16, u32>;
using bind_channel = signature<call::bind_channel, handed_numbers, u16, u32>;

using list = signature<call::list, std::vector<sbdf>>;
using beyond_xen = signature<call::beyond_xen, strings>;
using reserved_regions = signature<call::reserved_regions, std::vector<pci::reserved_region>>;
using describe = signature<call::describe, pci::function, sbdf>;
using identify = signature<call::identify, pci::identity, sbdf>;
using resources = signature<call::resources, std::array<pci::resource, 7>, sbdf>;
using needed_for = signature<call::needed_for, text, sbdf>;
using open_config = signature<call::open_config, handed_numbers, sbdf>;
using driver = signature<call::driver, text, sbdf>;
using hold = signature<call::hold, void, sbdf, holder, bool>;
using release = signature<call::release, void, sbdf>;
using let_go = signature<call::let_go, void, sbdf>;
using previous_driver = signature<call::previous_driver, text, sbdf>;
using remember_driver = signature<call::remember_driver, void, sbdf, text>;
using power_before = signature<call::power_before, std::optional<power_settings>, sbdf>;
using remember_power = signature<call::remember_power, void, sbdf, power_settings>;
using reset_options = signature<call::reset_options, std::vector<pci::reset_option>, sbdf>;
using boot_id = signature<call::boot_id, text>;
using reset = signature<call::reset, void, sbdf, pci::reset_method>;

using line_facts = signature<call::line_facts, pci::line_facts, u32>;
using line_counts = signature<call::line_counts, pci::line_counts, u32>;
using gives_up_lines = signature<call::gives_up_lines, bool>;
using set_gives_up_lines = signature<call::set_gives_up_lines, void, bool>;
using listen = signature<call::listen, void, sbdf>;
using ignore = signature<call::ignore, void, sbdf>;

using arm_guard = signature<call::arm_guard, void, sbdf>;
using release_guard = signature<call::release_guard, void, sbdf>;
using look_at_guard = signature<call::look_at_guard, void, sbdf>;
using guard_state = signature<call::guard_state, pci::guard_state, sbdf>;
using guarded = signature<call::guarded, std::vector<sbdf>>;

using read_node = signature<call::read_node, text, text>;
using write_node = signature<call::write_node, void, text, text>;
using make_directory = signature<call::make_directory, void, text>;
using remove_node = signature<call::remove_node, void, text>;
using list_nodes = signature<call::list_nodes, strings, text>;
using set_permissions = signature<call::set_permissions, void, text, std::vector<node_permission>>;
using transact = signature<call::transact, void, u32>;
using end_body = signature<call::end_body, void, bool>;
using watch = signature<call::watch, void, text, text, u32>;
using unwatch = signature<call::unwatch, void, text, text>;

using record_names = signature<call::record_names, strings>;
using read_record = signature<call::read_record, text, text>;
using write_record = signature<call::write_record, void, text, text>;
using remove_record = signature<call::remove_record, void, text>;
using doubt_record = signature<call::doubt_record, void, text>;
using is_doubted = signature<call::is_doubted, bool, text>;
using set_record_aside = signature<call::set_record_aside, void, text>;
using lasting_words = signature<call::lasting_words, handed_numbers>;

/// All of them, by their numbers.
using every = std::tuple<connect, start, stop, notify, replace_metrics, remove_metrics, threads, read_settings, map_msi,
                         map_msix, unmap_pirq, prepare_msix, release_msix, restore_msi, assign, deassign, has_guest,
                         vectors_a_guest, processors, permit_memory, permit_ports, permit_irq, map_gsi, line_shared,
                         crash, pause, domain, map_page, bind_channel, list, beyond_xen, reserved_regions, describe,
                         identify, resources, needed_for, open_config, driver, hold, release, let_go, previous_driver,
                         remember_driver, power_before, remember_power, reset_options, boot_id, reset, line_facts,
                         line_counts, gives_up_lines, set_gives_up_lines, listen, ignore, arm_guard, release_guard,
                         look_at_guard, guard_state, guarded, read_node, write_node, make_directory, remove_node,
                         list_nodes, set_permissions, transact, end_body, watch, unwatch, record_names, read_record,
                         write_record, remove_record, doubt_record, is_doubted, set_record_aside, lasting_words>;

} // namespace of

template <std::size_t... Index>
consteval bool are_in_order(std::index_sequence<Index...> /*all*/) {
  return ((std::tuple_element_t<Index, of::every>::name == static_cast<call>(Index)) && ...);
}
static_assert(are_in_order(std::make_index_sequence<calls>()));

/// What the host process tells by itself, one packet each, on a socket of its own.
enum class news : std::uint8_t {
  store_changed, ///< path, token
  lines,         ///< addresses
  removed,       ///< address; likewise the next
  added,
  error, ///< address, severity, status
  recovery_ended,
  driver_unbound,
  removal_waits,
  resumed,
  lost,     ///< what, reason
  regained, ///< what
  stopped,  ///< nothing more comes
};
template <>
inline constexpr news last_of<news> = news::stopped;

/// A message of either kind as one string: its number, then its parts.
template <class Kind, class... Parts>
[[nodiscard]] std::string packet(Kind kind, const Parts&... parts) {
  writer to;
  put(to, kind);
  (put(to, parts), ...);
  return to.bytes();
}

} // namespace platform::remote
