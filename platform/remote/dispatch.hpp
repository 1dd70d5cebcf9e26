// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cerrno>
#include <cstdint>
#include <functional>
#include <mutex>
#include <set>
#include <string>
#include <type_traits>
#include <utility>

#include "platform/remote/calls.hpp"
#include "platform/remote/handover.hpp"
#include "platform/remote/packets.hpp"
#include "platform/remote/server.hpp"

namespace platform::remote {

/// What answers a request.
struct answer {
  std::string packet;
  descriptor attached;
};

[[nodiscard]] inline answer failed(const pci::failure& why) { return {packet(verdict::failed, why), {}}; }

/// The handlers of all calls. A handler has the call's arguments, in order, and returns a result.
class dispatch {
public:
  using handler = std::function<answer(reader&)>;

  template <class Call, class Work>
  void on(Work work) {
    handlers_.at(static_cast<std::size_t>(Call::name)) = [work = std::move(work)](reader& from) -> answer {
      typename Call::arguments arguments{};
      get(from, arguments);
      if (!from.finished())
        return failed({EPROTO, "a request that is malformed"});
      return to_answer(std::apply(work, arguments));
    };
  }
  /// Answers one packet, whatever it is.
  [[nodiscard]] answer carry_out(std::string_view request) const {
    reader from{request};
    call which{};
    get(from, which);
    const auto& found = handlers_.at(static_cast<std::size_t>(which));
    if (!from.good() || !found)
      return failed({EPROTO, "a request of no kind that is known here"});
    return found(from);
  }

private:
  [[nodiscard]] static answer to_answer(pci::result<handed> done) {
    if (!done)
      return failed(done.error());
    return {packet(verdict::done, done->numbers), std::move(done->file)};
  }
  template <class T>
  [[nodiscard]] static answer to_answer(const pci::result<T>& done) {
    if (!done)
      return failed(done.error());
    if constexpr (std::is_void_v<T>)
      return {packet(verdict::done), {}};
    else
      return {packet(verdict::done, *done), {}};
  }

  std::array<handler, calls> handlers_;
};

/// Each adds the handlers of one part of the host.
void add_hypervisor_calls(dispatch& to, const server::surroundings& all);
void add_function_calls(dispatch& to, const server::surroundings& all);
void add_line_calls(dispatch& to, const server::surroundings& all);
void add_record_calls(dispatch& to, const server::surroundings& all);
/// The operations on nodes, by the rules, outside a transaction or inside one; both outlive `to`.
void add_node_calls(dispatch& to, store_operations& nodes, const holdings& known);

/// The watches of one worker's, which end with this: the next makes the same ones. Safe from any thread.
class watch_book {
public:
  explicit watch_book(store& nodes) : nodes_(nodes) {}
  watch_book(const watch_book&) = delete;
  watch_book& operator=(const watch_book&) = delete;
  ~watch_book();
  [[nodiscard]] pci::result<void> watch(const std::string& path, const std::string& token, std::uint32_t depth);
  [[nodiscard]] pci::result<void> unwatch(const std::string& path, const std::string& token);

private:
  store& nodes_;
  std::mutex mutex_;
  std::set<std::pair<std::string, std::string>> made_; ///< path and token
};
void add_watch_calls(dispatch& to, watch_book& watches);

} // namespace platform::remote
