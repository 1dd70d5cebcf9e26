// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include <spdlog/common.h>

#include "actors/look/happenings.hpp"
#include "pci/rate_limit.hpp"

/// systemd's journal, which takes a record field by field. What the fields mean to an administrator is in
/// docs/administration.md, and what each message id stands for in the catalogue, tools/install/pcibackd.catalog. (The
/// daemon's own journal, which the next daemon reads, is another thing: actors/journal.)
namespace daemon_program {

/// "NAME=value" each; a value may be any text.
using record_fields = std::vector<std::string>;

/// Returns 0 or a negative errno, as sd_journal_sendv does.
using record_sender = std::function<int(const record_fields&)>;

/// Hands a record to systemd's library. It opens its socket with the first record, and keeps it: so a process sends one
/// before it gives up the right to open anything.
[[nodiscard]] int send_record(const record_fields& fields);

/// The number that syslog(3) has for a level.
[[nodiscard]] int priority_of(spdlog::level::level_enum level);

/// A line of the log. The function and the domain with which it begins ("0000:03:00.0: domain 3 ...") become fields;
/// what follows may be a guest's words, and is only text.
[[nodiscard]] record_fields fields_of_line(spdlog::level::level_enum level, std::string_view line);

/// Something that happened, with the id of its kind. `left_out`: of the same guest's, before it.
[[nodiscard]] record_fields fields_of_event(const actors::event& what, std::uint64_t left_out);

/// How much it matters.
[[nodiscard]] spdlog::level::level_enum importance_of(actors::happening what);

/// What MESSAGE_ID is for each kind of event, 32 hexadecimal digits, and for the daemon's beginning. They do not
/// change.
[[nodiscard]] std::string_view message_id(actors::happening what);
inline constexpr std::string_view beginning_id = "01ba1e9eea254311ae229641c1374895";

/// Sends what happens, but of what a guest can cause only so much: 40 at once, then 10 a minute (XSA-43, XSA-130).
/// Thread-safe.
class event_recorder {
public:
  explicit event_recorder(record_sender to) : send_(std::move(to)) {}
  /// `now`: of a clock that does not go back.
  void tell(const actors::event& what, std::chrono::nanoseconds now);

private:
  record_sender send_;
  std::mutex mutex_;
  std::map<messages::domain_id, pci::rate_limit> limits_; ///< of guests that have not ended
};

/// A sink for spdlog. A line that the journal does not take goes to standard error, with its priority, as systemd reads
/// it there (sd-daemon(3)).
[[nodiscard]] spdlog::sink_ptr make_journal_sink(record_sender to);

} // namespace daemon_program
