// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "card.hpp"
#include "sim/deterministic.hpp"
#include "sim/sim_support.hpp"

namespace cards {

/// How a card is played: whose guest, and which topology it sees.
struct setting {
  std::string name;
  platform::sim::flavour kind = platform::sim::flavour::linux;
  pci::topology_mode topology = pci::topology_mode::vpci;
};

/// What was wrong, in words. Keeps the first ones and counts the others.
class complaints {
public:
  /// What comes next belongs to this.
  void enter(std::string where) { where_ = std::move(where); }
  void add(const std::string& what);
  template <class... Arguments>
  bool expect(bool good, fmt::format_string<Arguments...> what, Arguments&&... arguments) {
    if (!good) {
      add(fmt::format(what, std::forward<Arguments>(arguments)...));
    }
    return good;
  }
  [[nodiscard]] const std::vector<std::string>& texts() const { return texts_; }
  [[nodiscard]] std::size_t count() const { return count_; }

private:
  static constexpr std::size_t kept = 20;
  std::string where_;
  std::vector<std::string> texts_;
  std::size_t count_ = 0;
};

using space_bytes = std::vector<std::byte>;
[[nodiscard]] std::uint32_t value_in(const space_bytes& space, std::size_t offset, unsigned width);

/// The daemon on a simulated host with one card, which dom0's driver has.
class world : public test::deterministic_daemon {
public:
  world(const card& what, const setting& how, complaints& wrong);
  ~world() override;
  world(const world&) = delete;
  world& operator=(const world&) = delete;

  /// What the hardware says, past the daemon: all of it, or one register.
  [[nodiscard]] space_bytes space();
  [[nodiscard]] std::uint32_t hardware(std::uint16_t offset, unsigned width);
  /// Switches on or off that writes beyond the virtual registers reach the hardware.
  void set_permissive(bool on);
  /// A domain of the setting's kind, not started.
  [[nodiscard]] messages::domain_id create_guest(const std::string& name);
  /// Gives the card to a domain that is being built, as libxl does; or the daemon does it.
  [[nodiscard]] bool give_as_toolstack(messages::domain_id domain);
  /// Free for the next guest, nothing left of the last one, who is forgotten.
  void check_clean(messages::domain_id domain);
  /// What the space must be between two guests: as it was `loaded`, with nothing enabled but the decoding, and the BARs
  /// where the host has them.
  [[nodiscard]] space_bytes reference_of(space_bytes loaded) const;
  /// Every register as it was, but for what the hardware itself changes. `freely`: the last guest could write anywhere.
  void check_space(const space_bytes& reference, bool freely);

  const card& what;
  const setting& how;
  complaints& wrong;
  const pci::sbdf address;
  pci::function description; ///< once it is held

private:
  static actors::settings settings_for(const setting& how);
  sim_test::violations violations_;
};

} // namespace cards
