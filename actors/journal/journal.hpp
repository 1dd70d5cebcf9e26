#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <vector>

#include "actors/journal/record.hpp"
#include "platform/records.hpp"

namespace actors {

/// The daemon's memory across its own death: one record a held function, replaced before what it says is relied on.
/// What cannot be written is logged, once until it can again: a guest must not suffer for a full disk. Thread-safe.
class journal {
public:
  /// Without records it is kept in memory, and ends with the process.
  explicit journal(std::shared_ptr<platform::records> where = {});

  void note(const function_record& what);
  void forget(const pci::sbdf& address);
  /// Empty: there is none, or it cannot be used.
  [[nodiscard]] std::optional<function_record> find(const pci::sbdf& address);
  /// All that can be used. One that cannot is logged and set aside.
  [[nodiscard]] std::vector<function_record> load();

private:
  [[nodiscard]] std::optional<function_record> read(const std::string& name);
  void tell(const pci::result<void>& outcome);

  std::shared_ptr<platform::records> where_;
  std::atomic<bool> broken_{false};
};

} // namespace actors
