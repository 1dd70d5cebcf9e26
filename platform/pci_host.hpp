// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pci/address.hpp"
#include "pci/config_space/port.hpp"
#include "pci/dmar.hpp"
#include "pci/function.hpp"
#include "pci/interrupts/intx_line.hpp"
#include "pci/interrupts/spurious_watch.hpp"
#include "pci/protocol/reset.hpp"
#include "pci/result.hpp"
#include "pci/selector.hpp"

namespace platform {

/// The driver of dom0's kernel that keeps other drivers away from a held function.
enum class holder : std::uint8_t {
  stub, ///< pci-stub: dom0 takes no part in the function's interrupts
  uio,  ///< uio_pci_generic: its handler claims INTx and masks it in the function
};

/// What a hold changes of how dom0's kernel manages a function's power, as it was found.
struct power_settings {
  std::optional<bool> suspends{};    ///< power/control was "auto"; empty: the kernel has no such attribute
  std::optional<bool> loses_power{}; ///< d3cold_allowed; likewise
  bool enabled_here = false;         ///< nobody else has it enabled: the hold has added one to what `enable` counts
  friend bool operator==(const power_settings&, const power_settings&) = default;
};

/// Linux's name for the driver: "pci-stub", "uio_pci_generic".
[[nodiscard]] std::string_view driver_name(holder how);
/// Whether a driver of this name is one of the holders.
[[nodiscard]] bool is_holder(std::string_view driver);

/// The host's PCI functions (sysfs). May block for as long as the kernel takes, a reset up to a minute: not from a
/// scheduled actor, except through the config_port, whose accesses are quick while no reset is under way.
class pci_host {
public:
  pci_host() = default;
  pci_host(const pci_host&) = delete;
  pci_host& operator=(const pci_host&) = delete;
  virtual ~pci_host() = default;

  [[nodiscard]] virtual std::vector<pci::sbdf> list() = 0;
  /// Functions in segments that Xen has no number for, beyond ffff (those behind an Intel VMD): "10000:e1:00.0".
  /// Nothing can be done with them.
  [[nodiscard]] virtual std::vector<std::string> beyond_xen() { return {}; }
  /// Memory of the firmware's that functions reach by DMA, as far as its tables can be read.
  [[nodiscard]] virtual std::vector<pci::reserved_region> reserved_regions() { return {}; }
  /// ENODEV: no such function.
  [[nodiscard]] virtual pci::result<pci::function> describe(const pci::sbdf& address) = 0;
  /// The same without reading the configuration space: nothing of the function is touched.
  [[nodiscard]] virtual pci::result<pci::identity> identify(const pci::sbdf& address) {
    return describe(address).map(pci::identity_of);
  }
  /// The BARs and the ROM alone, likewise.
  [[nodiscard]] virtual pci::result<std::array<pci::resource, 7>> resources(const pci::sbdf& address) {
    return describe(address).map([](const pci::function& what) { return what.resources; });
  }
  /// What dom0 itself uses the function for, in a few words: "carries /boot (nvme0n1p1)". Empty: nothing that is known.
  [[nodiscard]] virtual std::string needed_for([[maybe_unused]] const pci::sbdf& address) { return {}; }
  [[nodiscard]] virtual pci::result<std::unique_ptr<pci::config_port>> open_config(const pci::sbdf& address) = 0;
  /// The bound driver's name; empty: none.
  [[nodiscard]] virtual pci::result<std::string> driver(const pci::sbdf& address) = 0;
  /// Takes the function from its driver: enabled (so that its GSI is registered in Xen and `irq` is true), then bound
  /// to the holder. EBUSY with the driver's name when `seize` is false and another driver has it.
  [[nodiscard]] virtual pci::result<void> hold(const pci::sbdf& address, holder how, bool seize) = 0;
  /// Unbinds the holder and gives the function back to the driver that `hold` took it from; without one, or when that
  /// does not want it any more, the kernel looks for one.
  [[nodiscard]] virtual pci::result<void> release(const pci::sbdf& address) = 0;
  /// Unbinds the holder and leaves the function without a driver, as whoever asked wants to choose one.
  [[nodiscard]] virtual pci::result<void> let_go(const pci::sbdf& address) = 0;
  /// The driver that `hold` took the function from; empty: none that is known.
  [[nodiscard]] virtual std::string previous_driver([[maybe_unused]] const pci::sbdf& address) { return {}; }
  /// What an earlier instance of the daemon knew of that.
  virtual void remember_driver([[maybe_unused]] const pci::sbdf& address, [[maybe_unused]] const std::string& driver) {}
  /// How its power was managed when `hold` took it, which `release` and `let_go` make so again; empty: not known.
  [[nodiscard]] virtual std::optional<power_settings> power_before([[maybe_unused]] const pci::sbdf& address) {
    return {};
  }
  /// What an earlier instance of the daemon knew of that.
  virtual void remember_power([[maybe_unused]] const pci::sbdf& address,
                              [[maybe_unused]] const power_settings& before) {}
  /// The methods by which the function can be reset, best first, each with the other functions that it hits: the
  /// virtual functions of a physical one, or all on the bus. Empty: it has none.
  [[nodiscard]] virtual pci::result<std::vector<pci::reset_option>> reset_options(const pci::sbdf& address) = 0;
  /// What tells one boot of the host from another. Empty: nothing does.
  [[nodiscard]] virtual std::string boot_id() { return {}; }
  /// Resets the function by one of these. May take a minute. The configuration is as before afterwards.
  [[nodiscard]] virtual pci::result<void> reset(const pci::sbdf& address, pci::reset_method how) = 0;
};

/// Interrupt lines as dom0's kernel sees them, and the acknowledging handler of a function that `holder::uio` holds.
class line_interrupts {
public:
  line_interrupts() = default;
  line_interrupts(const line_interrupts&) = delete;
  line_interrupts& operator=(const line_interrupts&) = delete;
  virtual ~line_interrupts() = default;

  /// What dom0's tables say of the line. Handlers that belong to uio holders do not count. What Xen says of it and
  /// what the function itself is are for the caller to fill in.
  [[nodiscard]] virtual pci::line_facts facts(unsigned gsi) = 0;
  /// How many of the line's interrupts dom0 claims. ENOENT: dom0's kernel has no such line.
  [[nodiscard]] virtual pci::result<pci::line_counts> counts(unsigned gsi) = 0;
  /// Whether dom0's kernel gives up lines whose interrupts nobody claims (its parameter noirqdebug, the other way
  /// round). Since Linux 5.16 a line keeps what held when it got its first handler.
  [[nodiscard]] virtual pci::result<bool> gives_up_lines() = 0;
  [[nodiscard]] virtual pci::result<void> set_gives_up_lines(bool on) = 0;
  /// Begins to deliver `event_sink::line_interrupts` for the function. ENODEV: no uio device.
  [[nodiscard]] virtual pci::result<void> listen(const pci::sbdf& address) = 0;
  virtual void ignore(const pci::sbdf& address) = 0;
};

} // namespace platform
