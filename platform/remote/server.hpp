// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "platform/host.hpp"
#include "platform/records.hpp"
#include "platform/remote/handover.hpp"
#include "platform/remote/holdings.hpp"
#include "platform/remote/packets.hpp"

namespace platform::remote {

/// The host process's side: carries out for the worker what it asks, on a host of its own, and checks each request. The
/// worker reads what guests write, so it counts as a guest does: as an enemy.
class server {
public:
  static constexpr std::size_t most_connections = 64; ///< of the worker's: so many calls at once

  struct surroundings {
    platform::host& where;
    handover& hands;
    holdings& known;
    std::shared_ptr<records> journal;
    /// The file of the journal's lasting words.
    std::function<pci::result<descriptor>()> open_words;
    /// Whether the settings let the worker take a function that dom0 runs from.
    std::function<bool(const pci::identity&)> overrides_boot;
    std::function<void(const std::string& state)> notify;
    std::function<pci::result<void>(const std::string& text)> replace_metrics;
    std::function<void()> remove_metrics;
    std::function<std::vector<thread_time>()> threads;
    /// The file that the settings came from, as it is now.
    std::function<pci::result<std::string>()> read_settings;
    /// Told of each request that was refused by the rules: the worker does not ask for such things by itself.
    std::function<void(const std::string& why)> refused;
  };

  /// `requests`: where the worker asks for connections; `events`: where it is told. Answers from now on.
  server(surroundings all, descriptor requests, descriptor events);
  server(const server&) = delete;
  server& operator=(const server&) = delete;
  /// Ends all connections and all watches, and waits for what is under way: another worker may be served then.
  ~server();

private:
  class implementation;
  std::unique_ptr<implementation> all_;
};

} // namespace platform::remote
