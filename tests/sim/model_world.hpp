// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <spdlog/spdlog.h>

#include "two_cards.hpp"

/// A model of everybody around the daemon: a toolstack, two guests, an administrator, hardware and time. Each can do,
/// at any moment, anything that is physically possible for it; orders are generated from that and played on the
/// simulated host.
namespace model {

/// What the guests may be given.
inline constexpr std::array functions{test::nic, test::disk};

/// What was found to be wrong, in words; empty: nothing.
using complaints = std::vector<std::string>;

struct guest {
  messages::domain_id domain = 0; ///< 0: not built
  bool runs = false;              ///< its kernel has not ended
  bool paused = false;
  std::unique_ptr<platform::sim::frontend> front; ///< its driver is loaded
};

/// No log while it lives: thousands of worlds would fill it with their daemons' words.
class silence {
public:
  silence() { spdlog::set_level(spdlog::level::off); }
  ~silence() { spdlog::set_level(level_); }
  silence(const silence&) = delete;
  silence& operator=(const silence&) = delete;

private:
  spdlog::level::level_enum level_ = spdlog::get_level();
};

/// The daemon and its surroundings at one moment.
class world : private silence, public test::two_cards {
public:
  world();
  ~world() override;
  world(const world&) = delete;
  world& operator=(const world&) = delete;

  // The toolstack's moves; false: it has no occasion.
  bool build(guest& who, std::initializer_list<pci::sbdf> functions);
  bool give(guest& who, const pci::sbdf& function);
  bool claim_unasked(guest& who, const pci::sbdf& function);
  bool begin_taking(guest& who, const pci::sbdf& function);
  bool finish_taking(guest& who, const pci::sbdf& function);
  bool forget_nodes(guest& who, const pci::sbdf& function);
  bool remove_backend(guest& who);
  bool write_backend_state(guest& who, const char* state);
  bool say_online(guest& who);
  bool pause(guest& who, bool paused);
  bool destroy(guest& who);
  bool kill(guest& who);
  bool remove_home(guest& who);

  // The guest's
  bool start_frontend(guest& who);
  bool react(guest& who);
  bool take_msix(guest& who, const pci::sbdf& function);
  bool take_msi(guest& who, const pci::sbdf& function);
  bool disable(guest& who, const pci::sbdf& function);
  bool leave_operation(guest& who, const pci::sbdf& function);
  bool write_own_state(guest& who, const char* state);
  bool begin_again(guest& who);
  bool remove_own_nodes(guest& who);
  bool end_kernel(guest& who);

  // The administrator's, the hardware's, time's
  bool ask_attach(guest& who, const pci::sbdf& function);
  bool ask_detach(guest& who, const pci::sbdf& function);
  bool ask_drain(const pci::sbdf& function);
  bool ask_drain(guest& who);
  bool ask_release(const pci::sbdf& function);
  bool ask_hold(const pci::sbdf& function);
  bool pull(const pci::sbdf& function);
  bool err(const pci::sbdf& function, pci::error_severity severity);
  bool restart_daemon();
  bool pass(std::chrono::milliseconds time);

  /// A guest that was stopped does nothing any more.
  void notice_stops();
  /// What must be true whenever the daemon has nothing left to do.
  [[nodiscard]] complaints check();
  /// Ends everybody, lets every patience elapse, and checks what must be true then.
  [[nodiscard]] complaints check_end();
  /// Two worlds with the same text have the same future, as far as can be seen from outside.
  [[nodiscard]] std::string digest();

  guest a, b;

private:
  [[nodiscard]] std::optional<pci::sbdf> seen_at(const guest& who, const pci::sbdf& function);
  [[nodiscard]] bool has_nodes(const guest& who);
  [[nodiscard]] bool can_operate(const guest& who);
  [[nodiscard]] std::string call(const guest& who) const;
  void check_functions(complaints& found);
  void check_domains(complaints& found);
  void print_store(std::string& out);
  void print_functions(std::string& out);
  void print_guest(std::string& out, const guest& who, const char* name);

  std::vector<messages::domain_id> built_;
  bool waited_ = false; ///< time passed during a hot-plug, and the frontend has not moved since
  bool pulled_ = false;
  /// Leased, and not the guest's in Xen: a toolstack takes them while the guest still has to let go, or never gives.
  std::set<pci::sbdf> not_given_;
  std::size_t actors_ = 0; ///< that there are when nobody is served
};

/// One move of somebody.
struct action {
  std::string name;
  std::function<bool(world&)> run; ///< false: there is no occasion for it, and nothing was done
};

/// All that can happen.
[[nodiscard]] const std::vector<action>& actions();
[[nodiscard]] const action* find_action(const std::string& name);

} // namespace model
