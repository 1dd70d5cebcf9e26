// SPDX-License-Identifier: GPL-2.0-or-later
#include "messages/errors.hpp"

#include <cerrno>

#include <caf/atom.hpp>
#include <caf/exit_reason.hpp>
#include <caf/make_message.hpp>
#include <caf/message.hpp>
#include <caf/sec.hpp>

namespace messages {
namespace {

constexpr auto category = caf::atom("pcibackd");
// Linux's errno values end at 133, so that each fits CAF's code; what does not is a bug elsewhere and reads as EPROTO.
constexpr int largest_code = 255;

int errno_of(const caf::error& what) {
  if (what == caf::make_error(caf::sec::request_timeout)) {
    return ETIMEDOUT;
  }
  if (what == caf::make_error(caf::sec::request_receiver_down) || what.category() == caf::atom("exit")) {
    return ECANCELED;
  }
  return EPROTO;
}

} // namespace

caf::error to_error(const pci::failure& what) {
  const auto code = what.error > 0 && what.error <= largest_code ? what.error : EPROTO;
  return {static_cast<std::uint8_t>(code), category, caf::make_message(what.context)};
}

pci::failure to_failure(const caf::error& what, const std::string& context) {
  if (what.category() != category) {
    return {errno_of(what), context};
  }
  const auto& words = what.context();
  return {what.code(), words.match_elements<std::string>() ? words.get_as<std::string>(0) : context};
}

} // namespace messages
