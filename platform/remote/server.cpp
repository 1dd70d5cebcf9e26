// SPDX-License-Identifier: GPL-2.0-or-later
#include "platform/remote/server.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <list>
#include <mutex>
#include <system_error>
#include <thread>

#include "platform/remote/dispatch.hpp"
#include "platform/remote/node_rules.hpp"

namespace platform::remote {

/// Tells the worker of what happens. While the worker does not read, who tells waits; once it is gone, nobody does.
class telling_sink final : public event_sink {
public:
  explicit telling_sink(descriptor socket) : socket_(std::move(socket)) {}

  void store_changed(const std::string& path, const std::string& token) override {
    tell(packet(news::store_changed, path, token));
  }
  void line_interrupts(std::span<const pci::sbdf> addresses) override {
    if (!addresses.empty())
      tell(packet(news::lines, std::vector<pci::sbdf>(addresses.begin(), addresses.end())));
  }
  void function_removed(const pci::sbdf& address) override { tell(packet(news::removed, address)); }
  void function_added(const pci::sbdf& address) override { tell(packet(news::added, address)); }
  void function_error(const pci::sbdf& address, pci::error_severity severity, std::string_view status) override {
    tell(packet(news::error, address, severity, std::string(status)));
  }
  void recovery_ended(const pci::sbdf& address) override { tell(packet(news::recovery_ended, address)); }
  void driver_unbound(const pci::sbdf& address) override { tell(packet(news::driver_unbound, address)); }
  void removal_waits(const pci::sbdf& address) override { tell(packet(news::removal_waits, address)); }
  void resumed() override { tell(packet(news::resumed)); }
  void lost(std::string_view what, const std::string& reason) override {
    tell(packet(news::lost, std::string(what), reason));
  }
  void regained(std::string_view what) override { tell(packet(news::regained, std::string(what))); }
  void stopped() { tell(packet(news::stopped)); }
  void end() const { socket_.end(); }

private:
  void tell(const std::string& what) {
    const std::lock_guard lock(mutex_);
    static_cast<void>(socket_.send(what));
  }
  std::mutex mutex_; ///< two threads of the host's may have something to tell
  packet_socket socket_;
};

class server::implementation {
public:
  implementation(surroundings all, descriptor requests, descriptor events)
      : all_(std::move(all)), watches_(all_.where.xenstore()), sink_(std::move(events)) {
    add_hypervisor_calls(calls_, all_);
    add_function_calls(calls_, all_);
    add_line_calls(calls_, all_);
    add_record_calls(calls_, all_);
    add_node_calls(calls_, all_.where.xenstore(), all_.known);
    add_watch_calls(calls_, watches_);
    calls_.on<of::connect>([this] { return connect(); });
    calls_.on<of::start>([this] { return start(); });
    calls_.on<of::stop>([this] { return stop(); });
    static_cast<void>(begin(std::move(requests)));
  }
  implementation(const implementation&) = delete;
  implementation& operator=(const implementation&) = delete;
  ~implementation() {
    sink_.end();
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
      for (auto& each : sessions_)
        each.socket.end();
    }
    for (auto& each : sessions_)
      each.thread.join();
    static_cast<void>(stop());
  }

private:
  struct session {
    explicit session(descriptor its_socket) : socket(std::move(its_socket)) {}
    packet_socket socket;
    std::thread thread;
    std::atomic<bool> ended = false;
  };

  [[nodiscard]] pci::result<void> begin(descriptor socket);
  [[nodiscard]] pci::result<handed> connect();
  [[nodiscard]] pci::result<void> start();
  [[nodiscard]] pci::result<void> stop();
  void serve(session& mine);
  void reply(const session& to, const answer& what) const;
  [[nodiscard]] answer transact(const session& with, std::string_view request);
  [[nodiscard]] pci::result<void> run_body(const session& with, store_operations& inside) const;

  surroundings all_;
  watch_book watches_;
  dispatch calls_;
  telling_sink sink_;
  std::mutex mutex_; ///< of the next two
  std::list<session> sessions_;
  bool ending_ = false;
  std::mutex start_mutex_;
  bool started_ = false;
};

pci::result<void> server::implementation::begin(descriptor socket) try {
  const std::lock_guard lock(mutex_);
  if (ending_)
    return pci::fail(ECANCELED, "the host process is ending");
  for (auto each = sessions_.begin(); each != sessions_.end();) {
    if (each->ended) {
      each->thread.join();
      each = sessions_.erase(each);
    } else
      ++each;
  }
  if (sessions_.size() > most_connections)
    return pci::fail(EMFILE, "the worker has as many connections as it can have");
  auto& made = sessions_.emplace_back(std::move(socket));
  try {
    made.thread = std::thread([this, &made] { serve(made); });
  } catch (...) {
    sessions_.pop_back();
    throw;
  }
  return {};
} catch (const std::system_error& error) {
  return pci::fail(error.code().value(), "cannot start a thread for the worker's requests");
}

pci::result<handed> server::implementation::connect() {
  return make_socket_pair().and_then([&](std::pair<descriptor, descriptor>&& ends) -> pci::result<handed> {
    if (auto begun = begin(std::move(ends.first)); !begun)
      return tl::unexpected(std::move(begun.error()));
    return handed{std::move(ends.second), {}};
  });
}

pci::result<void> server::implementation::start() {
  const std::lock_guard lock(start_mutex_);
  if (started_)
    return pci::fail(EALREADY, "the host is started already");
  auto started = all_.where.start(sink_);
  started_ = started.has_value();
  return started;
}

pci::result<void> server::implementation::stop() {
  const std::lock_guard lock(start_mutex_);
  if (std::exchange(started_, false))
    all_.where.stop();
  sink_.stopped();
  return {};
}

void server::implementation::serve(session& mine) {
  for (;;) {
    const auto request = mine.socket.receive();
    if (request)
      reply(mine, decode<call>(request->substr(0, 1)) == call::transact ? transact(mine, *request)
                                                                        : calls_.carry_out(*request));
    else if (request.error().error == EMSGSIZE)
      reply(mine, failed(request.error()));
    else
      break;
  }
  mine.socket.end();
  mine.ended = true;
}

// An answer that is too long for a packet is told in one that is not.
void server::implementation::reply(const session& to, const answer& what) const {
  constexpr auto refusal = static_cast<char>(verdict::failed);
  if (!what.packet.empty() && what.packet.front() == refusal)
    if (const auto why = decode<pci::failure>(std::string_view{what.packet}.substr(1));
        why && (is_suspicious(*why) || why->error == EPROTO) && all_.refused)
      all_.refused(why->context);
  const auto sent = to.socket.send(what.packet, what.attached.get());
  if (!sent && sent.error().error == EMSGSIZE)
    static_cast<void>(to.socket.send(failed(sent.error()).packet));
}

answer server::implementation::transact(const session& with, std::string_view request) {
  const auto attempts = decode<std::uint32_t>(request.substr(1));
  if (!attempts || *attempts > 64)
    return failed({EPROTO, "a transaction that is malformed"});
  const auto done =
      all_.where.xenstore().transact([&](store_operations& inside) { return run_body(with, inside); }, *attempts);
  return done ? answer{packet(verdict::done), {}} : failed(done.error());
}

// The worker is told to begin, and says when it is done. Until then nothing else is carried out for this connection.
pci::result<void> server::implementation::run_body(const session& with, store_operations& inside) const {
  dispatch operations;
  add_node_calls(operations, inside, all_.known);
  std::optional<bool> commit;
  operations.on<of::end_body>([&](bool good) {
    commit = good;
    return pci::result<void>{};
  });
  reply(with, {packet(verdict::begin), {}});
  for (;;) {
    const auto next = with.socket.receive();
    if (!next)
      return tl::unexpected(next.error());
    const auto answered = operations.carry_out(*next);
    if (commit)
      return *commit ? pci::result<void>{} : pci::fail(ECANCELED, "the worker gave its transaction up");
    reply(with, answered);
  }
}

server::server(surroundings all, descriptor requests, descriptor events)
    : all_(std::make_unique<implementation>(std::move(all), std::move(requests), std::move(events))) {}

server::~server() = default;

} // namespace platform::remote
