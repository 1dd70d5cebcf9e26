// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>

#include "actors/look/operation_meter.hpp"
#include "actors/look/trace.hpp"
#include "messages/types.hpp"
#include "pci/protocol/aer.hpp"
#include "pci/protocol/shared_page.hpp"
#include "platform/host.hpp"

namespace actors {

/// A guest's shared page and event channel, while they are connected. Thread-safe: the guest's own thread serves it,
/// and the domain actor looks at it and asks through it. Destroying it unbinds the channel, then unmaps the page.
class connection final {
public:
  struct counts {
    std::uint64_t operations = 0;       ///< answered
    std::uint64_t absent = 0;           ///< of these, for addresses where there is nothing
    std::uint64_t late = 0;             ///< answers that the guest had given up on
    std::uint64_t spurious = 0;         ///< events with nothing in the page
    std::uint64_t interrupts = 0;       ///< operations that are no accesses to configuration space
    std::uint64_t delayed = 0;          ///< of these, that were put off
    std::uint64_t delayed_accesses = 0; ///< of the others
    std::uint64_t polled = 0;           ///< operations that were found without their event
    std::uint64_t events_late = 0;      ///< answers whose event was left out until the guest was seen to wait for it
  };
  /// An operation of the guest's, as it was taken out of the page.
  struct operation {
    pci::shared_page::taken what;
    std::shared_ptr<messages::function_access> function; ///< null: there is nothing at that address
    bool multifunction = false;                          ///< the guest sees others in the slot

    [[nodiscard]] bool is_access() const {
      return what.what.code <= static_cast<std::uint32_t>(pci::op_code::conf_write);
    }
  };
  /// What an event was for.
  enum class event : std::uint8_t {
    operation, ///< answered
    answer,    ///< to `ask`: the domain actor is to take it. An operation may have been answered too
    nothing,
    unbound, ///< nothing comes any more
  };

  /// Maps the page and binds the channel. May block.
  [[nodiscard]] static pci::result<std::shared_ptr<connection>>
  open(platform::host& host, messages::domain_id domain, std::uint32_t grant_reference, std::uint32_t event_channel);
  connection(std::unique_ptr<platform::mapped_page> page, std::unique_ptr<platform::event_channel> channel);
  connection(const connection&) = delete;
  connection& operator=(const connection&) = delete;
  ~connection() = default;

  /// Before it is served: where its operations are counted.
  void measure(std::shared_ptr<operation_meter> meter) { meter_ = std::move(meter); }
  /// Likewise: where they can be seen.
  void trace(std::shared_ptr<trace_tap> tap) { tap_ = std::move(tap); }

  // -- the guest's thread

  /// See event_channel::wait. False also when the channel is unbound.
  [[nodiscard]] pci::result<bool> wait() { return channel_->wait(); }
  /// Takes the operation in the page, once; empty: there is none. What was taken is to be put off or served.
  [[nodiscard]] std::optional<operation> take();
  void put_off(bool switches_interrupts) {
    const std::lock_guard lock(mutex_);
    ++(switches_interrupts ? counts_.delayed : counts_.delayed_accesses);
  }
  /// Has it carried out and answers it, if there is one. No lock is held meanwhile. The channel stays masked, which
  /// bounds a guest to one event at a time. With `event_later` the guest is not told of the answer until `send_event`,
  /// which need not be if it has gone on by itself.
  [[nodiscard]] event serve(const std::optional<operation>& work, bool event_later = false);
  /// Sends the event for the answer that has had none, if there is one. `late`: the guest has been let wait for it.
  void send_event(bool late);
  /// There is such an answer.
  [[nodiscard]] bool owes_event() const { return untold_; }
  /// When the last operation began, by the steady clock, and how long it took.
  void took(std::chrono::nanoseconds begun, std::chrono::nanoseconds time) {
    if (meter_) {
      meter_->took(time);
    }
    if (tap_) {
      tap_->took(begun, time);
    }
  }
  /// The guest wants something of the page: an operation is to be taken.
  [[nodiscard]] bool has_operation() const { return view_.active(); }
  void count_polled() {
    const std::lock_guard lock(mutex_);
    ++counts_.polled;
  }
  void count_spurious() {
    const std::lock_guard lock(mutex_);
    ++counts_.spurious;
  }

  // -- anybody

  enum class owed : std::uint8_t { none, younger, sent };
  /// Sends the event for an answer that had none at the last call either.
  owed send_overdue_event();
  /// Ends a `wait`.
  void wake() { channel_->wake(); }
  /// What the guest has at a virtual address from now on; null: nothing any more.
  void show(const pci::sbdf& virtual_address, std::shared_ptr<messages::function_access> function);
  [[nodiscard]] counts count() const;
  /// True while the guest claims to recover from errors.
  [[nodiscard]] bool has_aer_handler() const { return view_.has_aer_handler(); }

  /// Sends the guest a request to recover from an error; its answer comes as an event. One at a time.
  void ask(pci::op_code what, pci::channel_state state, const pci::sbdf& virtual_address);
  /// The guest's answer to `ask`, any number, once; empty while there is none.
  [[nodiscard]] std::optional<std::int32_t> take_answer();
  /// Takes the request back.
  void withdraw();
  /// Takes over from an earlier daemon: what it has answered, it may have had no time to notify the guest of, which
  /// waits for the event and not for the flag. What it asked, nobody waits for, unless `adopt_request` does.
  void take_over();
  /// The guest is to answer what an earlier daemon has asked it, or has answered already: the answer comes as if it had
  /// been asked now. Before `take_over`. `asked`: that daemon is known to have asked. False: it has not, or something
  /// else.
  [[nodiscard]] bool adopt_request(bool asked, pci::op_code what, const pci::sbdf& virtual_address);

  /// Lets the next event through.
  void unmask();
  /// Ends the channel at once, for a page that stays mapped a little longer.
  void unbind();

  /// Every access so far was of four bytes, and there was one at least: NetBSD's way.
  [[nodiscard]] bool only_words() const;

private:
  struct shown {
    std::shared_ptr<messages::function_access> function;
    bool multifunction = false; ///< the guest sees others in the slot
  };
  void note_slots();
  [[nodiscard]] static pci::answer carry_out(const operation& work);
  void tell_trace(const operation& work, const pci::answer& answer);
  void finish(const pci::shared_page::ticket& key, const pci::answer& answer, bool event_later);
  void tell();
  [[nodiscard]] bool announce_answer();

  mutable std::mutex mutex_; ///< of what follows, and of writing to the page; held for moments
  std::map<pci::sbdf, shown> functions_;
  bool has_accessed_ = false;
  bool only_words_ = true;
  counts counts_;
  std::shared_ptr<operation_meter> meter_;
  std::shared_ptr<trace_tap> tap_;
  std::atomic<bool> untold_{false}; ///< the guest has an answer and no event for it; written with the lock held
  bool overdue_ = false;            ///< and had none at the last call of `send_overdue_event`
  bool asked_ = false;              ///< the guest is to answer a request
  bool announced_ = false;          ///< the domain actor has been told that it has
  bool bound_ = true;
  std::unique_ptr<platform::mapped_page> page_;
  pci::shared_page view_;
  pci::aer_page errors_;
  std::unique_ptr<platform::event_channel> channel_;
};

/// How long to leave an event channel masked after events for nothing (XSA-332; what the kernel does for its own
/// backends, and not for user space): none for the first, then 1 ms doubling to 1 s. Work resets it.
class event_backoff {
public:
  [[nodiscard]] std::chrono::milliseconds spurious();
  void worked() { count_ = 0; }

private:
  unsigned count_ = 0;
};

} // namespace actors
