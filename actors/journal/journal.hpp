// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "actors/journal/guest_words.hpp"
#include "actors/journal/record.hpp"
#include "platform/records.hpp"

namespace actors {

/// The daemon's memory across its own death: one record a held function, replaced before what it says is relied on, and
/// a row of words for what is too quick for that.
/// What cannot be written is logged, once until it can again, marked as doubtful where it was written before, and tried
/// again with all that follows: a guest that has something must not suffer for a full disk. Thread-safe.
class journal {
public:
  /// Without records it is kept in memory, and ends with the process.
  explicit journal(std::shared_ptr<platform::records> where = {});

  /// The failure is the host's: ENOSPC, for one. What was noted is remembered all the same, for `find` and `flush`.
  pci::result<void> note(const function_record& what);
  void forget(const pci::sbdf& address);
  /// Writes what could not be written. Success: the records say all that was noted.
  pci::result<void> flush();
  /// Empty: there is none, or it cannot be used.
  [[nodiscard]] std::optional<function_record> find(const pci::sbdf& address);
  /// All that can be used. One that cannot is logged and set aside.
  [[nodiscard]] std::vector<function_record> load();
  /// Those of a record's vectors that are the function's for certain: none of a doubtful record, and no pirq that a
  /// record which was written later has for the same guest. A daemon that was killed between unmapping a pirq and
  /// noting that leaves a number behind which Xen may have given to the guest's next function.
  [[nodiscard]] std::vector<pci::bound_vector> own_vectors(const function_record& what);
  /// The guest's own bits when it wrote them last: the row's, or without a row the record's. Without a guest those of
  /// none.
  [[nodiscard]] pci::guest_state last_state(const function_record& what);
  /// Until `forget`.
  [[nodiscard]] guest_row row(const pci::sbdf& address) { return words_.of(address); }

private:
  /// What is to be known of all records to tell whose a pirq is.
  struct holding {
    std::optional<messages::domain_id> domain;
    std::uint64_t written = 0;
    std::vector<pci::bound_vector> vectors;
  };

  // All of these with the lock held.
  [[nodiscard]] std::optional<function_record> read(const std::string& name);
  [[nodiscard]] std::optional<function_record> read_record(const std::string& name);
  [[nodiscard]] std::vector<pci::bound_vector> own_of(const function_record& what);
  void read_all();
  [[nodiscard]] bool is_written_already(const std::string& name, const function_record& what);
  [[nodiscard]] std::map<std::string, holding>& holdings();
  pci::result<void> write(const std::string& name, const std::optional<std::string>& text);
  pci::result<void> write_rest();
  void tell(const pci::result<void>& outcome);

  std::mutex mutex_;
  std::shared_ptr<platform::records> where_;
  guest_words words_;
  std::map<std::string, std::optional<std::string>> unwritten_; ///< no text: to be removed
  /// Earlier instances' records, each until another is noted: a daemon that starts looks at them again and again, and
  /// its guests wait.
  std::map<std::string, function_record> loaded_;
  bool loaded_all_ = false;
  std::optional<std::map<std::string, holding>> holdings_; ///< once those have been read
  std::uint64_t written_ = 0;                              ///< beyond what they wrote, by then
  bool broken_ = false;
};

} // namespace actors
