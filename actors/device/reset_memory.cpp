// SPDX-License-Identifier: GPL-2.0-or-later
#include "actors/device/reset_memory.hpp"

#include <cerrno>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

namespace actors {
namespace {

constexpr std::size_t most_entries = 256; // no host has as many kinds of broken cards

std::string take_line(std::string_view& text) {
  const auto end = std::min(text.find('\n'), text.size());
  std::string line{text.substr(0, end)};
  text.remove_prefix(std::min(end + 1, text.size()));
  return line;
}

} // namespace

// The first line says of which boot it is.
reset_memory::reset_memory(std::shared_ptr<platform::records> where, std::string boot)
    : where_(where ? std::move(where) : std::make_shared<platform::memory_records>()), boot_(std::move(boot)) {
  const auto kept = where_->read(std::string{record_name});
  if (!kept) {
    return;
  }
  std::string_view text{*kept};
  if (take_line(text) != boot_) {
    static_cast<void>(where_->remove(std::string{record_name}));
    return;
  }
  while (!text.empty() && fatal_.size() < most_entries) {
    fatal_.insert(take_line(text));
  }
}

std::string reset_memory::entry_of(const pci::function& what, pci::reset_method how) {
  return fmt::format("{:04x}:{:04x} {}", what.vendor, what.device, to_string(how));
}

bool reset_memory::is_fatal(const pci::function& what, pci::reset_method how) {
  const std::lock_guard lock(mutex_);
  return fatal_.contains(entry_of(what, how));
}

void reset_memory::note_fatal(const pci::function& what, pci::reset_method how) {
  const std::lock_guard lock(mutex_);
  if (fatal_.size() >= most_entries || !fatal_.insert(entry_of(what, how)).second) {
    return;
  }
  std::string text = boot_ + "\n";
  for (const auto& each : fatal_) {
    text += each + "\n";
  }
  if (const auto kept = where_->write(std::string{record_name}, text); !kept) {
    // Unlimited: once a method that killed a card.
    spdlog::warn("a daemon that starts after this one will reset such cards by {} again: {}", to_string(how),
                 pci::to_string(kept.error()));
  }
}

} // namespace actors
