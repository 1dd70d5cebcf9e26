// SPDX-License-Identifier: GPL-2.0-or-later
// The journal, and what else of the worker's outlives it or leaves the process.
#include "platform/remote/dispatch.hpp"
#include "platform/remote/node_rules.hpp"

namespace platform::remote {
namespace {

using all_of = server::surroundings;

pci::result<void> check_record(const std::string& name) {
  if (!is_record_name(name))
    return refuse("a record of the journal cannot have this name");
  return {};
}

/// What the service manager may be told: words that end nothing and name no process.
pci::result<void> notify(const all_of& all, const std::string& state) {
  if (state != "READY=1" && state != "STOPPING=1" && state != "WATCHDOG=1")
    return refuse("the service manager is not told this");
  all.notify(state);
  return {};
}

} // namespace

void add_record_calls(dispatch& to, const all_of& all) {
  auto& journal = *all.journal;
  to.on<of::record_names>([&] { return journal.names(); });
  to.on<of::read_record>(
      [&](const std::string& name) { return check_record(name).and_then([&] { return journal.read(name); }); });
  to.on<of::write_record>([&](const std::string& name, const std::string& text) {
    return check_record(name).and_then([&] { return journal.write(name, text); });
  });
  to.on<of::remove_record>(
      [&](const std::string& name) { return check_record(name).and_then([&] { return journal.remove(name); }); });
  to.on<of::doubt_record>(
      [&](const std::string& name) { return check_record(name).and_then([&] { return journal.doubt(name); }); });
  to.on<of::is_doubted>(
      [&](const std::string& name) { return check_record(name).map([&] { return journal.doubted(name); }); });
  to.on<of::set_record_aside>(
      [&](const std::string& name) { return check_record(name).and_then([&] { return journal.set_aside(name); }); });
  to.on<of::lasting_words>([all] {
    return all.open_words().map([](descriptor&& file) { return handed{std::move(file), {}}; });
  });

  to.on<of::notify>([all](const std::string& state) { return notify(all, state); });
  to.on<of::replace_metrics>([all](const std::string& text) { return all.replace_metrics(text); });
  to.on<of::remove_metrics>([all] {
    all.remove_metrics();
    return pci::result<void>{};
  });
  to.on<of::read_settings>([all] { return all.read_settings(); });
  to.on<of::threads>([all] { return pci::result<std::vector<thread_time>>(all.threads()); });
}

} // namespace platform::remote
