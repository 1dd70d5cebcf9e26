// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/pcibackd/system_journal.hpp"

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <optional>

#define SD_JOURNAL_SUPPRESS_LOCATION 1 // it would be this file's, whatever the record is about
#include <fmt/format.h>
#include <spdlog/details/null_mutex.h>
#include <spdlog/sinks/base_sink.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>

#include "pci/address.hpp"

namespace daemon_program {
namespace {

constexpr std::size_t address_size = 12; // "0000:03:00.0"
constexpr std::string_view domain_word = "domain ";

/// Where the line goes on behind an address at its beginning; empty: it has none.
std::optional<std::string_view> behind_address(std::string_view line) {
  const bool has_one = line.size() >= address_size && pci::parse_node_sbdf(line.substr(0, address_size)) &&
                       (line.size() == address_size || line[address_size] == ' ' || line[address_size] == ':');
  return has_one ? std::optional{line.substr(address_size)} : std::nullopt;
}

/// The number of "domain 3" at the beginning.
std::optional<messages::domain_id> domain_at(std::string_view text) {
  if (!text.starts_with(domain_word)) {
    return std::nullopt;
  }
  text.remove_prefix(domain_word.size());
  messages::domain_id number = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool ends = read.ptr == text.data() + text.size() || *read.ptr == ' ' || *read.ptr == ':' || *read.ptr == ',' ||
                    *read.ptr == '\'';
  return read.ec == std::errc{} && ends ? std::optional{number} : std::nullopt;
}

record_fields fields_with(spdlog::level::level_enum level, std::string message) {
  return {"SYSLOG_IDENTIFIER=pcibackd", fmt::format("PRIORITY={}", priority_of(level)),
          "MESSAGE=" + std::move(message)};
}

std::string field_of(const pci::sbdf& function) { return "PCIBACKD_BDF=" + pci::to_string(function); }
std::string field_of(messages::domain_id domain) { return fmt::format("PCIBACKD_DOMAIN={}", domain); }

class journal_sink final : public spdlog::sinks::base_sink<spdlog::details::null_mutex> {
public:
  explicit journal_sink(record_sender to) : send_(std::move(to)) {}

protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    const std::string_view line{message.payload.data(), message.payload.size()};
    if (send_(fields_of_line(message.level, line)) < 0) {
      const auto text = fmt::format("<{}>{}\n", priority_of(message.level), line);
      static_cast<void>(std::fwrite(text.data(), 1, text.size(), stderr));
    }
  }
  void flush_() override { static_cast<void>(std::fflush(stderr)); }

private:
  const record_sender send_;
};

} // namespace

int send_record(const record_fields& fields) {
  std::vector<iovec> parts;
  parts.reserve(fields.size());
  for (const auto& each : fields) {
    parts.push_back({const_cast<char*>(each.data()), each.size()}); // NOLINT(*-const-cast): it is only read
  }
  return ::sd_journal_sendv(parts.data(), static_cast<int>(parts.size()));
}

int priority_of(spdlog::level::level_enum level) {
  return level <= spdlog::level::debug  ? 7
         : level == spdlog::level::info ? 6
         : level == spdlog::level::warn ? 4
         : level == spdlog::level::err  ? 3
                                        : 2;
}

record_fields fields_of_line(spdlog::level::level_enum level, std::string_view line) {
  auto fields = fields_with(level, std::string{line});
  auto rest = line;
  if (const auto behind = behind_address(line)) {
    fields.push_back("PCIBACKD_BDF=" + std::string{line.substr(0, address_size)});
    rest = behind->starts_with(": ") ? behind->substr(2) : std::string_view{};
  }
  if (const auto domain = domain_at(rest)) {
    fields.push_back(field_of(*domain));
  }
  return fields;
}

std::string_view message_id(actors::happening what) {
  constexpr std::array<std::string_view, actors::happening_names.size()> ids{
      "bb86c0de5432496b88dfcbc506c632d4", // held
      "6f8e06316a2f48b79e7fe87fde618deb", // refused
      "285f326c8e724ea287a49389aae61787", // inherited
      "397fdbda8d44488ba8ef370f493086b1", // leased
      "b79300e51cee4166959a19610b0ccbc1", // adopted
      "a4b21e69fbd24737b322076f6b05968c", // returned
      "32701aa4255c471f880cd838455346d4", // scrubbed
      "94644fc425ed479b8912c85da2611bbc", // failed
      "22ebbd1089594b8d964de85d36c33f42", // released
      "402338567cfa44edbabe7b9b3c7a7b08", // removed
      "6fa1888921d04b7b85a146041fcaa3c1", // stranded
      "514278303bef4b57802f6aed0d318211", // error
      "a1f310a68aff4579a7de017e8fa2868e", // recovered
      "d8757d3493714a43bc94db0d9e4d31c5", // unrecovered
      "7b4d5984ecb640f2b75fa4596ebb254c", // connected
      "7ef8fcc4d1c8485280b68b15880e10d5", // disconnected
      "a52f9448470b421fb973779d457ebbf6", // unserved
      "7a50629d90964c8295a105903879b12d", // ended
  };
  return ids.at(static_cast<std::size_t>(what));
}

spdlog::level::level_enum importance_of(actors::happening what) {
  switch (what) {
  case actors::happening::stranded:
    return spdlog::level::critical;
  case actors::happening::failed:
  case actors::happening::unrecovered:
    return spdlog::level::err;
  case actors::happening::refused:
  case actors::happening::removed:
  case actors::happening::error:
    return spdlog::level::warn;
  default:
    return spdlog::level::info;
  }
}

record_fields fields_of_event(const actors::event& what, std::uint64_t left_out) {
  const auto name = to_string(what.what);
  auto text = fmt::format("event: {}", name);
  const auto guest = what.guest.empty() && what.domain ? fmt::format("domain {}", *what.domain) : what.guest;
  for (const auto& part : {what.function ? pci::to_string(*what.function) : std::string{}, guest, what.detail}) {
    text += part.empty() ? "" : ": " + part;
  }
  if (left_out != 0) {
    text += fmt::format(" ({} events left out before)", left_out);
  }
  auto fields = fields_with(importance_of(what.what), std::move(text));
  fields.push_back(fmt::format("MESSAGE_ID={}", message_id(what.what)));
  fields.push_back(fmt::format("PCIBACKD_OPERATION={}", name));
  if (what.function) {
    fields.push_back(field_of(*what.function));
  }
  if (what.domain) {
    fields.push_back(field_of(*what.domain));
  }
  return fields;
}

// A failure is told nowhere: what matters has a line of the log too.
void event_recorder::tell(const actors::event& what, std::chrono::nanoseconds now) {
  constexpr std::uint32_t at_once = 40;
  constexpr std::chrono::seconds refill{6};
  std::uint64_t left_out = 0;
  if (what.domain) {
    const std::lock_guard lock(mutex_);
    auto& limit = limits_.try_emplace(*what.domain, at_once, refill).first->second;
    const auto missed = limit.allow(now);
    if (what.what == actors::happening::ended) {
      limits_.erase(*what.domain);
    }
    if (!missed) {
      return;
    }
    left_out = *missed;
  }
  static_cast<void>(send_(fields_of_event(what, left_out)));
}

spdlog::sink_ptr make_journal_sink(record_sender to) { return std::make_shared<journal_sink>(std::move(to)); }

} // namespace daemon_program
