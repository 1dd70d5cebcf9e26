// SPDX-License-Identifier: GPL-2.0-or-later
#include "pci/protocol/removal_guard.hpp"

#include <cerrno>
#include <utility>

namespace pci {

auto removal_guard::begin() -> outcome {
  phase_ = phase::entering;
  return {effect::read, std::nullopt, 0};
}

auto removal_guard::let_end(std::optional<guard_news::kind> tell) -> outcome {
  phase_ = phase::leaving;
  return {effect::fill, tell, 0};
}

auto removal_guard::arm() -> outcome {
  wanted_ = true;
  let_go_ = false;
  const bool owed = std::exchange(answer_, false);
  switch (phase_) {
  case phase::open:
    return suspended_ ? outcome{effect::none, guard_news::kind::failed, EAGAIN} : begin();
  case phase::inside:
    return {effect::none, waits() ? guard_news::kind::waits : guard_news::kind::armed, 0};
  case phase::entering:
  case phase::leaving: // and then it begins again
    break;
  }
  return {effect::none, owed ? std::optional{guard_news::kind::released} : std::nullopt, 0};
}

auto removal_guard::release() -> outcome {
  wanted_ = false;
  let_go_ = false;
  if (phase_ == phase::open)
    return {effect::none, guard_news::kind::released, 0};
  answer_ = true;
  // One that has not been seen to wait yet would wait for good after its page is filled and emptied again.
  return phase_ == phase::inside ? let_end() : outcome{};
}

auto removal_guard::entered() -> outcome {
  if (phase_ != phase::entering)
    return {};
  if (!wanted_ || suspended_)
    return let_end();
  phase_ = phase::inside;
  return {effect::none, guard_news::kind::armed, 0};
}

auto removal_guard::ended(int error) -> outcome {
  const auto before = phase_;
  phase_ = phase::open;
  waiting_since_.reset();
  if (!wanted_) {
    const auto tell = answer_ ? std::optional{guard_news::kind::released} : std::nullopt;
    answer_ = false;
    return {effect::none, tell, 0};
  }
  if (before == phase::entering) { // it never waited: there is no such function, say
    wanted_ = false;
    return {effect::none, guard_news::kind::failed, error == 0 ? EIO : error};
  }
  return suspended_ ? outcome{effect::none, guard_news::kind::failed, EAGAIN} : begin();
}

auto removal_guard::look(const sight& seen, duration limit) -> outcome {
  if (phase_ != phase::inside)
    return {};
  if (!waits()) {
    if (seen.going) {
      waiting_since_ = seen.now;
      return {effect::none, guard_news::kind::waits, 0};
    }
    return seen.spinning ? let_end() : outcome{};
  }
  // Spinning or not, the removal must wait; but not for ever when nobody is there to end it.
  if (seen.unwatched < least_grace || seen.now - *waiting_since_ < limit)
    return {};
  wanted_ = false;
  let_go_ = true;
  return let_end(guard_news::kind::let_go);
}

auto removal_guard::suspend() -> outcome {
  suspended_ = true;
  return phase_ == phase::inside && !waits() ? let_end() : outcome{};
}

auto removal_guard::resume() -> outcome {
  suspended_ = false;
  return phase_ == phase::open && wanted_ ? begin() : outcome{};
}

auto removal_guard::account() const -> std::optional<guard_news::kind> {
  if (let_go_)
    return guard_news::kind::let_go;
  if (!wanted_)
    return std::nullopt;
  if (phase_ == phase::inside)
    return waits() ? guard_news::kind::waits : guard_news::kind::armed;
  return guard_news::kind::failed; // not now
}

} // namespace pci
