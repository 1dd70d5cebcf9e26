// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string_view>

namespace pci {

/// Some of an enumeration's values, of which there are at most 64.
template <class E>
class set_of {
public:
  constexpr set_of() = default;
  constexpr set_of(E one) : bits_(bit(one)) {}
  constexpr set_of(std::initializer_list<E> all) {
    for (const E one : all)
      bits_ |= bit(one);
  }
  [[nodiscard]] constexpr bool contains(E one) const { return (bits_ & bit(one)) != 0; }
  [[nodiscard]] constexpr set_of operator|(set_of other) const { return set_of(bits_ | other.bits_, 0); }
  [[nodiscard]] constexpr set_of without(set_of other) const { return set_of(bits_ & ~other.bits_, 0); }
  friend constexpr bool operator==(set_of, set_of) = default;

private:
  constexpr set_of(std::uint64_t bits, int) : bits_(bits) {}
  static constexpr std::uint64_t bit(E one) { return std::uint64_t{1} << static_cast<unsigned>(one); }
  std::uint64_t bits_ = 0;
};

/// The life of a held function, from its driver in dom0 to guests and back: a value. Each event answers which effects
/// are due, in their order; they are the device actor's. What may happen is `table`, line by line, and what follows
/// from it; docs/architecture.md has it drawn.
class function_life {
public:
  /// A job that has the hardware is slow work on it, beside which nothing else touches it.
  enum class phase : std::uint8_t {
    fresh,                       ///< nobody has said yet what is to become of it
    taking,                      ///< a job takes it from dom0's driver
    reclaiming,                  ///< or from the guest of an earlier instance, which has ended or is to give it up
    held,                        ///< clean and quarantined: can be handed out
    held_preparing,              ///< likewise, and a wish waits for a job: the end of a neighbour's reset, say
    granting,                    ///< a job does the toolstack's half for a guest
    granted,                     ///< which is done, and the guest has not got it yet
    granted_preparing,           ///< likewise, and a wish waits for a job
    leasing,                     ///< a job begins a guest's time
    leased,                      ///< a guest has it
    resetting,                   ///< likewise, and a job resets it for that guest
    ending_reset,                ///< the guest has given it back meanwhile
    awaiting_page,               ///< quiet; Xen may keep a dead guest, with the function, for the page that is mapped
    scrubbing,                   ///< a job does the slow steps of a scrub
    awaiting_pirqs,              ///< the scrub waits until a device model has let go
    retrying,                    ///< it has failed, and is done again in a moment
    awaiting_reset_group,        ///< it waits until those are quiet that it shares a reset with
    failed,                      ///< it could not show that the function is clean: not to be handed out
    failed_awaiting_reset_group, ///< who waited for it was told so; it goes on all the same when they are quiet
    failed_preparing,            ///< failed, and a wish waits for a job
    untaken,                     ///< it could not be taken when the guest of an earlier instance had ended
    inherited,                   ///< a guest has it from an earlier instance: left alone but for its interrupt line
    unknown,                     ///< likewise, and nobody knows what it has
    ending_inherited,            ///< a job ends that guest's vectors, for dom0 removes the function
    letting_go,                  ///< nobody has it, and a job lets the removal go on
    withdrawing,                 ///< a job ends what Xen still has of a failed one's last guest, to give it back
    giving_back,                 ///< a job gives it back to dom0
    giving_back_failed,          ///< likewise, though it is not clean
    giving_back_untaken,         ///< likewise, though it was never taken
    gone,                        ///< dom0 has removed it, or is free to
    gone_busy,                   ///< likewise, and a job has yet to notice
    stranded,                    ///< it went while a guest had interrupts of it: nothing of it may be touched any more
    stranded_busy,               ///< likewise, and a job has yet to notice
    stopped,                     ///< the daemon stops, and the guest keeps what it has
    ended,                       ///< given back, or nobody waits for its return
  };
  static constexpr std::size_t phases = 35;

  /// The hardware, as far as dom0 has told.
  enum class presence : std::uint8_t {
    there,
    going, ///< dom0 removes it, and waits for us
    went,  ///< and has done so
    lost,  ///< removed without a word before
  };
  static constexpr std::size_t presences = 4;

  enum class event : std::uint8_t {
    // wishes
    hold,
    inherit,         ///< a guest has it, of which the journal tells
    inherit_unknown, ///< or does not
    grant,
    revoke,
    lease,
    adopt,   ///< by the actor of the guest that has it from an earlier instance: it is served again
    reset,   ///< for the guest that recovers it from an error
    release, ///< back to dom0
    retry,   ///< scrub it again
    prepare, ///< a job has to be done first
    leave,   ///< nobody waits for the return of what was removed
    stop,
    died, ///< a bug has ended the actor
    // what jobs have come to
    taken,
    not_taken,
    prepared, ///< or not: the wish is looked at again
    granted,
    grant_refused, ///< and nothing was touched
    grant_failed,  ///< half way
    lease_begun,
    reset_over,
    scrub_clean,
    scrub_failed,    ///< for good
    scrub_retries,   ///< what has failed may pass
    scrub_yields,    ///< it is done again at once, and insists on less
    scrub_blocked,   ///< by functions that share its reset and are in use
    scrub_has_pirqs, ///< a device model still has vectors
    withdrawn,
    not_withdrawn,
    given_back,     ///< or not, for good
    not_given_back, ///< its holder has it still: it is kept, and quarantined again
    claimed,        ///< a toolstack hands it out at this moment: it is kept
    removal_let_go,
    removal_kept, ///< it still waits: a pirq is left
    // the guest
    returned,    ///< its lease, by itself or by the end of its actor
    guest_ended, ///< a grant's, or an earlier instance's
    page_unmapped,
    // time, and the functions that share its reset
    look_at_pirqs,
    pause_over,
    reset_group_quiet,
    // the host
    driver_lost,     ///< somebody has unbound it, and it cannot be bound again
    reset_by_host,   ///< nobody uses it, but it is not what it was when it was found clean
    removal_waits,   ///< dom0 removes it
    removal_goes_on, ///< nothing else is under way, or it is time to try again
    unanswered,      ///< the hardware does not answer any more
    guest_time_over, ///< a removal has waited long enough for the guest
    hold_lost,       ///< a removal does not wait any more though a guest has vectors
    removed,
    removed_in_use, ///< while a guest had vectors, which Xen has destroyed
  };
  static constexpr std::size_t events = 50;

  enum class effect : std::uint8_t {
    // towards who asked
    refuse,
    wait,  ///< keep the wish until the function is settled
    agree, ///< what is wished for is the case
    begin, ///< what was asked for, with what came with it
    resume,
    settle, ///< nothing is under way any more: answer who waits for that
    end,    ///< of the actor
    // on the hardware
    take,                ///< job
    end_guest,           ///< at once: DMA, interrupts, vectors, rights
    await_page,          ///< until it is, or was, unmapped
    scrub,               ///< job: the slow steps
    await_pirqs,         ///< look again later
    await_retry,         ///< likewise
    await_reset_group,   ///< until they are quiet, or patience ends
    let_removal_go,      ///< job
    end_inherited,       ///< job
    await_guest,         ///< until it lets go of what dom0 removes, unless the hardware does not answer
    await_removal_retry, ///< later
    // on what is known
    end_serving,     ///< no operation of the guest reaches it, and its line has no handler
    end_inheritance, ///< its line is not looked after any more
    note_wish_gone,
    note_clean,
    note_failed,
    note_kept, ///< what was not given back
    note_let_go,
    note_gone,
    forget,      ///< in the journal, and in the registry of functions
    pause_guest, ///< for good: it must not touch what Xen has destroyed
  };
  static constexpr std::size_t effects_there_are = 28;

  /// The effects of an event.
  class effects {
  public:
    constexpr effects() = default;
    constexpr effects(std::initializer_list<effect> all) {
      for (const auto each : all)
        list_.at(size_++) = each;
    }
    [[nodiscard]] constexpr const effect* begin() const { return list_.data(); }
    [[nodiscard]] constexpr const effect* end() const { return list_.data() + size_; }
    [[nodiscard]] constexpr bool contains(effect what) const {
      for (const auto each : *this)
        if (each == what)
          return true;
      return false;
    }
    [[nodiscard]] constexpr bool empty() const { return size_ == 0; }

  private:
    std::array<effect, 4> list_{};
    std::size_t size_ = 0;
  };

  /// One line of the table: in one of the phases, with the hardware so, one of the events leads to a phase.
  struct rule {
    set_of<phase> from;
    set_of<event> on;
    set_of<presence> hardware; ///< before the event
    std::optional<phase> to;   ///< empty: the phase stays
    effects due;
  };
  /// The first line that fits is the one; without one an event changes nothing but what follows from it by itself:
  /// `removal_waits`, `removed` and `removed_in_use` the presence, `leave` that somebody has left.
  [[nodiscard]] static std::span<const rule> table();

  /// Does what the table says.
  effects on(event what);
  /// What would be due.
  [[nodiscard]] effects answer(event what) const {
    auto copy = *this;
    return copy.on(what);
  }

  [[nodiscard]] phase now() const { return now_; }
  [[nodiscard]] presence hardware() const { return hardware_; }
  /// dom0 removes it, or has done so after a word.
  [[nodiscard]] bool removing() const { return hardware_ == presence::going || hardware_ == presence::went; }
  [[nodiscard]] bool removed() const { return hardware_ == presence::went || hardware_ == presence::lost; }
  /// It has been removed, and nobody waits for its return.
  [[nodiscard]] bool left() const { return left_; }
  /// A job has the hardware, or is about to.
  [[nodiscard]] bool busy() const;

  friend bool operator==(const function_life&, const function_life&) = default;

private:
  phase now_ = phase::fresh;
  presence hardware_ = presence::there;
  bool left_ = false;
};

[[nodiscard]] std::string_view to_string(function_life::phase what);
[[nodiscard]] std::string_view to_string(function_life::presence what);
[[nodiscard]] std::string_view to_string(function_life::event what);
[[nodiscard]] std::string_view to_string(function_life::effect what);

} // namespace pci
