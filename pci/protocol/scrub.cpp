#include "pci/protocol/scrub.hpp"

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
  clean_ = clean_ && succeeded;
  if (step_ == scrub_step::verify)
    step_ = clean_ ? scrub_step::done : scrub_step::failed;
  else
    step_ = static_cast<scrub_step>(static_cast<std::uint8_t>(step_) + 1); // the steps are declared in their order
}

} // namespace pci
