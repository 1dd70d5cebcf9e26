// SPDX-License-Identifier: GPL-2.0-or-later
#include "pci/protocol/scrub.hpp"

#include <algorithm>
#include <array>

namespace pci {

std::string_view to_string(scrub_step step) {
  switch (step) {
  case scrub_step::quiesce:
    return "quiesce";
  case scrub_step::end_messages:
    return "end_messages";
  case scrub_step::revoke:
    return "revoke";
  case scrub_step::withdraw:
    return "withdraw";
  case scrub_step::await_pirqs:
    return "await_pirqs";
  case scrub_step::reset:
    return "reset";
  case scrub_step::restore:
    return "restore";
  case scrub_step::renew_msix:
    return "renew_msix";
  case scrub_step::quarantine:
    return "quarantine";
  case scrub_step::verify:
    return "verify";
  case scrub_step::done:
    return "done";
  case scrub_step::failed:
    break;
  }
  return "failed";
}

void scrub::advance(bool succeeded) {
  if (finished())
    return;
  if (!succeeded && !failed_)
    failed_ = step_;
  if (step_ == scrub_step::verify)
    step_ = failed_ ? scrub_step::failed : scrub_step::done;
  else
    step_ = static_cast<scrub_step>(static_cast<std::uint8_t>(step_) + 1); // the steps are declared in their order
}

scrub scrub::again() const {
  scrub next;
  next.step_ = std::min(failed_.value_or(scrub_step::quiesce), scrub_step::restore);
  return next;
}

std::optional<std::chrono::milliseconds> wait_before_retry(unsigned tries) {
  // 2.6 s in all: longer than a link's training or a function's start, shorter than a toolstack's patience.
  constexpr std::array waits{100, 500, 2000};
  if (tries == 0 || tries > waits.size())
    return std::nullopt;
  return std::chrono::milliseconds{waits.at(tries - 1)};
}

} // namespace pci
