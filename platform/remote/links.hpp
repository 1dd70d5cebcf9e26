// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cerrno>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <type_traits>
#include <vector>

#include "platform/remote/calls.hpp"
#include "platform/remote/handover.hpp"
#include "platform/remote/packets.hpp"

namespace platform::remote {

/// One connection to the host process: one request at a time, from one thread at a time.
class link {
public:
  explicit link(descriptor socket) : socket_(std::move(socket)) {}

  /// Asks, and waits for the answer. ENOTCONN: there is none, as the host process is gone. EPROTO: it is nonsense.
  template <class Call, class... Arguments>
  [[nodiscard]] pci::result<typename Call::answer> ask(const Arguments&... arguments) const {
    static_assert(std::is_same_v<typename Call::arguments, std::tuple<Arguments...>>);
    return read_answer<typename Call::answer>(exchange(packet(Call::name, arguments...)));
  }
  /// Likewise for a call with whose answer a descriptor comes.
  template <class Call, class... Arguments>
  [[nodiscard]] pci::result<handed> ask_for_descriptor(const Arguments&... arguments) const {
    handed got;
    return read_answer<typename Call::answer>(exchange(packet(Call::name, arguments...), &got.file))
        .and_then([&](const handed_numbers& numbers) -> pci::result<handed> {
          if (!got.file)
            return pci::fail(EPROTO, "the host process sent no descriptor");
          got.numbers = numbers;
          return std::move(got);
        });
  }
  /// Runs a transaction, of which `body` may be run several times; `attempts` as `store::transact` has it.
  [[nodiscard]] pci::result<void> transact(const std::function<pci::result<void>()>& body,
                                           std::uint32_t attempts) const;

private:
  [[nodiscard]] pci::result<std::string_view> exchange(const std::string& request,
                                                       descriptor* attached = nullptr) const;

  template <class T>
  [[nodiscard]] static pci::result<T> read_answer(const pci::result<std::string_view>& got) {
    if (!got)
      return tl::unexpected(got.error());
    reader from{*got};
    verdict how{};
    get(from, how);
    if (how == verdict::failed) {
      pci::failure why;
      get(from, why);
      if (from.finished() && why.error > 0)
        return tl::unexpected(std::move(why));
    } else if (how == verdict::done) {
      if constexpr (std::is_void_v<T>) {
        if (from.finished())
          return {};
      } else {
        T value{};
        get(from, value);
        if (from.finished())
          return value;
      }
    }
    return pci::fail(EPROTO, "the host process answers nonsense");
  }

  packet_socket socket_;
};

/// The connections of a process: as many as calls are under way at once, up to a limit, beyond which calls wait.
class links {
public:
  static constexpr std::size_t most = 60;

  explicit links(descriptor first) : first_(std::move(first)) {}

  /// Carries out `work` with a link that nobody else uses meanwhile.
  template <class Work>
  auto with(Work work) -> decltype(work(std::declval<const link&>())) {
    auto mine = take();
    if (!mine)
      return tl::unexpected(std::move(mine.error()));
    const putting_back later{*this, std::move(*mine)};
    return work(*later.one);
  }
  template <class Call, class... Arguments>
  [[nodiscard]] pci::result<typename Call::answer> ask(const Arguments&... arguments) {
    return with([&](const link& one) { return one.template ask<Call>(arguments...); });
  }
  template <class Call, class... Arguments>
  [[nodiscard]] pci::result<handed> ask_for_descriptor(const Arguments&... arguments) {
    return with([&](const link& one) { return one.template ask_for_descriptor<Call>(arguments...); });
  }

private:
  struct putting_back {
    putting_back(links& where, std::unique_ptr<link> what) : all(where), one(std::move(what)) {}
    putting_back(const putting_back&) = delete;
    putting_back& operator=(const putting_back&) = delete;
    ~putting_back() { all.give_back(std::move(one)); }
    links& all;
    mutable std::unique_ptr<link> one;
  };
  [[nodiscard]] pci::result<std::unique_ptr<link>> take();
  void give_back(std::unique_ptr<link> one);

  std::mutex mutex_; ///< of all below
  std::condition_variable given_back_;
  link first_; ///< for making others, and nothing else
  std::size_t made_ = 0;
  std::vector<std::unique_ptr<link>> idle_;
};

} // namespace platform::remote
