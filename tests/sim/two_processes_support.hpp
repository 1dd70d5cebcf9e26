// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <sys/eventfd.h>

#include "platform/linux/word_file.hpp"
#include "platform/records.hpp"
#include "platform/remote/remote_host.hpp"
#include "platform/remote/server.hpp"
#include "platform/sim/host.hpp"
#include "temporary_directory.hpp"

namespace test {

/// Hands over what the simulated host has no descriptors for: one that means nothing goes over the socket, and with it
/// the number under which both halves know the thing.
class simulated_hands final : public platform::remote::handover, public platform::remote::takeover {
public:
  explicit simulated_hands(platform::sim::host& host) : host_(host) {}

  pci::result<platform::remote::handed> channel(platform::domain_id domain, std::uint32_t remote) override {
    return keep(channels_, host_.channels().bind_interdomain(domain, remote));
  }
  pci::result<platform::remote::handed> page(platform::domain_id domain, std::uint32_t reference) override {
    return keep(pages_, host_.grant_table().map(domain, reference));
  }
  pci::result<platform::remote::handed> config(const pci::sbdf& address, bool writable) override {
    if (writable) {
      const std::lock_guard lock(mutex_);
      written_.push_back(address);
    }
    return keep(ports_, host_.pci().open_config(address));
  }

  pci::result<std::unique_ptr<platform::event_channel>> channel(platform::remote::handed what) override {
    return find(channels_, what);
  }
  pci::result<std::unique_ptr<platform::mapped_page>> page(platform::remote::handed what) override {
    return find(pages_, what);
  }
  pci::result<std::unique_ptr<pci::config_port>> config(platform::remote::handed what,
                                                        const std::string& /*name*/) override {
    return find(ports_, what);
  }

  /// Whose registers were handed over to be written.
  std::vector<pci::sbdf> written() {
    const std::lock_guard lock(mutex_);
    return written_;
  }

private:
  template <class T>
  using table = std::map<std::uint64_t, std::unique_ptr<T>>;

  template <class T>
  pci::result<platform::remote::handed> keep(table<T>& where, pci::result<std::unique_ptr<T>> made) {
    if (!made) {
      return tl::unexpected(std::move(made.error()));
    }
    const std::lock_guard lock(mutex_);
    where.emplace(++last_, std::move(*made));
    return platform::remote::handed{platform::remote::descriptor{::eventfd(0, EFD_CLOEXEC)}, {last_, 0}};
  }
  template <class T>
  pci::result<std::unique_ptr<T>> find(table<T>& where, const platform::remote::handed& what) {
    const std::lock_guard lock(mutex_);
    auto found = where.extract(what.numbers.first);
    if (!what.file || found.empty()) {
      return pci::fail(EBADF, "nothing of that number was handed over");
    }
    return std::move(found.mapped());
  }

  platform::sim::host& host_;
  std::mutex mutex_;
  std::uint64_t last_ = 0;
  std::vector<pci::sbdf> written_;
  table<platform::event_channel> channels_;
  table<platform::mapped_page> pages_;
  table<pci::config_port> ports_;
};

/// A simulated host that stays with the test, handed out as if it were opened by the process that asks.
struct borrowed_host final : platform::host {
  explicit borrowed_host(platform::sim::host& where) : inside(where) {}
  platform::store& xenstore() override { return inside.xenstore(); }
  platform::event_channels& channels() override { return inside.channels(); }
  platform::grants& grant_table() override { return inside.grant_table(); }
  platform::hypervisor& xen() override { return inside.xen(); }
  platform::pci_host& pci() override { return inside.pci(); }
  platform::line_interrupts& lines() override { return inside.lines(); }
  platform::removal_guards& guards() override { return inside.guards(); }
  const platform::clock& time() const override { return inside.time(); }
  pci::result<void> start(platform::event_sink& sink) override { return inside.start(sink); }
  void stop() override { inside.stop(); }
  platform::sim::host& inside;
};

/// A simulated host behind a server, and the worker's end of it.
struct split_host {
  explicit split_host(platform::sim::host& where, std::shared_ptr<platform::records> its_journal,
                      std::shared_ptr<platform::records> its_own)
      : hands(where), known(where, std::move(its_own)) {
    auto requests = platform::remote::make_socket_pair();
    auto events = platform::remote::make_socket_pair();
    server = std::make_unique<platform::remote::server>(
        platform::remote::server::surroundings{
            .where = where,
            .hands = hands,
            .known = known,
            .journal = std::move(its_journal),
            .open_words = [] { return words_for_worker(); },
            .overrides_boot = [](const pci::identity&) { return false; },
            .notify =
                [this](const std::string& state) {
                  const std::lock_guard lock(mutex);
                  notified += state + ";";
                },
            .replace_metrics =
                [this](const std::string& text) {
                  const std::lock_guard lock(mutex);
                  metrics = text;
                  return pci::result<void>{};
                },
            .remove_metrics =
                [this] {
                  const std::lock_guard lock(mutex);
                  metrics.clear();
                },
            .threads =
                [] {
                  return std::vector<platform::remote::thread_time>{{7, "guest-1", 'S', 40}};
                },
            .read_settings = [] { return pci::result<std::string>("[daemon]\n"); },
            .refused =
                [this](const std::string& why) {
                  const std::lock_guard lock(mutex);
                  refused.push_back(why);
                }},
        std::move(requests->first), std::move(events->first));
    raw = requests->second.get();
    worker = std::make_unique<platform::remote::remote_host>(std::move(requests->second), std::move(events->second),
                                                             hands, where.time());
  }
  split_host(const split_host&) = delete;
  split_host& operator=(const split_host&) = delete;
  ~split_host() { worker.reset(); }

  /// What the service manager was told, each followed by a semicolon.
  std::string told() {
    const std::lock_guard lock(mutex);
    return notified;
  }
  std::size_t refusals() {
    const std::lock_guard lock(mutex);
    return refused.size();
  }

  /// The same file each time, as the journal's.
  static pci::result<platform::descriptor> words_for_worker() {
    static const test::temporary_directory directory;
    return platform::linux_host::open_word_file(directory / "words");
  }

  simulated_hands hands;
  platform::remote::holdings known;
  /// Of the next three. That an answer came before its reader is hidden from the thread sanitizer where the socket was
  /// handed over.
  std::mutex mutex;
  std::vector<std::string> refused;
  std::string notified;
  std::string metrics;
  int raw = -1; ///< the worker's end of the first connection
  std::unique_ptr<platform::remote::server> server;
  std::unique_ptr<platform::remote::remote_host> worker;
};

} // namespace test
