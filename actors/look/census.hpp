// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "actors/look/pulse.hpp"

namespace caf {
class actor_system;
}

namespace actors {

/// All actors and guests' threads of this process: CAF has no list of its own that could be looked through. Each
/// enters when it is made and leaves when it ends. Thread-safe.
class census {
public:
  [[nodiscard]] static census& all();

  [[nodiscard]] std::shared_ptr<pulse> enter(const caf::actor_system& system, std::uint64_t id, std::uint64_t owner,
                                             bool own_thread);
  /// A thread that is no actor; it gets a number that no actor has.
  [[nodiscard]] std::shared_ptr<pulse> enter_thread(const caf::actor_system& system, std::uint64_t owner);
  void leave(const caf::actor_system& system, const pulse& who);
  /// Null: it has ended.
  [[nodiscard]] std::shared_ptr<pulse> find(const caf::actor_system& system, std::uint64_t id) const;
  /// Everybody of one system, in the order in which they were started; threads last.
  [[nodiscard]] std::vector<actor_account> take(const caf::actor_system& system) const;

private:
  using key = std::pair<const caf::actor_system*, std::uint64_t>;
  mutable std::mutex mutex_;
  std::map<key, std::shared_ptr<pulse>> everybody_;
  std::uint64_t last_thread_ = std::uint64_t{1} << 32U; ///< actors count from 1
};

} // namespace actors
