// SPDX-License-Identifier: GPL-2.0-or-later
#include "actors/journal/journal.hpp"

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <utility>

#include <spdlog/spdlog.h>

#include "actors/device/reset_memory.hpp"

namespace actors {
namespace {

// A guest whose record is given up is not served again: a moment's error is no reason.
pci::result<std::string> read_again(platform::records& from, const std::string& name) {
  constexpr int most_tries = 3;
  auto text = from.read(name);
  for (int tries = 1; !text && text.error().error == EIO && tries < most_tries; ++tries) {
    text = from.read(name);
  }
  return text;
}

std::shared_ptr<platform::lasting_words> words_of(platform::records& where) {
  auto words = where.lasting();
  if (!words) {
    spdlog::error("the journal: {}; the next daemon will not know what guests have written into their functions just "
                  "before, nor that they recover from an error",
                  pci::to_string(words.error()));
  }
  return words.value_or(nullptr);
}

} // namespace

journal::journal(std::shared_ptr<platform::records> where)
    : where_(where ? std::move(where) : std::make_shared<platform::memory_records>()), words_(words_of(*where_)) {}

void journal::tell(const pci::result<void>& outcome) {
  const bool was_broken = std::exchange(broken_, !outcome);
  if (!outcome && !was_broken) {
    spdlog::error("the journal: {}; no guest gets a function until it can be written, and a daemon that starts before "
                  "that does not know all that guests have",
                  pci::to_string(outcome.error()));
  } else if (outcome && was_broken) {
    spdlog::info("the journal can be written again");
  }
}

pci::result<void> journal::write(const std::string& name, const std::optional<std::string>& text) {
  auto done = text ? where_->write(name, *text) : where_->remove(name);
  if (done) {
    unwritten_.erase(name);
  } else {
    unwritten_.insert_or_assign(name, text);
    static_cast<void>(where_->doubt(name));
  }
  return done;
}

pci::result<void> journal::write_rest() {
  pci::result<void> outcome;
  for (const auto& [name, text] : std::map(unwritten_)) {
    if (auto done = write(name, text); !done && outcome) {
      outcome = done;
    }
  }
  tell(outcome);
  return outcome;
}

pci::result<void> journal::note(const function_record& what) {
  const std::lock_guard lock(mutex_);
  auto& known = holdings();
  const auto name = pci::to_string(what.function.address);
  if (is_written_already(name, what)) {
    return {};
  }
  auto numbered = what;
  numbered.written = ++written_;
  known.insert_or_assign(name, holding{what.domain, numbered.written, what.vectors});
  auto done = write(name, to_text(numbered));
  if (!done) {
    tell(done);
  } else if (!unwritten_.empty()) {
    static_cast<void>(write_rest());
  } else {
    tell(done);
  }
  return done;
}

// A guest that is served again has what it had: of most functions the next daemon has nothing else to write. The first
// note alone is compared; whatever it says, the record that was read is of no more use.
bool journal::is_written_already(const std::string& name, const function_record& what) {
  const auto before = loaded_.extract(name);
  return !before.empty() && !before.mapped().doubtful && !unwritten_.contains(name) && before.mapped() == what &&
         own_of(before.mapped()) == what.vectors; // else it is to be the later of two
}

void journal::forget(const pci::sbdf& address) {
  const std::lock_guard lock(mutex_);
  const auto name = pci::to_string(address);
  holdings().erase(name);
  loaded_.erase(name);
  words_.forget(address);
  tell(write(name, std::nullopt));
}

pci::result<void> journal::flush() {
  const std::lock_guard lock(mutex_);
  return unwritten_.empty() ? pci::result<void>{} : write_rest();
}

std::optional<function_record> journal::find(const pci::sbdf& address) {
  const std::lock_guard lock(mutex_);
  return read(pci::to_string(address));
}

std::vector<function_record> journal::load() {
  const std::lock_guard lock(mutex_);
  read_all();
  std::vector<function_record> all;
  for (const auto& [name, record] : loaded_) {
    all.push_back(record);
  }
  return all;
}

void journal::read_all() {
  const auto names = where_->names();
  loaded_.clear();
  loaded_all_ = names.has_value();
  if (!names) {
    return tell(tl::unexpected(names.error()));
  }
  for (const auto& name : *names) {
    if (name == reset_memory::record_name) {
      continue;
    }
    if (auto record = read_record(name)) {
      loaded_.insert_or_assign(name, std::move(*record));
    } else {
      loaded_all_ = false;
    }
  }
}

std::map<std::string, journal::holding>& journal::holdings() {
  if (!holdings_) {
    holdings_.emplace();
    if (!loaded_all_) {
      read_all();
    }
    for (const auto& [name, each] : loaded_) {
      written_ = std::max(written_, each.written);
      holdings_->emplace(name, holding{each.domain, each.written, each.vectors});
    }
  }
  return *holdings_;
}

pci::guest_state journal::last_state(const function_record& what) {
  pci::guest_state recorded;
  recorded.command = what.command;
  recorded.decoding = what.decoding;
  return what.domain ? row(what.function.address).state_of(*what.domain).value_or(recorded) : recorded;
}

std::vector<pci::bound_vector> journal::own_vectors(const function_record& what) {
  const std::lock_guard lock(mutex_);
  return own_of(what);
}

std::vector<pci::bound_vector> journal::own_of(const function_record& what) {
  std::vector<pci::bound_vector> own;
  if (what.doubtful) {
    return own;
  }
  const auto self = pci::to_string(what.function.address);
  const auto has = [](const holding& other, const pci::bound_vector& mine) {
    return std::ranges::any_of(other.vectors, [&](const auto& theirs) { return theirs.pirq == mine.pirq; });
  };
  std::ranges::copy_if(what.vectors, std::back_inserter(own), [&](const pci::bound_vector& mine) {
    return std::ranges::none_of(holdings(), [&](const auto& each) {
      const auto& [name, other] = each;
      return name != self && other.domain == what.domain && other.written > what.written && has(other, mine);
    });
  });
  return own;
}

std::optional<function_record> journal::read(const std::string& name) {
  const auto loaded = loaded_.find(name);
  return loaded != loaded_.end() ? std::optional(loaded->second) : read_record(name);
}

std::optional<function_record> journal::read_record(const std::string& name) {
  const auto unwritten = unwritten_.find(name);
  const bool known = unwritten != unwritten_.end();
  if (known && !unwritten->second) {
    return std::nullopt;
  }
  auto text = known ? pci::result<std::string>(*unwritten->second) : read_again(*where_, name);
  auto record = text.and_then([](const std::string& what) { return parse_record(what); });
  if (record && pci::to_string(record->function.address) != name) {
    record = pci::fail(EPROTO, "it is another function's");
  }
  if (record) {
    record->doubtful = !known && where_->doubted(name);
    return std::move(*record);
  }
  if (record.error().error != ENOENT) {
    spdlog::error("the journal's record {} cannot be used, and is set aside: {}", name, pci::to_string(record.error()));
    tell(where_->set_aside(name));
  }
  return std::nullopt;
}

} // namespace actors
