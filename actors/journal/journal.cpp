#include "actors/journal/journal.hpp"

#include <cerrno>

#include <spdlog/spdlog.h>

namespace actors {

journal::journal(std::shared_ptr<platform::records> where)
    : where_(where ? std::move(where) : std::make_shared<platform::memory_records>()) {}

void journal::tell(const pci::result<void>& outcome) {
  if (!broken_.exchange(!outcome) && !outcome) {
    spdlog::error("the journal: {}; a daemon that starts after this one does not know what guests have",
                  pci::to_string(outcome.error()));
  }
}

void journal::note(const function_record& what) {
  tell(where_->write(pci::to_string(what.function.address), to_text(what)));
}

void journal::forget(const pci::sbdf& address) { tell(where_->remove(pci::to_string(address))); }

std::optional<function_record> journal::find(const pci::sbdf& address) { return read(pci::to_string(address)); }

std::vector<function_record> journal::load() {
  const auto names = where_->names();
  if (!names) {
    tell(tl::unexpected(names.error()));
    return {};
  }
  std::vector<function_record> all;
  for (const auto& name : *names) {
    if (auto record = read(name)) {
      all.push_back(std::move(*record));
    }
  }
  return all;
}

std::optional<function_record> journal::read(const std::string& name) {
  auto record = where_->read(name).and_then([](const std::string& text) { return parse_record(text); });
  if (record && pci::to_string(record->function.address) != name) {
    record = pci::fail(EPROTO, "it is another function's");
  }
  if (record) {
    return std::move(*record);
  }
  if (record.error().error != ENOENT) {
    spdlog::error("the journal's record {} cannot be used, and is set aside: {}", name, pci::to_string(record.error()));
    tell(where_->set_aside(name));
  }
  return std::nullopt;
}

} // namespace actors
