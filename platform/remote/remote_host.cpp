// SPDX-License-Identifier: GPL-2.0-or-later
#include "platform/remote/remote_host.hpp"

#include <system_error>

#include <pthread.h>

#include "platform/remote/remote_parts.hpp"

namespace platform::remote {
namespace {

/// Hands one piece of news on; true: nothing more comes.
class listener {
public:
  listener(event_sink& sink, const remote_store& nodes) : sink_(sink), nodes_(nodes) {}

  [[nodiscard]] bool hear(std::string_view packet) {
    reader from{packet};
    news what{};
    get(from, what);
    if (from.good())
      tell(what, from);
    return from.good() && what == news::stopped;
  }

private:
  template <class... Parts, class Work>
  static void with(reader& from, Work work) {
    std::tuple<Parts...> parts{};
    get(from, parts);
    if (from.finished())
      std::apply(work, parts);
  }
  void with_address(reader& from, void (event_sink::*told)(const pci::sbdf&)) {
    with<pci::sbdf>(from, [&](const pci::sbdf& address) { (sink_.*told)(address); });
  }
  void tell(news what, reader& from) {
    switch (what) {
    case news::store_changed:
      return with<std::string, std::string>(from, [&](const std::string& path, const std::string& token) {
        if (nodes_.is_watched(token))
          sink_.store_changed(path, token);
      });
    case news::lines:
      return with<std::vector<pci::sbdf>>(from, [&](const auto& addresses) { sink_.line_interrupts(addresses); });
    case news::removed:
      return with_address(from, &event_sink::function_removed);
    case news::added:
      return with_address(from, &event_sink::function_added);
    case news::error:
      return with<pci::sbdf, pci::error_severity, std::string>(
          from, [&](const pci::sbdf& address, pci::error_severity severity, const std::string& status) {
            sink_.function_error(address, severity, status);
          });
    case news::recovery_ended:
      return with_address(from, &event_sink::recovery_ended);
    case news::driver_unbound:
      return with_address(from, &event_sink::driver_unbound);
    case news::removal_waits:
      return with_address(from, &event_sink::removal_waits);
    case news::resumed:
      return sink_.resumed();
    case news::lost:
      return with<std::string, std::string>(
          from, [&](const std::string& lost, const std::string& reason) { sink_.lost(lost, reason); });
    case news::regained:
      return with<std::string>(from, [&](const std::string& what) { sink_.regained(what); });
    case news::stopped:
      break;
    }
  }

  event_sink& sink_;
  const remote_store& nodes_;
};

} // namespace

struct remote_host::parts {
  parts(links& all, takeover& hands)
      : nodes(all), xen(all), functions(all, hands), lines(all), guards(all), pages(all, hands), channels(all, hands) {}
  remote_store nodes;
  remote_hypervisor xen;
  remote_pci functions;
  remote_lines lines;
  remote_guards guards;
  remote_grants pages;
  remote_channels channels;
};

remote_host::remote_host(descriptor requests, descriptor events, takeover& hands, const clock& time)
    : links_(std::make_shared<links>(std::move(requests))), time_(time),
      parts_(std::make_unique<parts>(*links_, hands)), events_(std::move(events)) {}

remote_host::~remote_host() { stop(); }

store& remote_host::xenstore() { return parts_->nodes; }
event_channels& remote_host::channels() { return parts_->channels; }
grants& remote_host::grant_table() { return parts_->pages; }
hypervisor& remote_host::xen() { return parts_->xen; }
pci_host& remote_host::pci() { return parts_->functions; }
line_interrupts& remote_host::lines() { return parts_->lines; }
removal_guards& remote_host::guards() { return parts_->guards; }
std::shared_ptr<records> remote_host::journal() const { return std::make_shared<remote_records>(links_); }

// Heard before it begins: the host process waits for its listener when there is much to tell.
pci::result<void> remote_host::start(event_sink& sink) try {
  if (hearing_.joinable())
    return pci::fail(EALREADY, "the host is started already");
  hearing_ = std::thread([this, &sink] { hear(sink); });
  auto started = links_->ask<of::start>();
  if (!started)
    stop();
  return started;
} catch (const std::system_error& error) {
  return pci::fail(error.code().value(), "cannot start a thread for the host's events");
}

void remote_host::stop() {
  if (!hearing_.joinable())
    return;
  if (!links_->ask<of::stop>())
    events_.end(); // nobody is there to say that nothing more comes
  hearing_.join();
}

void remote_host::hear(event_sink& sink) {
  ::pthread_setname_np(::pthread_self(), "pcibackd-events");
  listener all{sink, parts_->nodes};
  for (auto got = events_.receive(); got && !all.hear(*got); got = events_.receive()) {
  }
}

} // namespace platform::remote
