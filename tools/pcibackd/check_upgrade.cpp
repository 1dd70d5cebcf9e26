// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/pcibackd/check_upgrade.hpp"

#include <cerrno>

#include <fmt/format.h>

#include "actors/journal/upgrade.hpp"
#include "platform/linux/directory_records.hpp"
#include "platform/remote/holdings.hpp"

namespace daemon_program {
namespace {

using platform::linux_host::directory_records;

pci::result<std::map<std::string, std::string>> read_all(const std::filesystem::path& directory,
                                                         const std::string& suffix) {
  std::map<std::string, std::string> all;
  directory_records records{directory, suffix};
  const auto names = records.names();
  if (!names) {
    return names.error().error == ENOENT ? pci::result<std::map<std::string, std::string>>{std::move(all)}
                                         : tl::unexpected(names.error());
  }
  for (const auto& name : *names) {
    auto text = records.read(name);
    if (!text && text.error().error == ENOENT) { // the daemon that runs has given it up meanwhile
      continue;
    }
    if (!text) {
      return tl::unexpected(text.error());
    }
    all.emplace(name, std::move(*text));
  }
  return all;
}

std::string loss_of(const std::string& name, const actors::record_fate& fate) {
  using kind = actors::record_fate::kind;
  if (fate.how == kind::parts) {
    return fmt::format("{}: what the journal says of it under {} is forgotten", name, fate.what);
  }
  return fmt::format("{}: its record cannot be used ({}); {}", name, fate.what,
                     fate.domain ? fmt::format("domain {} keeps it, but is not served until it has been shut down or "
                                               "the function drained",
                                               *fate.domain)
                                 : std::string{"a guest that has it keeps it, but is not served"});
}

} // namespace

pci::result<kept_records> read_kept_records(const std::filesystem::path& runtime) {
  auto journal = read_all(runtime / "journal", ".json");
  auto held = read_all(runtime / "held", ".held");
  if (!journal || !held) {
    return tl::unexpected(journal ? held.error() : journal.error());
  }
  return kept_records{std::move(*journal), std::move(*held)};
}

upgrade_report check_upgrade(const kept_records& kept, const std::string& version) {
  upgrade_report report;
  for (const auto& [name, text] : kept.journal) {
    const auto fate = actors::fate_of_record(name, text);
    if (fate.how != actors::record_fate::kind::kept) {
      report.losses.push_back(loss_of(name, fate));
    }
  }
  for (const auto& [name, text] : kept.held) {
    if (!platform::remote::takes_up(name, text)) {
      report.losses.push_back(fmt::format(
          "{}: what the process with rights has kept under this name cannot be used, and no guest is served with what "
          "it does not know",
          name));
    }
  }
  const auto count = kept.journal.size() + kept.held.size();
  const auto records = fmt::format("{} record{}", count, count == 1 ? "" : "s");
  report.summary =
      count == 0 ? fmt::format("no records of a daemon that runs; pcibackd {} loses nothing", version)
      : report.losses.empty()
          ? fmt::format("{}, and pcibackd {} takes over all that they say", records, version)
          : fmt::format("{}, of which pcibackd {} does not take over all; shut the guests down that are named, or stay "
                        "with the version that runs",
                        records, version);
  return report;
}

} // namespace daemon_program
