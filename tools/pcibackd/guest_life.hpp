// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "config/simulation.hpp"
#include "platform/sim/driver.hpp"
#include "platform/sim/host.hpp"

namespace daemon_program {

/// How a life of a simulated guest is to end, or has ended.
enum class guest_end : std::uint8_t {
  none,
  shutdown,
  reboot,
  kill,  ///< its toolstack destroys it
  crash, ///< by order, by a panic of its own, or by the daemon, which stops a guest that does not recover from an error
};

/// What others want of a guest while it runs. The guest's thread looks at it; everybody may write.
struct guest_orders {
  using clock = std::chrono::steady_clock;
  std::atomic<guest_end> end = guest_end::none;
  std::atomic<clock::time_point> deadline{clock::time_point::max()}; ///< then it goes, done or not
  std::atomic<clock::time_point> stalled_until{clock::time_point::min()};
  std::atomic<clock::time_point> flooding_until{clock::time_point::min()};

  /// Nothing is wanted of a new life yet.
  void forget();
  /// Nothing is waited for any more.
  [[nodiscard]] bool at_once() const;
};

/// One life of a simulated guest, from the building of its domain to its end: waits for its functions, connects,
/// enumerates, binds a driver to each, takes interrupts, reads configuration space, and serves hot-plug. Used by the
/// guest's thread alone.
class guest_life {
public:
  using speaker = std::function<void(const std::string& line)>;

  /// `idle` is told once, when its work is done or has failed.
  guest_life(platform::sim::host& host, const config::simulated_guest& what, platform::domain_id domain,
             guest_orders& orders, speaker say);
  guest_life(const guest_life&) = delete;
  guest_life& operator=(const guest_life&) = delete;
  ~guest_life() = default;

  /// Lives until it is ended, or ends by itself. The domain is still there then. `idle`: its work is done, or has
  /// failed, which does not end it.
  [[nodiscard]] guest_end live(const std::function<void(const pci::result<void>&)>& idle);

private:
  /// A function that the guest found, with its driver and where the hardware really is.
  struct bound_function {
    platform::sim::driver driver;
    pci::sbdf seen;
    pci::sbdf real;
  };
  /// Waits as the guest's processor does, until its life is to end at once.
  class life_waiter final : public platform::sim::waiter {
  public:
    explicit life_waiter(guest_life& life) : life_(&life), spinner_(*life.bell_) {}
    bool wait_until(const std::function<bool()>& condition, std::chrono::nanoseconds limit) override;

  private:
    guest_life* life_;
    platform::sim::threaded_waiter spinner_;
  };

  [[nodiscard]] pci::result<void> work();
  [[nodiscard]] pci::result<void> attach(const pci::sbdf& function);
  [[nodiscard]] pci::result<void> bind_drivers();
  [[nodiscard]] pci::result<void> bind_driver(const platform::sim::seen_function& found);
  [[nodiscard]] pci::result<void> take_interrupts(const bound_function& function);
  [[nodiscard]] pci::result<void> interrupt(const bound_function& function, std::uint16_t entry);
  [[nodiscard]] pci::result<void> read_registers();
  [[nodiscard]] std::optional<pci::sbdf> real_address(const pci::sbdf& seen);
  void serve();
  void look_around();
  void look_for_devices();
  void forget_lost_functions();
  void flood();
  void be_hostile();
  void shut_down();
  [[nodiscard]] std::optional<std::int32_t> recover(const pci::wire::aer_operation& request);
  [[nodiscard]] bool ends();
  void rest(std::chrono::nanoseconds time);

  platform::sim::host* host_;
  const config::simulated_guest* what_;
  platform::domain_id domain_;
  guest_orders* orders_;
  speaker say_;
  std::shared_ptr<platform::sim::doorbell> bell_;
  life_waiter wait_;
  platform::sim::frontend front_;
  std::vector<bound_function> functions_;
  std::minstd_rand chance_; ///< the same each time
  std::string panic_;
  bool connected_ = false;
};

} // namespace daemon_program
