// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include "messages/types.hpp"
#include "pci/address.hpp"
#include "pci/protocol/reset.hpp"

namespace actors {

/// Which functions use a resource for which guest that the guest has, not the function, and which must therefore
/// outlive the first of two functions that are taken away: an interrupt line's pirq, a page with the registers of
/// several. Thread-safe.
class users {
public:
  /// A function that uses a resource, and for whom.
  struct user {
    messages::domain_id domain = 0;
    pci::sbdf address;
  };
  void add(messages::domain_id domain, std::uint64_t resource, const pci::sbdf& address);
  /// One guest: a domain, and where it is a stub domain, the one whose device model it has.
  using guest = std::vector<messages::domain_id>;
  /// Adds all of the resources for the first of the domains, unless a function of another guest uses one of them: then
  /// that one, and nothing is added.
  [[nodiscard]] std::optional<user> add_alone(const guest& whose, const std::vector<std::uint64_t>& resources,
                                              const pci::sbdf& address);
  /// The other domains that use the resource.
  [[nodiscard]] std::vector<messages::domain_id> others(const guest& whose, std::uint64_t resource) const;
  [[nodiscard]] std::size_t count_others(const guest& whose, std::uint64_t resource) const;
  /// Forgets the function. True: another function of that guest still uses the resource.
  [[nodiscard]] bool remove(messages::domain_id domain, std::uint64_t resource, const pci::sbdf& address);

private:
  mutable std::mutex mutex_;
  using functions = std::set<pci::sbdf>;
  std::unordered_map<std::uint64_t, std::map<messages::domain_id, functions>> users_; ///< none is empty
};

/// How many vectors each guest has, in all its functions. Thread-safe.
class vector_counts {
public:
  /// 0: the function has none any more.
  void set(messages::domain_id domain, const pci::sbdf& address, std::size_t count);
  /// Without those of one function.
  [[nodiscard]] std::size_t others(messages::domain_id domain, const pci::sbdf& address) const;

private:
  mutable std::mutex mutex_;
  std::map<messages::domain_id, std::map<pci::sbdf, std::size_t>> counts_;
};

/// Which held functions nobody uses, so that a reset may hit them too, and which wait for others that share their only
/// reset. Thread-safe.
class idle_functions {
public:
  /// Functions that a reset hits: nobody gets one while this lives, if the reset is permitted.
  class loan {
  public:
    loan(idle_functions& all, std::vector<pci::sbdf> which);
    loan(const loan&) = delete;
    loan& operator=(const loan&) = delete;
    ~loan();
    [[nodiscard]] pci::reset_verdict verdict() const { return verdict_; }
    /// Those of them that stand in the way, foreign ones if there are such.
    [[nodiscard]] const std::vector<pci::sbdf>& blockers() const { return blockers_; }
    /// They have been reset.
    void set_reset() { reset_ = true; }

  private:
    idle_functions& all_;
    std::vector<pci::sbdf> which_, blockers_;
    pci::reset_verdict verdict_;
    bool reset_ = false;
  };

  void set_idle(const pci::sbdf& address);
  /// The function is quiet, between two guests, and cannot be reset before the busy ones of `blockers` are so too:
  /// others may reset it with them. `wake` is called, from any thread, when that has been done or may be tried. False:
  /// it may be tried at once.
  [[nodiscard]] bool wait_for(const pci::sbdf& address, const std::vector<pci::sbdf>& blockers,
                              std::function<void()> wake);
  enum class resumption : std::uint8_t {
    later,     ///< it is lent; `wake` is called again
    try_again, ///< it is busy from now on, and not reset
    was_reset, ///< likewise, but for the reset
  };
  /// Ends a `wait_for`.
  [[nodiscard]] resumption resume(const pci::sbdf& address);
  /// Whether it has been reset together with another since it became idle or quiet.
  [[nodiscard]] bool was_reset(const pci::sbdf& address);
  /// The function is about to be used. False: it is lent; `wait_and_use` blocks until it is back.
  [[nodiscard]] bool use(const pci::sbdf& address);
  void wait_and_use(const pci::sbdf& address);
  /// It is not held any more.
  void forget(const pci::sbdf& address);

private:
  enum class state : std::uint8_t { busy, quiet, idle, lent };
  struct entry {
    state is = state::busy;
    state before_loan = state::idle;
    bool was_reset = false;          ///< since it became idle or quiet
    std::vector<pci::sbdf> blockers; ///< of a quiet one
    std::function<void()> wake;
  };
  using calls = std::vector<std::function<void()>>;
  [[nodiscard]] pci::occupancy look(const pci::sbdf& address) const;
  /// Those of all who wait for it.
  [[nodiscard]] calls waiting_for(const pci::sbdf& address) const;
  std::mutex mutex_;
  std::condition_variable returned_;
  std::map<pci::sbdf, entry> held_;
};

/// What the actors of different functions must know of each other's.
struct function_registry {
  idle_functions idle;
  users lines;  ///< by GSI
  users frames; ///< by number, of memory smaller than a page
  vector_counts vectors;
};

} // namespace actors
