// SPDX-License-Identifier: GPL-2.0-or-later
// A recovery as a number, and back.
#include "pci/protocol/aer.hpp"

namespace pci {
namespace {

/// Takes a number apart, from its lowest bits on, or puts it together.
class bits {
public:
  explicit bits(std::uint32_t value = 0) : value_(value) {}
  void put(unsigned width, std::uint32_t part) {
    value_ |= part << at_;
    at_ += width;
  }
  [[nodiscard]] std::uint32_t take(unsigned width) {
    const auto part = value_ >> at_ & ((1U << width) - 1);
    at_ += width;
    return part;
  }
  [[nodiscard]] std::uint32_t value() const { return value_; }

private:
  std::uint32_t value_;
  unsigned at_ = 0;
};

} // namespace

std::uint32_t recovery::saved() const {
  if (state_ == state::idle)
    return 0;
  bits all;
  all.put(3, static_cast<std::uint32_t>(state_));
  all.put(2, static_cast<std::uint32_t>(channel_));
  all.put(1, guest_.connected ? 1 : 0);
  all.put(1, guest_.has_handler ? 1 : 0);
  all.put(1, guest_.in_use ? 1 : 0);
  all.put(1, host_ended_ ? 1 : 0);
  all.put(2, static_cast<std::uint32_t>(next_));
  all.put(2, again_ ? static_cast<std::uint32_t>(*again_) : 0);
  all.put(1, again_ended_ ? 1 : 0);
  all.put(2, restarts_);
  static_assert(3 + 2 + 3 + 1 + 2 + 2 + 1 + 2 == saved_bits && restarts < 1U << 2);
  return all.value();
}

std::optional<recovery> recovery::from(std::uint32_t saved) {
  const auto is_error = [](std::uint32_t channel) {
    return channel == static_cast<std::uint32_t>(channel_state::normal) ||
           channel == static_cast<std::uint32_t>(channel_state::frozen);
  };
  bits all(saved);
  recovery found;
  const auto current = all.take(3), channel = all.take(2);
  found.guest_.connected = all.take(1) != 0;
  found.guest_.has_handler = all.take(1) != 0;
  found.guest_.in_use = all.take(1) != 0;
  found.host_ended_ = all.take(1) != 0;
  found.next_ = static_cast<next>(all.take(2));
  const auto again = all.take(2);
  found.again_ended_ = all.take(1) != 0;
  found.restarts_ = all.take(2);
  if (saved >> saved_bits != 0 || current == 0 || current > static_cast<std::uint32_t>(state::resuming) ||
      !is_error(channel) || (again != 0 && !is_error(again)))
    return std::nullopt;
  found.state_ = static_cast<state>(current);
  found.channel_ = static_cast<channel_state>(channel);
  if (again != 0)
    found.again_ = static_cast<channel_state>(again);
  return found;
}

recovery_step recovery::repeated() const {
  switch (state_) {
  case state::idle:
    return {};
  case state::settling:
    return {.what = recovery_step::kind::wait_for_host};
  case state::restoring: // it may have been in the middle of a reset
    return {.what = recovery_step::kind::reset_and_restore};
  default:
    return question();
  }
}

} // namespace pci
