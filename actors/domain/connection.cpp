#include "actors/domain/connection.hpp"

#include <algorithm>

#include "pci/config_space/multifunction.hpp"

namespace actors {

pci::result<std::shared_ptr<connection>> connection::open(platform::host& host, messages::domain_id domain,
                                                          std::uint32_t grant_reference, std::uint32_t event_channel) {
  auto page = host.grant_table().map(domain, grant_reference);
  if (!page) {
    return tl::unexpected(page.error());
  }
  auto port = host.channels().bind_interdomain(domain, event_channel);
  if (!port) {
    return tl::unexpected(port.error());
  }
  return std::make_shared<connection>(host, std::move(*page), *port);
}

connection::connection(platform::host& host, std::unique_ptr<platform::mapped_page> page, platform::port port)
    : host_(host), page_(std::move(page)), view_(page_->address()), errors_(page_->address()), port_(port) {}

connection::~connection() { unbind(); }

bool connection::serve() {
  const std::lock_guard lock(mutex_);
  if (!bound_) {
    return true;
  }
  if (!view_.active()) {
    return false;
  }
  const auto taken = view_.take();
  const auto& key = taken.key;
  const auto code = static_cast<pci::op_code>(taken.what.code);
  if (code == pci::op_code::conf_read || code == pci::op_code::conf_write) {
    has_accessed_ = true;
    only_words_ = only_words_ && taken.what.size == 4;
  }
  auto found = functions_.end();
  if (key.domain <= 0xffff && key.bus <= 0xff && key.devfn <= 0xff) {
    found = functions_.find({static_cast<std::uint16_t>(key.domain), static_cast<std::uint8_t>(key.bus),
                             static_cast<std::uint8_t>(key.devfn)});
  }
  if (found == functions_.end()) {
    ++counts_.absent;
    finish(key, {pci::op_error::dev_not_found, taken.what.value, {}});
    return !announce_answer();
  }
  if (taken.what.code > static_cast<std::uint32_t>(pci::op_code::conf_write)) {
    return false;
  }
  auto answer = found->second.function->operate(taken.what);
  if (code == pci::op_code::conf_read && answer.error == pci::op_error::success) {
    answer.value =
        pci::with_multifunction(answer.value, taken.what.offset, taken.what.size, found->second.multifunction);
  }
  finish(key, answer);
  return !announce_answer();
}

// With the lock held. One event may tell of an operation and of an answer.
bool connection::announce_answer() { return asked_ && !announced_ && (announced_ = errors_.answer().has_value()); }

void connection::ask(pci::op_code what, pci::channel_state state, const pci::sbdf& virtual_address) {
  const std::lock_guard lock(mutex_);
  if (!bound_) {
    return;
  }
  errors_.ask(what, state, virtual_address);
  asked_ = true;
  announced_ = false;
  static_cast<void>(host_.channels().notify(port_));
  host_.channels().unmask(port_); // it may be masked for a while because of events for nothing
}

std::optional<std::int32_t> connection::take_answer() {
  const std::lock_guard lock(mutex_);
  auto answer = asked_ ? errors_.answer() : std::nullopt;
  asked_ = asked_ && !answer;
  return answer;
}

void connection::withdraw() {
  const std::lock_guard lock(mutex_);
  if (std::exchange(asked_, false)) {
    errors_.withdraw();
  }
}

// With the lock held.
void connection::finish(const pci::shared_page::ticket& key, const pci::answer& answer) {
  ++counts_.operations;
  worked_ = true;
  if (view_.publish(key, answer)) {
    // Nothing to do about a failure: the guest's end is gone, and its death is on its way here.
    static_cast<void>(host_.channels().notify(port_));
  } else {
    ++counts_.late;
  }
  host_.channels().unmask(port_);
}

void connection::show(const pci::sbdf& virtual_address, std::shared_ptr<messages::config_access> function) {
  const std::lock_guard lock(mutex_);
  if (function) {
    functions_.insert_or_assign(virtual_address, shown{std::move(function)});
  } else {
    functions_.erase(virtual_address);
  }
  note_slots();
}

// With the lock held. The functions of a slot stand side by side.
void connection::note_slots() {
  const auto same_slot = [](const pci::sbdf& one, const pci::sbdf& other) {
    return one.segment == other.segment && one.bus == other.bus && one.slot() == other.slot();
  };
  auto last = functions_.end();
  for (auto now = functions_.begin(); now != functions_.end(); last = now++) {
    now->second.multifunction = last != functions_.end() && same_slot(last->first, now->first);
    if (now->second.multifunction) {
      last->second.multifunction = true;
    }
  }
}

bool connection::only_words() const {
  const std::lock_guard lock(mutex_);
  return has_accessed_ && only_words_;
}

connection::counts connection::count() const {
  const std::lock_guard lock(mutex_);
  return counts_;
}

bool connection::take_worked() {
  const std::lock_guard lock(mutex_);
  return std::exchange(worked_, false);
}

void connection::answer(const pci::shared_page::ticket& key, const pci::answer& answer) {
  const std::lock_guard lock(mutex_);
  if (bound_) {
    finish(key, answer);
  }
}

void connection::unmask() {
  const std::lock_guard lock(mutex_);
  if (bound_) {
    host_.channels().unmask(port_);
  }
}

void connection::unbind() {
  const std::lock_guard lock(mutex_);
  if (std::exchange(bound_, false)) {
    host_.channels().unbind(port_);
  }
}

std::chrono::milliseconds event_backoff::spurious() {
  constexpr unsigned longest = 10; // 1 ms << 10: about a second
  const auto earlier = count_;
  count_ = std::min(count_ + 1, longest + 2);
  return std::chrono::milliseconds(earlier == 0 ? 0 : std::min(1U << std::min(earlier - 1, longest), 1000U));
}

} // namespace actors
