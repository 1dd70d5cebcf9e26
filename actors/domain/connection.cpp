// SPDX-License-Identifier: GPL-2.0-or-later
#include "actors/domain/connection.hpp"

#include <algorithm>
#include <utility>

#include "pci/config_space/multifunction.hpp"

namespace actors {

pci::result<std::shared_ptr<connection>> connection::open(platform::host& host, messages::domain_id domain,
                                                          std::uint32_t grant_reference, std::uint32_t event_channel) {
  auto page = host.grant_table().map(domain, grant_reference);
  if (!page) {
    return tl::unexpected(page.error());
  }
  auto channel = host.channels().bind_interdomain(domain, event_channel);
  if (!channel) {
    return tl::unexpected(channel.error());
  }
  return std::make_shared<connection>(std::move(*page), std::move(*channel));
}

connection::connection(std::unique_ptr<platform::mapped_page> page, std::unique_ptr<platform::event_channel> channel)
    : page_(std::move(page)), view_(page_->address()), errors_(page_->address()), channel_(std::move(channel)) {}

// -- the guest's thread

std::optional<connection::operation> connection::take() {
  const std::lock_guard lock(mutex_);
  if (!bound_ || !view_.active()) {
    return std::nullopt;
  }
  operation work{view_.take(), nullptr};
  const auto& key = work.what.key;
  if (key.domain <= 0xffff && key.bus <= 0xff && key.devfn <= 0xff) {
    const auto found = functions_.find({static_cast<std::uint16_t>(key.domain), static_cast<std::uint8_t>(key.bus),
                                        static_cast<std::uint8_t>(key.devfn)});
    if (found != functions_.end()) {
      work.function = found->second.function;
      work.multifunction = found->second.multifunction;
    }
  }
  if (work.is_access()) {
    has_accessed_ = true;
    only_words_ = only_words_ && work.what.what.size == 4;
  } else if (work.function) {
    ++counts_.interrupts;
  }
  counts_.absent += work.function ? 0 : 1;
  return work;
}

connection::event connection::serve(const std::optional<operation>& work, bool event_later) {
  pci::answer answer;
  if (work) {
    answer = carry_out(*work);
    if (meter_) {
      meter_->answered(work->what.what.code, answer.error);
    }
    if (tap_ && tap_->wanted()) {
      tell_trace(*work, answer);
    }
  }
  const std::lock_guard lock(mutex_);
  if (!bound_) {
    return event::unbound;
  }
  if (work) {
    finish(work->what.key, answer, event_later);
  }
  if (announce_answer()) { // one event may tell of an operation and of an answer
    return event::answer;
  }
  return work ? event::operation : event::nothing;
}

pci::answer connection::carry_out(const operation& work) {
  const auto& what = work.what.what;
  if (!work.function) {
    return {pci::op_error::dev_not_found, what.value, {}};
  }
  auto answer = work.function->operate(what);
  if (what.code == static_cast<std::uint32_t>(pci::op_code::conf_read) && answer.error == pci::op_error::success) {
    answer.value = pci::with_multifunction(answer.value, what.offset, what.size, work.multifunction);
  }
  return answer;
}

void connection::tell_trace(const operation& work, const pci::answer& answer) {
  const auto& [key, asked] = work.what;
  trace_record record;
  record.found = work.function != nullptr;
  record.function = work.function ? work.function->address() : pci::sbdf{};
  record.segment = key.domain;
  record.bus = key.bus;
  record.devfn = key.devfn;
  record.code = asked.code;
  record.offset = asked.offset;
  record.size = asked.size;
  record.asked = asked.value;
  record.value = answer.value;
  record.vectors = static_cast<std::uint16_t>(answer.vectors.size());
  record.error = answer.error;
  tap_->answered(record);
}

// With the lock held.
void connection::finish(const pci::shared_page::ticket& key, const pci::answer& answer, bool event_later) {
  ++counts_.operations;
  untold_ = view_.publish(key, answer);
  overdue_ = false;
  if (!untold_) {
    ++counts_.late;
  } else if (!event_later) {
    tell();
  }
}

void connection::send_event(bool late) {
  const std::lock_guard lock(mutex_);
  if (bound_ && untold_) {
    counts_.events_late += late ? 1 : 0;
    tell();
  }
}

connection::owed connection::send_overdue_event() {
  const std::lock_guard lock(mutex_);
  if (!bound_ || !untold_) {
    return owed::none;
  }
  if (!std::exchange(overdue_, true)) {
    return owed::younger;
  }
  ++counts_.events_late;
  tell();
  return owed::sent;
}

// With the lock held. Nothing to do about a failure: the guest's end is gone, and its death is on its way here.
void connection::tell() {
  untold_ = false;
  static_cast<void>(channel_->notify());
}

// With the lock held.
bool connection::announce_answer() {
  const bool fresh = asked_ && !announced_ && errors_.answer().has_value();
  announced_ = announced_ || fresh;
  return fresh;
}

// -- anybody

void connection::ask(pci::op_code what, pci::channel_state state, const pci::sbdf& virtual_address) {
  const std::lock_guard lock(mutex_);
  if (!bound_) {
    return;
  }
  errors_.ask(what, state, virtual_address);
  asked_ = true;
  announced_ = false;
  tell();
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

void connection::take_over() {
  const std::lock_guard lock(mutex_);
  if (!asked_) {
    errors_.withdraw();
  }
  tell();
}

bool connection::adopt_request(bool asked, pci::op_code what, const pci::sbdf& virtual_address) {
  const std::lock_guard lock(mutex_);
  asked_ = errors_.holds(what, virtual_address) && (asked || !errors_.answer());
  return asked_;
}

void connection::show(const pci::sbdf& virtual_address, std::shared_ptr<messages::function_access> function) {
  const std::lock_guard lock(mutex_);
  if (function) {
    if (tap_) {
      tap_->show(*function);
    }
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

void connection::unmask() {
  const std::lock_guard lock(mutex_);
  if (bound_) {
    channel_->unmask();
  }
}

void connection::unbind() {
  const std::lock_guard lock(mutex_);
  if (std::exchange(bound_, false)) {
    channel_->unbind();
  }
}

std::chrono::milliseconds event_backoff::spurious() {
  constexpr unsigned longest = 10; // 1 ms << 10: about a second
  const auto earlier = count_;
  count_ = std::min(count_ + 1, longest + 2);
  return std::chrono::milliseconds(earlier == 0 ? 0 : std::min(1U << std::min(earlier - 1, longest), 1000U));
}

} // namespace actors
